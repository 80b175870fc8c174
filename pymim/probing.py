"""Run the probes of an evaluation on features or on pixels, and print what they find."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

from pymim.contracts import Encoder
from pymim.errors import memory_of
from pymim.probes.classes import Labels, hindrance, obstacle, remarks, renumbered, supervised
from pymim.probes.reading import Head, Reading

KNOB = "evaluate.Evaluation"
FEWER = f"{KNOB}.train_images and test_images"
Probe = Any
Split = tuple[Tensor, Tensor]  # images [N C H W] and labels [N]


class Probing:
    """Run `probes` as far as the labels allow. pool, layer, batch: see `evaluate.Evaluation`."""

    def __init__(self, probes: Sequence[Probe], pool: str, layer: int | None, batch: int) -> None:
        self.probes, self.batch = list(probes), batch
        self.pool, self.layer = pool, layer

    def check(self, encoder: Encoder) -> None:
        """Refuse a pooling or a layer that the encoder does not have. Raises: ConfigError."""
        Reading(self.pool, self.layer).check(encoder)

    def able(self, train: Labels, test: Labels) -> list[Probe]:
        """Return the probes that these labels allow."""
        if obstacle(test):
            return []
        return [
            probe for probe in self.probes if not (supervised(probe) and hindrance(train, test))
        ]

    def say_labels(self, train: Labels, test: Labels, items: str) -> None:
        """Print what in the labels prevents a probe, or counts otherwise than expected."""
        able = self.able(train, test)
        skipped = ", ".join(probe.name for probe in self.probes if probe not in able)
        if skipped:
            say(f"evaluation: left out {skipped}: {obstacle(test) or hindrance(train, test)}")
        for remark in remarks(train, test, items) if able else ():
            say(f"evaluation: {remark}")
        for probe in able:
            if found := getattr(probe, "remark", _nothing)(train.seen):
                say(f"evaluation: {probe.name}: {found}")

    def features(
        self,
        encoder: Encoder,
        splits: list[Split],
        predictor: nn.Module | None,
        head: Head | None,
        row: str,
    ) -> dict[str, float]:
        """Return the figures by name, of this encoder or of what `predictor` pools.

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
        lower = f"lower {KNOB}.batch ({self.batch}) or {FEWER}"
        with memory_of("Evaluation: reading of the encoder", lower):
            first, second = (
                reading.all(encoder, images, wanted, self.batch) for images in (train, test)
            )
        results: dict[str, float] = {}
        for probe in probes:
            with _memory_of(probe):
                if probe.takes == "images":
                    found = probe(encoder, train, labels, test, truth)
                else:
                    scored = head is not None and probe.takes == "scores"
                    more = {"chosen": head.chosen} if head is not None and scored else {}
                    found = probe(first[probe.takes], labels, second[probe.takes], truth, **more)
            results |= _named(probe, found)
            _say_findings(probe, row)
        return results

    def pixels(self, splits: list[Split]) -> dict[str, float]:
        """Return the figures of raw pixels, by the probes that take pooled features."""
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

    def _serving(self, labels: Tensor, truth: Tensor) -> list[Probe]:
        return self.able(Labels(labels, len(labels)), Labels(truth, len(truth)))


def say(text: str) -> None:
    """Print a line of an evaluation."""
    print(text, file=sys.stderr)  # noqa: T201


def _memory_of(probe: Probe) -> AbstractContextManager[None]:
    """Name the probe's own settings, and the number of images, if it runs out of memory."""
    knobs = [knob for knob in ("batch", "chunk", "clusters") if getattr(probe, knob, None)]
    own = [f"probes.{type(probe).__name__}.{knob}" for knob in knobs]
    return memory_of(f"Evaluation: probe {probe.name}", f"lower {' or '.join([*own, FEWER])}")


def _named(probe: Probe, found: float | dict[str, float]) -> dict[str, float]:
    """Return a probe's result by its name; several measures have names of their own."""
    return found if isinstance(found, dict) else {probe.name: found}


def _say_findings(probe: Probe, row: str) -> None:
    for finding in getattr(probe, "findings", tuple)():
        say(f"evaluation: {probe.name}{row and ' of '}{row}: {finding}")


def _nothing(_: Tensor) -> str:
    return ""
