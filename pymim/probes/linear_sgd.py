"""The papers' linear probe, trained by gradient steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import positive, whole
from pymim.optim import LARS, SGD, Recipe
from pymim.probes.knn import accuracy
from pymim.schedule import Cosine


class LinearSGD:
    """Train MAE's linear probe (He et al. 2022): batch norm without affine (eps 1e-6), then a
    linear layer.

    Its weights start normal with deviation 0.01. It learns by LARS (You et al. 2017) or plain SGD
    with momentum, without weight decay. Unlike the paper, features are computed once, from centre
    crops, without augmentation.

    Args:
        rate: learning rate per 256 pictures, scaled by `batch`. LARS moves weights by a thousandth
            of their size at a rate of 1, so the paper's 0.1 needs its batches of 16,384 and its
            7,000 steps.
        epochs: passes over the training set.
        batch: pictures per step; at most the training set.
        lars: scale gradients by LARS.
        least: fewest steps; used if `epochs` give fewer.
    """

    name = "linear_sgd"
    takes = "pooled"

    def __init__(
        self,
        rate: float = 10.0,
        epochs: int = 90,
        batch: int = 1024,
        lars: bool = True,
        least: int = 5000,
    ) -> None:
        positive(self, rate=rate)
        whole(self, 1, epochs=epochs, batch=batch, least=least)
        self.rate, self.epochs = rate, epochs
        self.batch = batch
        self.lars, self.least = lars, least

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Give the top-1 accuracy on test features [M D], from training features [N D]."""
        train, test = train.float(), test.float()
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            model = self._train(train, labels)
        with torch.no_grad():
            return accuracy(model.eval()(test), truth)

    def _train(self, train: Tensor, labels: Tensor) -> nn.Module:
        width, classes = train.shape[1], int(labels.max()) + 1
        head = nn.Linear(width, classes)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)
        model = nn.Sequential(nn.BatchNorm1d(width, eps=1e-6, affine=False), head).to(train.device)
        rate = Cosine(self.rate * self.batch / 256, warmup=0.1)
        recipe: Recipe = LARS(rate) if self.lars else SGD(rate, weight_decay=0.0)
        optimizer = recipe(model)
        steps = steps_of(len(train), self.batch, self.epochs, self.least)
        for step in range(steps):
            chosen = torch.randint(len(train), (min(self.batch, len(train)),))
            optimizer.zero_grad()
            cross_entropy(model(train[chosen]), labels[chosen]).backward()
            recipe.set(optimizer, step, steps, self.batch)
            optimizer.step()
        return model


def steps_of(pictures: int, batch: int, epochs: int, least: int) -> int:
    """Give the steps of so many epochs, dropping incomplete batches; at least `least`."""
    return max(least, epochs * max(1, pictures // batch))
