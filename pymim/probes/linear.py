"""The linear probe on frozen features: logistic regression, solved to its optimum."""

from __future__ import annotations

import torch
from torch import Tensor

from pymim.checks import positive, whole
from pymim.data.sample import stratified
from pymim.errors import Diverged
from pymim.probes.knn import accuracy, standardise
from pymim.probes.logistic import Logistic, Principal, fit

FALLS = 2  # stop after this many strengths in a row that are worse than the best


class Linear:
    """Fit multinomial logistic regression on standardised features, solved to a tolerance.

    It minimises  mean cross entropy + strength / 2 |W|^2. The strength is chosen from `strengths`
    by accuracy on a held-out fifth of the training set, drawn from each class in proportion; then
    all of the set is fitted. Strengths are tried from strong to weak, each starting from the
    previous solution, until two in a row are worse than the best; ties go to the strongest. Classes
    of one image are not held out. If no class has two images, the middle strength is used.

    Args:
        strengths: regularisation strengths to try.
        iterations: most iterations for one strength.
        tolerance: largest derivative at the solution (`logistic.fit`), in float64.
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
        self.strengths, self.iterations = strengths, iterations
        self.tolerance = tolerance
        self._strength: float | None = None
        self._found: list[str] = []

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Give the top-1 accuracy on test features [M D], from training features [N D]; sets
        `strength`.

        Raises:
            Diverged: features are not finite.
        """
        self._found = []
        if not train.isfinite().all():
            raise Diverged(
                "Linear: train: expected finite features, got NaN or infinity; set precision = "
                "'float32', or train with a lower rate"
            )
        train, test = standardise(train.float(), test.float())
        space = Principal.of(train)
        self._strength, start = self._best(space.coordinates, labels)
        model = self._fit(space.coordinates, labels, self._strength, start)
        if not model.converged:
            self._found.append(
                f"did not converge to {self.tolerance:g} in {self.iterations:,} iterations: "
                "raise probes.Linear.iterations"
            )
        return accuracy(space.back(model)(test), truth)

    def remark(self, labels: Tensor) -> str:
        """Say if no strength can be chosen."""
        if held_out(labels).any() or len(self.strengths) == 1:
            return ""
        return (
            "no class has two images, so none can be held out to choose the strength: "
            f"it is {self._middle:g}, the middle one"
        )

    def findings(self) -> list[str]:
        """Say why the last answer may not be the best possible."""
        return self._found

    @property
    def strength(self) -> float | None:
        """Give the strength of the last answer."""
        return self._strength

    @property
    def _middle(self) -> float:
        return sorted(self.strengths)[len(self.strengths) // 2]

    def _best(self, train: Tensor, labels: Tensor) -> tuple[float, Logistic | None]:
        """Give the strength that is best on held-out rows, and its classifier."""
        held = held_out(labels)
        if not held.any() or len(self.strengths) == 1:
            return self._middle, None
        kept, named = train[~held], labels[~held]
        best, falls = -1.0, 0
        model: Logistic | None = None
        chosen: tuple[float, Logistic | None] = self._middle, None
        # From strong to weak: each solution is a good start for the next, weaker one. Accuracy
        # rises and then falls, so the weakest, which take longest, are seldom needed.
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
            self._note_end(chosen[0], order)
        return chosen

    def _note_end(self, strength: float, order: list[float]) -> None:
        if strength in (order[0], order[-1]):
            end, beyond = (
                ("strongest", "stronger") if strength == order[0] else ("weakest", "weaker")
            )
            self._found.append(
                f"the best strength, {strength:g}, is the {end} that was tried: "
                f"a {beyond} one may be better"
            )

    def _fit(
        self,
        features: Tensor,
        labels: Tensor,
        strength: float,
        start: Logistic | None,
        classes: int = 0,
    ) -> Logistic:
        classes = classes or int(labels.max()) + 1
        return fit(features, labels, classes, strength, start, self.iterations, self.tolerance)


def held_out(labels: Tensor) -> Tensor:
    """Give True for the rows to hold out [N]: a fifth of those whose class has two or more, never a
    whole class.
    """
    held = torch.zeros_like(labels, dtype=torch.bool)
    inverse, counts = labels.unique(return_inverse=True, return_counts=True)[1:]
    several = (counts[inverse] > 1).nonzero()[:, 0]
    if len(several):
        held[
            several[torch.from_numpy(stratified(labels[several].numpy(), -(-len(several) // 5)))]
        ] = True
    return held
