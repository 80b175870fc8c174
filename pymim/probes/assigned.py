"""Compare a method's own clusters with the classes: the measure of methods whose result is a
clustering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim import measures

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Assigned:
    """Measure how well clusters agree with the classes of the test split; each picture is in the
    cluster of its largest score.

    `assigned` is the accuracy when clusters are matched to classes in the best way (Kuhn 1955),
    with `_nmi` and `_ari`. The matching uses the test pictures themselves, as is usual (SCAN, Van
    Gansbeke et al. 2020).

    With S heads the measures are those of the head with the lowest loss, if the loss remembers it
    (`losses.Sum`), which needs no labels; otherwise the mean over heads. `assigned_s` is the
    accuracy of head s.

    Args:
        training: also measure the training split, as papers on small data sets do:
            `assigned_train`, if it has labels.
    """

    name = "assigned"
    takes = "scores"
    supervised = False

    def __init__(self, training: bool = False) -> None:
        self.training = training

    def __call__(
        self,
        train: Float[Tensor, "N S K"],
        labels: Int[Tensor, " N"],
        test: Float[Tensor, "M S K"],
        truth: Int[Tensor, " M"],
        chosen: int | None = None,
    ) -> dict[str, float]:
        """Measure the scores of test images; `chosen` is the head to use."""
        heads = [_agreement(scores, truth) for scores in test.unbind(1)]
        kept = heads if chosen is None else [heads[chosen]]
        found = {
            f"{self.name}{measure}": _mean([head[measure] for head in kept]) for measure in kept[0]
        }
        if self.training and (labels >= 0).any():
            seen = [_agreement(scores, labels)[""] for scores in train.unbind(1)]
            found[f"{self.name}_train"] = _mean(seen) if chosen is None else seen[chosen]
        if len(heads) > 1:
            found |= {f"{self.name}_{number}": head[""] for number, head in enumerate(heads)}
        return found


def _agreement(scores: Tensor, truth: Tensor) -> dict[str, float]:
    clusters, classes = scores.argmax(-1).cpu().numpy(), truth.cpu().numpy()
    return {
        "": measures.matched_accuracy(clusters, classes),
        "_nmi": measures.mutual_information(clusters, classes),
        "_ari": measures.rand_index(clusters, classes),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
