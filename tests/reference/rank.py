"""Patch-loss ranking in plain torch, every pair written down: relative loss, ranks, top-k."""

import torch
from torch.nn.functional import softplus


def relative_sums(scores, losses, epsilon=0.0):
    """Per patch [B M]: the losses of its ordered pairs as first member, and how many they are."""
    d = scores[:, None, :] - scores[:, :, None]
    label = losses[:, None, :] > losses[:, :, None]
    valid = losses[:, None, :] != losses[:, :, None]
    right = torch.where(label, d, -d)  # positive where the scores agree with the losses
    cost = (
        -torch.log(torch.sigmoid(right) + epsilon) if epsilon else softplus(-right, threshold=1e9)
    )
    return torch.where(valid, cost, 0.0).sum(2), valid.sum(2)


def relative_loss(scores, losses, epsilon=0.0):
    sums, pairs = relative_sums(scores, losses, epsilon)
    return sums.sum() / pairs.sum().clamp(min=1)


def top_k(scores, k, descending=True):
    return scores.sort(dim=1, descending=descending, stable=True).indices[:, :k]


def ranks(scores, descending=False):
    return top_k(scores, scores.shape[1], descending).argsort(dim=1)
