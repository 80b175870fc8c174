"""A frozen encoder -> probes: what was learned, beside what raw pixels and the untrained encoder give."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pymim import data
from pymim.contracts import Encoder
from pymim.data import opening
from pymim.errors import ConfigError
from pymim.io import Folder
from pymim.probes import KNN, Linear
from pymim.probes.reading import POOLS, Head, Reading, head_of

if TYPE_CHECKING:
    from pymim.contracts import View
    from pymim.train import Trainer

Probe = Any
Split = tuple[Tensor, Tensor]  # images [N C H W] and labels [N]


class Evaluation:
    """Runs `probes` on the encoder of a run, on `train_images` and `test_images` images of a source with labels.

    Args:
        source, channels, clip: what pymim.data.open takes. view: how an image is prepared, without randomness.
        pool: what the vector of an image is: the "mean" of the encoder's tokens, its "class" token (DINO,
            Caron et al. 2021), what the "encoder" itself pools, or what the "predictor" of the first objective
            pools (CAPI's, Darcet et al. 2025: predictors.Cross.pooled). The untrained encoder is then read by
            its mean: its predictor is not kept.
        layer: of vectors and tokens: after this block, one of the encoder's taps, not normed; None: the last. What
            the "encoder" pools is then the mean of the tokens.
        head: the objective whose predictor gives the scores [N S K] that probes such as Assigned take; by default
            the first.
        baselines: whether raw pixels and the encoder as it was before training are probed too: once a run, kept in
            evaluation/baselines.json and printed beside, unless another run's serve.

    Probes see pooled features, patch tokens, scores or images, as they say; those that see images encode them by
    themselves.
    """

    def __init__(
        self,
        source: opening.Data,
        view: View,
        probes: Sequence[Probe] | None = None,
        train_images: int = 5000,
        test_images: int = 2000,
        batch: int = 250,
        pool: str = "mean",
        channels: int = 3,
        clip: data.Clip | None = None,
        baselines: bool = True,
        layer: int | None = None,
        head: str = "",
    ) -> None:
        self.source, self.view, self.channels, self.clip = source, view, channels, clip
        if pool not in POOLS:
            raise ValueError(
                f"Evaluation: pool: expected one of {', '.join(POOLS)}, got {pool!r}; name one of them"
            )
        self.batch, self.pool, self.layer, self.head = batch, pool, layer, head
        self.probes: list[Probe] = list(probes) if probes is not None else [KNN(), Linear()]
        self.sizes, self.baselines = (train_images, test_images), baselines

    def before_run(self, trainer: Trainer) -> None:
        """Refuses what could only fail at the end of the training."""
        Reading(self.pool, self.layer).check(trainer.encoder)
        self._predictor(trainer)
        self._head(trainer)

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Probes the encoder, prints the table and writes evaluation/step-N.json; which head, in head-N.json."""
        splits = self._splits()
        if splits is None:
            _say("no labels: nothing is probed (class folders or a labelled parquet file give some)")
            return
        self.before_run(trainer)
        began = time.perf_counter()
        baselines = self._baselines(trainer, folder, splits) if self.baselines else {}
        head = self._head(trainer)
        result = self.probe(trainer.encoder, splits, self._predictor(trainer), head)
        folder.write_json(f"evaluation/step-{step:08d}.json", {"step": step, **result, "baselines": baselines})
        if head is not None and head.chosen is not None:
            folder.write_json(f"evaluation/head-{step:08d}.json", {"step": step, "chosen": head.chosen})
        train, test = (len(labels) for _, labels in splits)
        seconds = time.perf_counter() - began
        seen = f"({train} training and {test} test {trainer.encoder.items}, {seconds:.0f} s)"
        _say(f"{table(result, baselines, step)}\n{seen}")

    def probe(
        self, encoder: Encoder, splits: list[Split], predictor: nn.Module | None = None, head: Head | None = None
    ) -> dict[str, float]:
        """What each probe says of this encoder, by name; or of what `predictor` pools of it. Probes that take the
        scores of a `head` are left out where there is none."""
        (train, labels), (test, truth) = splits
        probes = [probe for probe in self.probes if head is not None or probe.takes != "scores"]
        wanted = {probe.takes for probe in probes}
        pool = "mean" if self.pool == "predictor" else self.pool
        reading = Reading(pool, self.layer, predictor, head)
        first, second = (reading.all(encoder, images, wanted, self.batch) for images in (train, test))
        results: dict[str, float] = {}
        for probe in probes:
            if probe.takes == "images":
                found = probe(encoder, train, labels, test, truth)
            else:
                more = {"chosen": head.chosen} if head is not None and probe.takes == "scores" else {}
                found = probe(first[probe.takes], labels, second[probe.takes], truth, **more)
            results |= _named(probe, found)
        return results

    def _predictor(self, trainer: Trainer) -> nn.Module | None:
        """The predictor that pools, where one does."""
        if self.pool != "predictor":
            return None
        predictor = trainer.method.objectives[0].predictor
        if not hasattr(predictor, "pooled"):
            got = type(predictor).__name__
            raise ConfigError(
                f"Evaluation: pool = 'predictor': expected one that pools, got {got}; use predictors.Cross"
            )
        return predictor

    def _head(self, trainer: Trainer) -> Head | None:
        """The head whose scores are probed, where a probe takes them."""
        if not any(probe.takes == "scores" for probe in self.probes):
            return None
        return head_of(trainer.method.objectives, self.head)

    def _baselines(self, trainer: Trainer, folder: Folder, splits: list[Split]) -> dict[str, dict[str, float]]:
        path = folder / "evaluation" / "baselines.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        baselines = {"untrained": self.probe(trainer.untrained, splits), "pixels": self._pixels(splits)}
        folder.write_json("evaluation/baselines.json", baselines)
        return baselines

    def _pixels(self, splits: list[Split]) -> dict[str, float]:
        (train, labels), (test, truth) = splits
        flat = [images.flatten(1) for images in (train, test)]
        pooled = [probe for probe in self.probes if probe.takes == "pooled"]
        results: dict[str, float] = {}
        for probe in pooled:
            results |= _named(probe, probe(flat[0], labels, flat[1], truth))
        return results

    def _splits(self) -> list[Split] | None:
        """Images [N C H W] and labels [N] of the training and the test split; None where there are no labels."""
        splits = []
        for split, size in zip(("train", "test"), self.sizes, strict=True):
            source = data.open(self.source, split=split, channels=self.channels, clip=self.clip)
            if source is None or source.labels is None:
                return None
            images, labels = data.load(source, self.view, size)
            splits.append((images[labels >= 0], labels[labels >= 0]))
        return splits


def _named(probe: Probe, found: float | dict[str, float]) -> dict[str, float]:
    """What a probe found, by its name; several measures bear their own."""
    return found if isinstance(found, dict) else {probe.name: found}


def table(result: dict[str, float], baselines: dict[str, dict[str, float]], step: int) -> str:
    """Accuracies in per cent: a row for the encoder and one for each baseline."""
    widths = {name: max(12, len(name) + 2) for name in result}
    rows = {f"step {step}": result, **baselines}
    head = f"{'':12}" + "".join(f"{name:>{width}}" for name, width in widths.items())
    lines = [
        f"{label:12}" + "".join(_cell(row.get(name), width) for name, width in widths.items())
        for label, row in rows.items()
    ]
    return "\n".join([head, *lines])


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width - 1}.1%} "


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
