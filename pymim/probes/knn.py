"""k nearest neighbours: a probe without training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from pymim.checks import positive, whole


class KNN:
    """Classify by a vote of the k most similar training images, with weights exp(cosine /
    temperature) (Wu et al. 2018).

    Similarities are computed for a chunk of test images at a time: memory is chunk x N.

    Args:
        k: number of neighbours.
        temperature: temperature of the weights.
        chunk: test images at a time.
    """

    name = "knn"
    takes = "pooled"

    def __init__(self, k: int = 20, temperature: float = 0.07, chunk: int = 1024) -> None:
        whole(self, 1, k=k, chunk=chunk)
        positive(self, temperature=temperature)
        self.k, self.temperature = k, temperature
        self.chunk = chunk

    def remark(self, labels: Tensor) -> str:
        """Say if there are no more training images than neighbours."""
        count = len(labels)
        return (
            f"k = {self.k} of {count} training images: all images vote" if self.k >= count else ""
        )

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Give the top-1 accuracy on test features [M D], from training features [N D]."""
        bank, votes = normalize(train.float()), one_hot(labels).float()
        right = 0
        for queries, answers in zip(test.split(self.chunk), truth.split(self.chunk), strict=True):
            similarity, nearest = (normalize(queries.float()) @ bank.T).topk(min(self.k, len(bank)))
            weights = (similarity / self.temperature).exp()
            scores = (votes[nearest] * weights[..., None]).sum(1)
            right += int((scores.argmax(1) == answers).sum())
        return right / len(test)


def accuracy(scores: Tensor, truth: Tensor) -> float:
    """Give the share of rows whose largest score is at the true class."""
    return float((scores.argmax(-1) == truth).float().mean())


def standardise(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Standardise both sets by the training set's mean and deviation; constant features are set
    to 0.
    """
    mean, std = train.mean(0), train.std(0)
    scale = torch.where(std > 1e-6, 1 / std, torch.zeros_like(std))
    return (train - mean) * scale, (test - mean) * scale
