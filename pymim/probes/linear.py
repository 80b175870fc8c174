"""The linear probe on frozen features: logistic regression, as good as it can be."""

from __future__ import annotations

import torch
from torch import Tensor

from pymim.checks import positive, whole
from pymim.data.sample import stratified
from pymim.errors import Diverged
from pymim.probes.knn import accuracy, standardise
from pymim.probes.logistic import Logistic, Principal, fit

FALLS = 2  # strengths in turn that are worse than the best: weaker ones are not tried


class Linear:
    """Multinomial logistic regression on standardised features, solved to a tolerance.

    minimises  mean cross entropy + strength / 2 |W|^2. The strength is the one of `strengths` that is best on a
    held-out fifth of the training set, drawn of each class in its proportion; the answer is then fitted on all of
    it. Strengths are tried from the strongest on, each from the answer before, until two in turn are worse than
    the best; of equals the strongest is taken. Classes of one image are not held out; where no class has two, the
    middle strength is taken.

    iterations: the most for one strength. tolerance: of the derivatives (`logistic.fit`), in float64.
    """

    name = "linear"
    takes = "pooled"

    def __init__(
        self,
        strengths: tuple[float, ...] = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
        iterations: int = 1000,
        tolerance: float = 1e-5,
    ) -> None:
        whole(self, 1, iterations=iterations, strengths=len(strengths))
        positive(self, strengths=strengths, tolerance=tolerance)
        self.strengths, self.iterations, self.tolerance = strengths, iterations, tolerance
        self._strength: float | None = None
        self._found: list[str] = []

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test features [M D] from training features [N D]; `strength` is then the one taken.
        Raises Diverged where features are not finite."""
        self._found = []
        if not train.isfinite().all():
            raise Diverged(
                "Linear: train: expected finite features, got NaN or infinity; try precision = "
                "'float32', or train at a lower rate"
            )
        train, test = standardise(train.float(), test.float())
        space = Principal.of(train)
        self._strength, start = self._best(space.coordinates, labels)
        model = self._fit(space.coordinates, labels, self._strength, start)
        if not model.converged:
            self._found.append(
                f"not solved to {self.tolerance:g} in {self.iterations:,} iterations: raise Linear.iterations"
            )
        return accuracy(space.back(model)(test), truth)

    def remark(self, labels: Tensor) -> str:
        """Say so where no strength can be chosen."""
        middle = f"no class has two images, one to hold out: the strength is {self._middle:g}, unchosen"
        return "" if held_out(labels).any() or len(self.strengths) == 1 else middle

    def findings(self) -> list[str]:
        """Say what of the last answer may not be the best there is."""
        return self._found

    @property
    def strength(self) -> float | None:
        """The one taken by the last answer."""
        return self._strength

    @property
    def _middle(self) -> float:
        return sorted(self.strengths)[len(self.strengths) // 2]

    def _best(self, train: Tensor, labels: Tensor) -> tuple[float, Logistic | None]:
        """The strength that serves held-out rows best, and what it gave."""
        held = held_out(labels)
        if not held.any() or len(self.strengths) == 1:
            return self._middle, None
        kept, named = train[~held], labels[~held]
        best, falls = -1.0, 0
        model: Logistic | None = None
        chosen: tuple[float, Logistic | None] = self._middle, None
        order = sorted(self.strengths, reverse=True)
        for strength in order:
            model = self._fit(kept, named, strength, model, classes=int(labels.max()) + 1)
            score = accuracy(model(train[held]), labels[held])
            falls = falls + 1 if score < best else 0
            if score > best:
                best, chosen = score, (strength, model)
            if falls == FALLS:
                break
        if best < 1:
            self._tell_end(chosen[0], order)
        return chosen

    def _tell_end(self, strength: float, order: list[float]) -> None:
        if strength in (order[0], order[-1]):
            end = "strongest" if strength == order[0] else "weakest"
            self._found.append(f"the strength is {strength:g}, the {end} of those tried: one beyond may be better")

    def _fit(
        self, features: Tensor, labels: Tensor, strength: float, start: Logistic | None, classes: int = 0
    ) -> Logistic:
        classes = classes or int(labels.max()) + 1
        return fit(features, labels, classes, strength, start, self.iterations, self.tolerance)


def held_out(labels: Tensor) -> Tensor:
    """Which rows, a fifth of those whose class has two or more, are held out: bool [N], never all of a class."""
    held = torch.zeros_like(labels, dtype=torch.bool)
    _, inverse, counts = labels.unique(return_inverse=True, return_counts=True)
    several = (counts[inverse] > 1).nonzero()[:, 0]
    if len(several):
        held[several[torch.from_numpy(stratified(labels[several].numpy(), -(-len(several) // 5)))]] = True
    return held
