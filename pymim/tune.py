"""Fine-tune or probe a run's encoder on a whole labelled data set, as the papers do.

Pictures come from a loader, different in each epoch, and are never all in memory.
`evaluate.Evaluation` is for small sets, whose pictures or features fit.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pymim import __version__, signals
from pymim.checks import finite, given, whole
from pymim.checks import seed as seeds
from pymim.contracts import Encoder
from pymim.data import Clip, Loader, Source, opening
from pymim.data.maker import pieces
from pymim.data.opener import Opener
from pymim.data.sample import chosen
from pymim.data.source import subset
from pymim.encoders.average import followed
from pymim.errors import ConfigError, DataError
from pymim.io import Folder, checkpoint
from pymim.io.protocol import settings
from pymim.precision import autocast
from pymim.probes import Classifier, Learning, Readout
from pymim.probes.classes import hindrance, labels_of, obstacle
from pymim.probes.learning import Lesson

if TYPE_CHECKING:
    from pymim.contracts import View
    from pymim.train import Trainer

STARTS = ("run", "momentum")


class Tuning:
    """Train a classifier on a source's labelled pictures, and measure its test accuracy.

    Args:
        source, channels, clip: what pymim.data.open takes. view: of test pictures, not at random.
        data: constructor of the loader of training pictures; its first view is used.
        learning: how it learns. readout: what is classified.
        epochs: of whole batches. steps: instead of epochs. batch: pictures of a step.
        frozen: do not train the encoder: a linear or an attentive probe.
        drop_path: final rate of stochastic depth, which rises by block; None: the encoder's own.
        start: "run", the encoder that the run evaluates; or "momentum", its momentum copy in the
            method (HPM, Wang et al. 2023, may be tuned from its teacher).
        name: of the results, RUN/evaluation/NAME-step-N.json, which include the settings; and of
            RUN/NAME, where the classifier is saved every `save_every` epochs and when stopped. The
            same command resumes it; with another encoder or other settings it starts again.
        test_images: at most, drawn from each class in proportion; None: all.
        seed: of the head's weights, the order of the pictures and all random states.
        save_every: epochs between two saves, or a part of one.

    It uses one device. Classes of the test set that the training set lacks count as errors.

    Raises: ConfigError for invalid arguments; DataError if nothing can be trained or tested on.
    """

    def __init__(
        self,
        source: opening.Data,
        view: View,
        data: Callable[..., Loader],
        learning: Learning,
        readout: Readout | None = None,
        epochs: float = 100,
        batch: int = 1024,
        steps: int | None = None,
        frozen: bool = False,
        drop_path: float | None = None,
        start: str = "run",
        channels: int = 3,
        clip: Clip | None = None,
        name: str = "finetune",
        seed: int = 0,
        test_images: int | None = None,
        save_every: float = 1,
    ) -> None:
        whole(self, 1, batch=batch, **given(steps=steps, test_images=test_images))
        finite(self, 0, epochs=epochs, save_every=save_every, **given(drop_path=drop_path))
        seeds(self, seed=seed)
        if start not in STARTS:
            known = ", ".join(STARTS)
            raise ConfigError(
                f"Tuning: start: expected one of {known}, got {start!r}; name one of them"
            )
        self.source, self.view = source, view
        self.data, self.channels = data, channels
        self.clip = clip
        self.opener = Opener(source, channels, clip)
        self.learning, self.readout = learning, readout or Readout()
        self.epochs, self.batch = epochs, batch
        self.steps = steps
        self.frozen, self.drop_path = frozen, drop_path
        self.start = start
        self.name, self.seed = name, seed
        self.test_images, self.save_every = test_images, save_every

    def before_run(self, trainer: Trainer) -> None:
        """Refuse what would fail only at the end of training."""
        self.readout.check(self._encoder(trainer))
        self._sources()

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Train, test, print the accuracy, and write it with the settings it was measured by."""
        began = time.perf_counter()
        train, test = self._sources()
        loader = self.data(source=train, batch=self.batch, seed=self.seed)
        steps = self.steps or max(1, round(self.epochs * loader.steps_per_epoch))
        encoder = self._encoder(trainer)
        protocol = self._settings(loader, step, steps)
        with torch.random.fork_rng(), torch.enable_grad():
            model = self._learn(encoder, loader, steps, folder, protocol)
        found = self._test(model, test, encoder)
        result = {"step": step, **found, "settings": protocol}
        folder.write_json(f"evaluation/{self.name}-step-{step:08d}.json", result)
        accuracy = f"top-1 {found['top1']:.1%}, top-5 {found['top5']:.1%}"
        counts = f"{len(train):,} training and {found['tested']:,} test {encoder.items}"
        _say(
            f"{self.name} of step {step}: {accuracy} ({counts}, {steps:,} steps of {self.batch}, "
            f"{time.perf_counter() - began:.0f} s)"
        )

    def _encoder(self, trainer: Trainer) -> Encoder:
        if self.start == "run":
            return trainer.encoder
        found = followed(trainer.method.children(), trainer.method.encoder)
        if found is None:
            raise ConfigError(
                "Tuning: start: expected a method with a momentum copy of its encoder for "
                "'momentum', got one without; set start = 'run'"
            )
        return found.module  # type: ignore[return-value]

    def _sources(self) -> tuple[Source, Source]:
        """Open the labelled pictures of both splits. Raises: DataError."""
        splits = [self.opener.open(split) for split in ("train", "test")]
        train, test = (labels_of(source, len(source) if source else 1) for source in splits)
        if why := obstacle(test) or hindrance(train, test):
            raise DataError(
                f"Tuning: source: expected labelled pictures in both splits, got: {why}; "
                "change DATA"
            )
        return _labelled(splits[0]), _labelled(splits[1])

    def _settings(self, loader: Loader, step: int, steps: int) -> dict[str, Any]:
        """Return the settings that the figures are measured by."""
        left_out = ("source", "data", "opener")
        own = {name: value for name, value in vars(self).items() if name not in left_out}
        first = {"pymim": __version__, "of step": step, "source": str(self.source)}
        shown = {
            "training pictures": len(loader.source),
            "training view": settings(loader.views[0]),
        }
        return {**first, **shown, **settings(own), "steps": steps}

    def _learn(
        self, encoder: Encoder, loader: Loader, steps: int, folder: Folder, protocol: dict[str, Any]
    ) -> nn.Module:
        """Train from the start, or from a saved state."""
        torch.manual_seed(self.seed)
        classes = int(loader.source.labels.max()) + 1  # type: ignore[union-attr]
        model = Classifier(encoder, classes, self.frozen, self.readout, self.drop_path)
        device = next(encoder.parameters()).device
        lesson = Lesson(self.learning, model.train().to(device))
        saved = folder / self.name / "checkpoints"
        first = self._restored(lesson, saved, protocol)
        every = (
            max(1, round(self.save_every * loader.steps_per_epoch)) if self.save_every else steps
        )
        with contextlib.closing(loader.batches(first, steps)) as batches, signals.held():
            for number, batch in enumerate(
                tqdm(batches, self.name, steps - first, disable=None), first
            ):
                torch.manual_seed((self.seed * 1_000_003 + number * 8191) % 2**63)
                batch = batch.to(device)
                lesson.step(batch.views[0], batch.label, number, steps)
                done = number + 1
                if done % every == 0 or done == steps or signals.requested():
                    saved.parent.mkdir(parents=True, exist_ok=True)
                    checkpoint.save(
                        saved, done, lesson, lesson.stepper, {"settings": protocol}, keep=1
                    )
                if signals.requested():
                    raise signals.asked().error(
                        f"at step {done} of {self.name}; the same command continues from it"
                    )
        return lesson.learnt.eval()

    def _restored(self, lesson: Lesson, saved: Any, protocol: dict[str, Any]) -> int:
        """Load a saved state with the same settings; return its step, or 0."""
        found = checkpoint.steps(saved)
        if not found:
            return 0
        if checkpoint.peek(found[-1]).get("settings") != protocol:
            _say(f"{self.name}: {found[-1]} has another encoder or other settings: starts again")
            return 0
        first = int(checkpoint.load(found[-1], lesson, lesson.stepper)["step"])
        _say(f"{self.name}: continues from step {first}")
        return first

    @torch.no_grad()
    def _test(self, model: nn.Module, test: Source, encoder: Encoder) -> dict[str, float]:
        """Return the shares of test pictures that are right in the top 1 and the top 5."""
        device = next(encoder.parameters()).device
        right = torch.zeros(2, dtype=torch.int64)
        count = 0
        for images, labels in self._pieces(test):
            with autocast(device):
                scores = model(images.to(device)).float().cpu()
            best = scores.topk(min(5, scores.shape[1])).indices == labels[:, None]
            right += torch.stack([best[:, 0].sum(), best.any(1).sum()])
            count += len(labels)
        first, five = (right / count).tolist()
        return {"top1": first, "top5": five, "tested": count}

    def _pieces(self, test: Source) -> Iterator[tuple[Tensor, Tensor]]:
        return pieces(test, self.view, chosen(test, self.test_images or len(test)))


def _labelled(source: Source | None) -> Source:
    assert source is not None and source.labels is not None
    known = source.labels >= 0
    return source if known.all() else subset(source, known.nonzero()[0])


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
