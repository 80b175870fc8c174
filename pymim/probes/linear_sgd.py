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
