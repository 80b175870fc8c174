"""Heads over clusters that change: the forgetful one, and the one that is told."""

from types import SimpleNamespace

import pytest
import torch

from pymim import encoders
from pymim.contracts import Features
from pymim.predictors import Centroids, Renewed


def features(pooled):
    return Features(pooled[:, None], pooled[:, None, :0], {}, pooled)


def make_encoder():
    return encoders.Projected(encoders.ViT(12, 1, 2, image=8, patch=4), (5,))


def test_the_head_begins_with_the_relu_that_clustering_took_off():
    head = Renewed(make_encoder(), 7)
    pooled = torch.randn(3, 5)
    expected = torch.nn.functional.linear(pooled.clamp_min(0), head.head.weight, head.head.bias)
    torch.testing.assert_close(head(features(pooled), None, (2, 2)), expected[:, None])


def test_new_labels_reset_weights_and_optimiser_state_by_the_current_seed():
    head, forgotten = Renewed(make_encoder(), 4000), []
    run = SimpleNamespace(forget=forgotten.extend)
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        head.head.bias.data.fill_(3)
        head.relabelled(run, torch.zeros(1, 4000, 5))
        weights.append(head.head.weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert weights[0].std().item() == pytest.approx(0.01, rel=0.05)
    assert (head.head.bias == 0).all() and [*map(id, forgotten[:2])] == [
        id(head.head.weight),
        id(head.head.bias),
    ]


def test_scores_are_products_with_every_set():
    predictor = Centroids(make_encoder(), 7, sets=2)
    centroids, pooled = torch.randn(2, 7, 5), torch.randn(3, 5)
    predictor.relabelled(None, centroids)
    expected = torch.stack([pooled @ each.T for each in centroids], 1)
    torch.testing.assert_close(predictor(features(pooled), None, (2, 2)), expected)
    assert not list(predictor.parameters()) and "centroids" in predictor.state_dict()
