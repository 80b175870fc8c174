"""A frozen encoder -> probes: what was learned, beside what raw pixels and the untrained encoder give."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim import data
from pymim.contracts import Encoder
from pymim.data import opening
from pymim.errors import ConfigError
from pymim.io import Folder
from pymim.layers.still import still
from pymim.probes import KNN, Linear

if TYPE_CHECKING:
    from pymim.train import Trainer
    from pymim.views.view import View

Probe = Any
POOLS = ("mean", "encoder", "predictor")


class Evaluation:
    """Runs `probes` on the encoder of a run, on `train_images` and `test_images` images of a source with labels.

    source, channels, clip: what pymim.data.open takes; view: how an image is prepared, without randomness.
    pool: what the vector of an image is: the "mean" of the encoder's tokens, what the "encoder" itself pools, or
        what the "predictor" of the first objective pools (CAPI's, Darcet et al. 2025: predictors.Cross.pooled).
        The untrained encoder is then read by its mean: its predictor is not kept.
    Raw pixels and the encoder as it was before training are probed too: once a run, kept in
    evaluation/baselines.json and printed beside, unless another run's `baselines` serve. Probes see pooled
    features, patch tokens or images, as they say.
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
    ) -> None:
        self.source, self.view, self.channels, self.clip = source, view, channels, clip
        if pool not in POOLS:
            raise ValueError(
                f"Evaluation: pool: expected one of {', '.join(POOLS)}, got {pool!r}; name one of them"
            )
        self.batch, self.pool = batch, pool
        self.probes: list[Probe] = list(probes) if probes is not None else [KNN(), Linear()]
        self.sizes, self.baselines = (train_images, test_images), baselines

    def before_run(self, trainer: Trainer) -> None:
        """Refuses what could only fail at the end of the training."""
        self._predictor(trainer)

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Probes the encoder, prints the table and writes evaluation/step-N.json."""
        splits = self._splits()
        if splits is None:
            _say("no labels: nothing is probed (class folders or a labelled parquet file give some)")
            return
        began = time.perf_counter()
        baselines = self._baselines(trainer, folder, splits) if self.baselines else {}
        result = self.probe(trainer.encoder, splits, self._predictor(trainer))
        folder.write_json(f"evaluation/step-{step:08d}.json", {"step": step, **result, "baselines": baselines})
        train, test = (len(labels) for _, labels in splits)
        seconds = time.perf_counter() - began
        seen = f"({train} training and {test} test {trainer.encoder.items}, {seconds:.0f} s)"
        _say(f"{table(result, baselines, step)}\n{seen}")

    def probe(
        self, encoder: Encoder, splits: list[tuple[Tensor, Tensor]], predictor: Any = None
    ) -> dict[str, float]:
        """What each probe says of this encoder, by name; or of what `predictor` pools of it."""
        (train, labels), (test, truth) = splits
        wanted = {probe.takes for probe in self.probes}
        features = {"pooled": (train, test), **self._features(encoder, predictor, train, test, wanted)}
        results: dict[str, float] = {}
        for probe in self.probes:
            first = (encoder,) if probe.takes == "images" else ()
            given = (train, test) if probe.takes == "images" else features[probe.takes]
            results |= _named(probe, probe(*first, given[0], labels, given[1], truth))
        return results

    def _predictor(self, trainer: Trainer) -> Any:
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

    def _baselines(
        self, trainer: Trainer, folder: Folder, splits: list[tuple[Tensor, Tensor]]
    ) -> dict[str, dict[str, float]]:
        path = folder / "evaluation" / "baselines.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        baselines = {"untrained": self.probe(trainer.untrained, splits), "pixels": self._pixels(splits)}
        folder.write_json("evaluation/baselines.json", baselines)
        return baselines

    def _pixels(self, splits: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        (train, labels), (test, truth) = splits
        flat = [images.flatten(1) for images in (train, test)]
        pooled = [probe for probe in self.probes if probe.takes == "pooled"]
        results: dict[str, float] = {}
        for probe in pooled:
            results |= _named(probe, probe(flat[0], labels, flat[1], truth))
        return results

    @torch.no_grad()
    def _features(
        self, encoder: Encoder, predictor: Any, train: Tensor, test: Tensor, wanted: set[str]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Pooled features [N D] and, where a probe wants them, tokens [N T D], of both sets, by name."""
        with still(*(part for part in (encoder, predictor) if part is not None)):
            sets = [
                [self._encode(encoder, predictor, chunk, wanted) for chunk in images.split(self.batch)]
                for images in (train, test)
            ]
        names = sets[0][0].keys()
        joined = {name: [torch.cat([chunk[name] for chunk in chunks]) for chunks in sets] for name in names}
        return {name: (both[0], both[1]) for name, both in joined.items()}

    def _encode(self, encoder: Encoder, predictor: Any, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        device = next(encoder.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            features = encoder(images.to(device))
            pooled = features.pooled if self.pool == "encoder" else features.tokens.float().mean(1)
            if predictor is not None:
                pooled = predictor.pooled(features, encoder.grid(images.shape))
        found = {"pooled": pooled.float().cpu()}
        return found | ({"tokens": features.tokens.to(torch.bfloat16).cpu()} if "tokens" in wanted else {})

    def _splits(self) -> list[tuple[Tensor, Tensor]] | None:
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
    names = list(result)
    rows = {f"step {step}": result, **baselines}
    head = f"{'':12}" + "".join(f"{name:>12}" for name in names)
    lines = [
        f"{label:12}" + "".join(f"{row[n]:>11.1%} " if n in row else f"{'-':>12}" for n in names)
        for label, row in rows.items()
    ]
    return "\n".join([head, *lines])


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
