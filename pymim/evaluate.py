"""Evaluate a frozen encoder by probes, compared with raw pixels and the untrained encoder."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from pymim import data
from pymim.checks import given, whole
from pymim.contracts import Encoder
from pymim.data import opening
from pymim.data.opener import Opener
from pymim.errors import ConfigError, memory_of
from pymim.io import Folder, figures, protocol
from pymim.probes import KNN, Linear
from pymim.probes.classes import Labels, labels_of
from pymim.probes.reading import POOLS, Head, head_of
from pymim.probing import FEWER, Probe, Probing, Split, say
from pymim.tables import evaluated

if TYPE_CHECKING:
    from pymim.contracts import View
    from pymim.train import Trainer

TRIED = 8  # images of each split that are prepared before training, to find faults early


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
        self.opener, self.view = Opener(source, channels, clip), view
        if pool not in POOLS:
            raise ValueError(
                f"Evaluation: pool: expected one of {', '.join(POOLS)}, got {pool!r}; "
                "name one of them"
            )
        self.head, self.baselines = head, baselines
        self.sizes = train_images, test_images
        chosen = [KNN(), Linear()] if probes is None else probes
        self.probing = Probing(chosen, pool, layer, batch)
        parts: dict[str, Any] = {"source": source, "view": view, "probes": self.probing.probes}
        # Describe the probes now, before they keep results.
        self.parts = {name: protocol.settings(part) for name, part in parts.items()}

    def before_run(self, trainer: Trainer) -> None:
        """Refuse what would fail only at the end of training, and say what cannot be measured."""
        self._check(trainer)
        if trainer.world.leads:
            sources = self._sources()
            train, test = self._labels(sources)
            self.probing.say_labels(train, test, trainer.encoder.items)
            if self.probing.able(train, test):
                self._splits(sources, most=TRIED)

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Probe the encoder, print the table, write evaluation/step-N.json and head-N.json."""
        self._check(trainer)
        sources, items = self._sources(), trainer.encoder.items
        train, test = self._labels(sources)
        if not self.probing.able(train, test):
            self.probing.say_labels(train, test, items)
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
        say(f"{evaluated(result, baselines, step)}\n({counts[0]} and {counts[1]}, {seconds:.0f} s)")
        self.probing.say_labels(seen[0], seen[1], items)
        if self._beside:
            say(f"evaluation: written to {folder / 'evaluation' / name}.json")

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
            "pool": self.probing.pool,
            "layer": self.probing.layer,
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
        self.probing.check(trainer.encoder)
        self._predictor(trainer)
        self._head(trainer)

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
        return self.probing.features(encoder, splits, predictor, head, row)

    def _predictor(self, trainer: Trainer) -> nn.Module | None:
        """Return the predictor that pools, or None. Raises: ConfigError if it cannot pool."""
        if self.probing.pool != "predictor":
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
        if not any(probe.takes == "scores" for probe in self.probing.probes):
            return None
        return head_of(trainer.method.objectives, self.head)

    def _baselines(
        self, trainer: Trainer, folder: Folder, splits: list[Split], measured: protocol.Protocol
    ) -> dict[str, figures.Scores]:
        """Measure the untrained encoder and raw pixels by the parts of this protocol that apply."""
        kept = figures.Baselines(folder, say)
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
            "pixels": kept.get("pixels", of_pixels, lambda: self.probing.pixels(splits)),
        }

    def _sources(self) -> list[data.Source | None]:
        """Open the training and the test split."""
        return [self.opener.open(split) for split in ("train", "test")]

    def _labels(self, sources: list[data.Source | None]) -> list[Labels]:
        """Return the labels of the images drawn from each split."""
        return [labels_of(source, size) for source, size in zip(sources, self.sizes, strict=True)]

    def _splits(self, sources: list[data.Source | None], most: int = sys.maxsize) -> list[Split]:
        """Load images [N C H W] and labels [N] of each split, at most `most`."""
        with memory_of("Evaluation: pictures", f"lower {FEWER}"):
            return [
                data.load(source, self.view, min(size, most))
                for source, size in zip(sources, self.sizes, strict=True)
                if source is not None
            ]
