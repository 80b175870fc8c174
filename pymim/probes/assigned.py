"""A method's own clusters against the classes: what methods whose result is the clustering are measured by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim import measures

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Assigned:
    """Each picture is in the cluster of its largest score. How far clusters agree with classes on the test split:
    `assigned`, the accuracy when each cluster is named after a class in the best way (Kuhn 1955), and `_nmi` and
    `_ari`. The naming is made on the pictures that are measured, as is the custom (SCAN, Van Gansbeke et al. 2020).

    Of S heads these are of the one that was chosen without labels, where the loss remembers the lowest
    (`losses.Sum`), and the mean over heads elsewhere; `assigned_s` is the accuracy of head s.

    training: measure the training split too, as papers on small data sets do: `assigned_train`, where it has
        labels.
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
        """Of the scores of test images; `chosen`: which head."""
        heads = [_agreement(scores, truth) for scores in test.unbind(1)]
        kept = heads if chosen is None else [heads[chosen]]
        found = {f"{self.name}{measure}": _mean([head[measure] for head in kept]) for measure in kept[0]}
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
