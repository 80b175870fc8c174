"""Train a classifier step by step, for fine-tuning and for the papers' linear probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import given, positive, share, whole
from pymim.encoders import Average
from pymim.optim import AdamW, Recipe
from pymim.precision import autocast
from pymim.probes.classifier import Classifier
from pymim.probes.mixing import Mixing, smoothed

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Learning:
    """Settings of a classifier's training.

    Args:
        optimizer: the optimiser with its rates, including `layer_decay`; default: `AdamW()`.
        smoothing: share of each label that is spread equally over all classes (Szegedy et al.
            2016).
        mixing: mixup and CutMix of each batch and its labels; None: off.
        clip: largest norm of the gradient; None: no limit.
        micro: images whose gradients are computed at once; None: the batch. A frozen encoder reads
            this many at once; the head, with its batch norm, always sees the whole batch.
        average: momentum m of an average of all weights, a <- m a + (1 - m) w after each step; the
            average is then evaluated. None: no average.
    """

    def __init__(
        self,
        optimizer: Recipe | None = None,
        smoothing: float = 0.0,
        mixing: Mixing | None = None,
        clip: float | None = None,
        micro: int | None = None,
        average: float | None = None,
    ) -> None:
        share(self, "from 0 to below 1", smoothing=smoothing, **given(average=average))
        positive(self, **given(clip=clip))
        whole(self, 1, **given(micro=micro))
        self.optimizer: Recipe = optimizer or AdamW()
        self.smoothing, self.mixing = smoothing, mixing
        self.clip = clip
        self.micro, self.average = micro, average


class Lesson(nn.Module):
    """A training in progress: the classifier, its average if there is one, and the optimiser."""

    def __init__(self, learning: Learning, model: Classifier) -> None:
        super().__init__()
        self.learning, self.model = learning, model
        self.stepper = learning.optimizer(model)
        self.average = Average(model) if learning.average is not None else None

    @property
    def learnt(self) -> nn.Module:
        """Give the module to evaluate: the average if there is one."""
        return self.model if self.average is None else self.average.module

    def step(
        self, images: Float[Tensor, "B C *S"], labels: Int[Tensor, " B"], step: int, steps: int
    ) -> Tensor:
        """Train on a batch, and give its loss, a scalar."""
        learning, model = self.learning, self.model
        learning.optimizer.set(self.stepper, step, steps, len(images))
        targets: Tensor = labels
        if learning.mixing is not None:
            soft = smoothed(labels, model.head.out_features, learning.smoothing)
            images, targets = learning.mixing(images, soft)
        self.stepper.zero_grad()
        loss = self._backward(images, targets)
        if learning.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), learning.clip)
        self.stepper.step()
        if self.average is not None and learning.average is not None:
            self.average.update(model, learning.average)
        return loss

    def _backward(self, images: Tensor, targets: Tensor) -> Tensor:
        model, size = self.model, self.learning.micro or len(images)
        if model.frozen:
            with autocast(images.device):
                read = torch.cat([model.read(piece) for piece in images.split(size)])
                scores = model.scores(read)
            return self._learn(scores, targets, 1.0)
        losses = []
        for piece, wanted in zip(images.split(size), targets.split(size), strict=True):
            with autocast(images.device):
                scores = model(piece)
            losses.append(self._learn(scores, wanted, len(piece) / len(images)))
        return torch.stack(losses).sum()

    def _learn(self, scores: Tensor, targets: Tensor, part: float) -> Tensor:
        # Mixed targets were smoothed before they were mixed.
        smoothing = 0.0 if targets.is_floating_point() else self.learning.smoothing
        loss = cross_entropy(scores.float(), targets, label_smoothing=smoothing) * part
        loss.backward()
        return loss.detach()
