"""The linear probe of the papers, trained by steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import positive, whole
from pymim.probes.knn import accuracy
from pymim.schedule import Cosine


class LinearSGD:
    """The linear probe of MAE (He et al. 2022): batch norm without affine (eps 1e-6), then a linear layer of normal
    init .01, trained by LARS (You et al. 2017) or plain SGD with momentum and no weight decay.

    Unlike the paper, the features are made once, from centre crops: no augmentation.

    rate: of 256 pictures a step; it grows with `batch`. LARS moves weights by a thousandth of their size for a rate
        of 1, so the paper's 0.1 needs its batches of 16,384 and its 7,000 steps. epochs, least: the training has so
        many epochs, or so many steps where these are more. A batch is never larger than the training set.
    """

    name = "linear_sgd"
    takes = "pooled"

    def __init__(
        self, rate: float = 10.0, epochs: int = 90, batch: int = 1024, lars: bool = True, least: int = 5000
    ) -> None:
        positive(self, rate=rate)
        whole(self, 1, epochs=epochs, batch=batch, least=least)
        self.rate, self.epochs, self.batch = rate, epochs, batch
        self.lars, self.least = lars, least

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
        steps = steps_of(len(train), self.batch, self.epochs, self.least)
        for step in range(steps):
            chosen = torch.randint(len(train), (min(self.batch, len(train)),))
            optimizer.zero_grad()
            cross_entropy(model(train[chosen]), labels[chosen]).backward()
            if self.lars:
                trust(head.weight)
            optimizer.param_groups[0]["lr"] = rate(step, steps)
            optimizer.step()
        return model


def steps_of(pictures: int, batch: int, epochs: int, least: int) -> int:
    """How many steps so many epochs are, a last part of a batch left out; at least so many."""
    return max(least, epochs * max(1, pictures // batch))


@torch.no_grad()
def trust(weight: Tensor, coefficient: float = 0.001) -> None:
    """Scales a weight's gradient by LARS's trust ratio, coefficient |w| / |g|."""
    assert weight.grad is not None
    size, slope = weight.norm(), weight.grad.norm()
    if size > 0 and slope > 0:
        weight.grad *= coefficient * size / slope
