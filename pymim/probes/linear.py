"""Linear probes on frozen features: the exact one, and the one of the papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import finite, positive, whole
from pymim.data.sample import stratified
from pymim.probes.knn import accuracy, standardise
from pymim.schedule import Cosine


class Linear:
    """Multinomial logistic regression on standardised features, solved by L-BFGS.

    minimises  mean cross entropy + strength / 2 |W|^2;  the strength is the one of `strengths` that is best on a
    held-out tenth of the training set, drawn of each class in its proportion, and the answer is then fitted on
    all of it. Classes of one image are not held out; where no class has two, the middle strength is taken.
    """

    name = "linear"
    takes = "pooled"

    def __init__(self, strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2), iterations: int = 100) -> None:
        whole(self, 1, iterations=iterations, strengths=len(strengths))
        finite(self, 0, strengths=strengths)
        self.strengths, self.iterations = strengths, iterations

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test features [M D] from training features [N D]."""
        train, test = standardise(train.float(), test.float())
        return accuracy(self._fit(train, labels, self._best(train, labels))(test), truth)

    def remark(self, labels: Tensor) -> str:
        """Say so where no strength can be chosen."""
        middle = f"no class has two images, one to hold out: the strength is {self._middle:g}, unchosen"
        return "" if held_out(labels).any() or len(self.strengths) == 1 else middle

    @property
    def _middle(self) -> float:
        return sorted(self.strengths)[len(self.strengths) // 2]

    def _best(self, train: Tensor, labels: Tensor) -> float:
        held = held_out(labels)
        if not held.any():
            return self._middle
        scores = [
            accuracy(self._fit(train[~held], labels[~held], s)(train[held]), labels[held]) for s in self.strengths
        ]
        return self.strengths[scores.index(max(scores))]

    def _fit(self, features: Tensor, labels: Tensor, strength: float) -> nn.Linear:
        model = nn.Linear(features.shape[1], int(labels.max()) + 1, device=features.device)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=self.iterations, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(model(features), labels) + strength / 2 * model.weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        return model.requires_grad_(False)


def held_out(labels: Tensor) -> Tensor:
    """Which rows, a tenth of those whose class has two or more, are held out: bool [N], never all of a class."""
    held = torch.zeros_like(labels, dtype=torch.bool)
    _, inverse, counts = labels.unique(return_inverse=True, return_counts=True)
    several = (counts[inverse] > 1).nonzero()[:, 0]
    if len(several):
        held[several[torch.from_numpy(stratified(labels[several].numpy(), -(-len(several) // 10)))]] = True
    return held


class LinearSGD:
    """The linear probe of MAE (He et al. 2022): batch norm without affine (eps 1e-6), then a linear layer of normal
    init .01, trained by LARS (You et al. 2017) or plain SGD with momentum and no weight decay.

    Unlike the paper, the features are made once, from centre crops: no augmentation.
    """

    name = "linear_sgd"
    takes = "pooled"

    def __init__(self, rate: float = 0.1, epochs: int = 90, batch: int = 1024, lars: bool = True) -> None:
        positive(self, rate=rate)
        whole(self, 1, epochs=epochs, batch=batch)
        self.rate, self.epochs, self.batch, self.lars = rate, epochs, batch, lars

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test features [M D] from training features [N D]."""
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
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
        steps = self.epochs * max(1, len(train) // self.batch)
        for step in range(steps):
            chosen = torch.randint(len(train), (min(self.batch, len(train)),))
            optimizer.zero_grad()
            cross_entropy(model(train[chosen]), labels[chosen]).backward()
            if self.lars:
                trust(head.weight)
            optimizer.param_groups[0]["lr"] = rate(step, steps)
            optimizer.step()
        return model


@torch.no_grad()
def trust(weight: Tensor, coefficient: float = 0.001) -> None:
    """Scales a weight's gradient by LARS's trust ratio, coefficient |w| / |g|."""
    assert weight.grad is not None
    size, slope = weight.norm(), weight.grad.norm()
    if size > 0 and slope > 0:
        weight.grad *= coefficient * size / slope
