"""Evaluate a frozen encoder by probes, compared with raw pixels and the untrained encoder."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pymim import data
from pymim.checks import given, whole
from pymim.contracts import Encoder
from pymim.data import opening
from pymim.errors import ConfigError, memory_of
from pymim.io import Folder, figures, protocol
from pymim.probes import KNN, Linear
from pymim.probes.classes import (
    Labels,
    hindrance,
    labels_of,
    obstacle,
    remarks,
    renumbered,
    supervised,
)
from pymim.probes.reading import POOLS, Head, Reading, head_of
from pymim.tables import evaluated

if TYPE_CHECKING:
    from pymim.contracts import View
    from pymim.train import Trainer

TRIED = 8  # images of each split that are prepared before training, to find faults early
_KNOB = "evaluate.Evaluation"
_FEWER = f"{_KNOB}.train_images and test_images"
Probe = Any
Split = tuple[Tensor, Tensor]  # images [N C H W] and labels [N]


class Evaluation:
    """Run `probes` on a run's encoder, with labelled training and test images of a source.

    Args:
        source, channels, clip: what pymim.data.open takes. view: prepares an image, not at random.
        train_images, test_images: labelled images of each split, drawn from each class in
            proportion and the same for every run (`pymim.data.sample.stratified`). Classes that the
            training images lack count as errors; a line says so, and what else was left out.
        pool: an image's vector: the "mean" of the encoder's tokens, its "class" token (DINO, Caron
            et al. 2021), what the "encoder" pools, or what the first objective's "predictor" pools
            (CAPI, Darcet et al. 2025: predictors.Cross.pooled; the untrained encoder then uses the
            mean).
        layer: take vectors and tokens after this block, one of the encoder's taps, not normed;
            None: the last. What the "encoder" pools is then the mean of the tokens.
        head: the objective whose predictor gives scores [N S K]; by default the first.
        baselines: whether to probe raw pixels and the untrained encoder too. They are kept in
            evaluation/baselines.json, and measured again only if their protocol differs. Set False
            if another run's serve.
        probes: what is measured; None: k-NN and a linear probe. batch: images encoded at a time.

    Each figure is written with its protocol: data, counts, view, pool, probes, seed and versions.
    Probes take pooled features, patch tokens, scores, or images, which they encode themselves.
    """

    _beside = False  # whether the run's own figures must not be overwritten

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
        whole(
            self,
            1,
            train_images=train_images,
            test_images=test_images,
            batch=batch,
            **given(layer=layer),
        )
        self.source, self.view = source, view
        self.channels, self.clip = channels, clip
        if pool not in POOLS:
            raise ValueError(
                f"Evaluation: pool: expected one of {', '.join(POOLS)}, got {pool!r}; "
                "name one of them"
            )
        self.batch, self.pool = batch, pool
        self.layer, self.head = layer, head
        self.probes: list[Probe] = list(probes) if probes is not None else [KNN(), Linear()]
        self.sizes, self.baselines = (train_images, test_images), baselines
        parts: dict[str, Any] = {"source": source, "view": view, "probes": self.probes}
        # Describe the probes now, before they keep results.
        self.parts = {name: protocol.described(part) for name, part in parts.items()}

    def before_run(self, trainer: Trainer) -> None:
        """Refuse what would fail only at the end of training, and say what cannot be measured."""
        self._check(trainer)
        if trainer.world.leads:
            sources = self._sources()
            train, test = self._labels(sources)
            self._tell(train, test, trainer.encoder.items)
            if self._able(train, test):
                self._splits(sources, most=TRIED)

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Probe the encoder, print the table, write evaluation/step-N.json and head-N.json."""
        self._check(trainer)
        sources, items = self._sources(), trainer.encoder.items
        train, test = self._labels(sources)
        if not self._able(train, test):
            self._tell(train, test, items)
            return
        began = time.perf_counter()
        splits = self._splits(sources)
        measured = self._protocol(trainer, splits)
        baselines = self._baselines(trainer, folder, splits, measured) if self.baselines else {}
        head = self._head(trainer)
        result = self.probe(trainer.encoder, splits, self._predictor(trainer), head, f"step {step}")
        name = figures.free_name(folder, step, measured) if self._beside else f"step-{step:08d}"
        written = {"step": step, **result, "baselines": baselines, "protocol": measured}
        folder.write_json(f"evaluation/{name}.json", written)
        if head is not None and head.chosen is not None:
            folder.write_json(
                f"evaluation/head-{name.removeprefix('step-')}.json",
                {"step": step, "chosen": head.chosen},
            )
        seen = [
            side._replace(seen=labels)
            for side, (_, labels) in zip((train, test), splits, strict=True)
        ]
        counts = [
            side.counted(f"{word} {items}")
            for word, side in zip(("training", "test"), seen, strict=True)
        ]
        seconds = time.perf_counter() - began
        _say(
            f"{evaluated(result, baselines, step)}\n({counts[0]} and {counts[1]}, {seconds:.0f} s)"
        )
        self._tell(seen[0], seen[1], items)
        if self._beside:
            _say(f"evaluation: written to {folder / 'evaluation' / name}.json")

    def again(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Evaluate without replacing the run's own figures: write evaluation/eval-N.json."""
        self._beside = True
        try:
            self(trainer, folder, step)  # a derived class may have its own
        finally:
            self._beside = False

    def _protocol(self, trainer: Trainer, splits: list[Split]) -> protocol.Protocol:
        """Return the protocol of this encoder's figures."""
        return {
            **protocol.versions(),
            **self.parts,
            "pool": self.pool,
            "layer": self.layer,
            "head": self.head,
            "seed": getattr(trainer, "seed", None),
            "precision": getattr(trainer, "precision", None),
            "device": trainer.world.device.type,
            **{
                name: protocol.split(*split)
                for name, split in zip(("train", "test"), splits, strict=True)
            },
        }

    def _check(self, trainer: Trainer) -> None:
        Reading(self.pool, self.layer).check(trainer.encoder)
        self._predictor(trainer)
        self._head(trainer)

    def _able(self, train: Labels, test: Labels) -> list[Probe]:
        """Return the probes that these labels allow."""
        if obstacle(test):
            return []
        return [
            probe for probe in self.probes if not (supervised(probe) and hindrance(train, test))
        ]

    def _serving(self, labels: Tensor, truth: Tensor) -> list[Probe]:
        return self._able(Labels(labels, len(labels)), Labels(truth, len(truth)))

    def _tell(self, train: Labels, test: Labels, items: str) -> None:
        """Print what in the labels prevents a probe, or counts otherwise than expected."""
        able = self._able(train, test)
        skipped = ", ".join(probe.name for probe in self.probes if probe not in able)
        if skipped:
            _say(f"evaluation: left out {skipped}: {obstacle(test) or hindrance(train, test)}")
        for remark in remarks(train, test, items) if able else ():
            _say(f"evaluation: {remark}")
        for probe in able:
            if found := getattr(probe, "remark", _nothing)(train.seen):
                _say(f"evaluation: {probe.name}: {found}")

    def probe(
        self,
        encoder: Encoder,
        splits: list[Split],
        predictor: nn.Module | None = None,
        head: Head | None = None,
        row: str = "",
    ) -> dict[str, float]:
        """Return the figures of each probe by name, of this encoder or of what `predictor` pools.

        Probes that take scores are left out if `head` is None. row: of the table, for messages.
        """
        (train, labels), (test, truth) = splits
        able = self._serving(labels, truth)
        labels, truth = renumbered(labels, truth)
        probes = [probe for probe in able if head is not None or probe.takes != "scores"]
        if not probes:
            return {}
        wanted = {probe.takes for probe in probes}
        pool = "mean" if self.pool == "predictor" else self.pool
        reading = Reading(pool, self.layer, predictor, head)
        with memory_of(
            "Evaluation: reading of the encoder", f"lower {_KNOB}.batch ({self.batch}) or {_FEWER}"
        ):
            first, second = (
                reading.all(encoder, images, wanted, self.batch) for images in (train, test)
            )
        results: dict[str, float] = {}
        for probe in probes:
            with _memory_of(probe):
                if probe.takes == "images":
                    found = probe(encoder, train, labels, test, truth)
                else:
                    more = (
                        {"chosen": head.chosen}
                        if head is not None and probe.takes == "scores"
                        else {}
                    )
                    found = probe(first[probe.takes], labels, second[probe.takes], truth, **more)
            results |= _named(probe, found)
            _say_findings(probe, row)
        return results

    def _predictor(self, trainer: Trainer) -> nn.Module | None:
        """Return the predictor that pools, or None. Raises: ConfigError if it cannot pool."""
        if self.pool != "predictor":
            return None
        predictor = trainer.method.objectives[0].predictor
        if not hasattr(predictor, "pooled"):
            got = type(predictor).__name__
            raise ConfigError(
                "Evaluation: pool = 'predictor': expected a predictor with a method pooled, got "
                f"{got}; use predictors.Cross"
            )
        return predictor

    def _head(self, trainer: Trainer) -> Head | None:
        """Return the head whose scores are probed, or None if no probe takes scores."""
        if not any(probe.takes == "scores" for probe in self.probes):
            return None
        return head_of(trainer.method.objectives, self.head)

    def _baselines(
        self, trainer: Trainer, folder: Folder, splits: list[Split], measured: protocol.Protocol
    ) -> dict[str, figures.Scores]:
        """Measure the untrained encoder and raw pixels by the parts of this protocol that apply."""
        kept = figures.Baselines(folder, _say)
        of_encoder = {
            name: value for name, value in measured.items() if name not in ("source", "head")
        }
        of_encoder["weights"] = protocol.weights(trainer.untrained)
        of_pixels = {
            name: of_encoder[name] for name in ("pymim", "torch", "view", "probes", "train", "test")
        }
        untrained = lambda: self.probe(trainer.untrained, splits, row="untrained")  # noqa: E731
        return {
            "untrained": kept.get("untrained", of_encoder, untrained),
            "pixels": kept.get("pixels", of_pixels, lambda: self._pixels(splits)),
        }

    def _pixels(self, splits: list[Split]) -> dict[str, float]:
        (train, labels), (test, truth) = splits
        flat = [images.flatten(1) for images in (train, test)]
        pooled = [probe for probe in self._serving(labels, truth) if probe.takes == "pooled"]
        labels, truth = renumbered(labels, truth)
        results: dict[str, float] = {}
        for probe in pooled:
            with _memory_of(probe):
                results |= _named(probe, probe(flat[0], labels, flat[1], truth))
            _say_findings(probe, "pixels")
        return results

    def _sources(self) -> list[data.Source | None]:
        """Open the training and the test split."""
        return [
            data.open(self.source, split=split, channels=self.channels, clip=self.clip)
            for split in ("train", "test")
        ]

    def _labels(self, sources: list[data.Source | None]) -> list[Labels]:
        """Return the labels of the images drawn from each split."""
        return [labels_of(source, size) for source, size in zip(sources, self.sizes, strict=True)]

    def _splits(self, sources: list[data.Source | None], most: int = sys.maxsize) -> list[Split]:
        """Load images [N C H W] and labels [N] of each split, at most `most`."""
        with memory_of("Evaluation: pictures", f"lower {_FEWER}"):
            return [
                data.load(source, self.view, min(size, most))
                for source, size in zip(sources, self.sizes, strict=True)
                if source is not None
            ]


def _memory_of(probe: Probe) -> AbstractContextManager[None]:
    """Name the probe's own settings, and the number of images, if it runs out of memory."""
    knobs = [knob for knob in ("batch", "chunk", "clusters") if getattr(probe, knob, None)]
    own = [f"probes.{type(probe).__name__}.{knob}" for knob in knobs]
    return memory_of(f"Evaluation: probe {probe.name}", f"lower {' or '.join([*own, _FEWER])}")


def _named(probe: Probe, found: float | dict[str, float]) -> dict[str, float]:
    """Return a probe's result by its name; several measures have names of their own."""
    return found if isinstance(found, dict) else {probe.name: found}


def _say_findings(probe: Probe, row: str) -> None:
    for finding in getattr(probe, "findings", tuple)():
        _say(f"evaluation: {probe.name}{row and ' of '}{row}: {finding}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _nothing(_: Tensor) -> str:
    return ""
