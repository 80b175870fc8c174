"""Several classifiers in one: each kind's formula, what learns, and what stays of unit length."""

import functools

import pytest
import torch
from torch.nn.functional import normalize

from pymim import encoders, losses, method, objective, targets
from pymim.contracts import Features
from pymim.predictors import Heads


def features(pooled):
    return Features(pooled[:, None], pooled[:, None, :0], {}, pooled)


def make(width=4, **options):
    torch.manual_seed(0)
    encoder = encoders.Projected(encoders.ViT(12, 1, 2, image=8, patch=4), (5,))
    return encoder, Heads(encoder, width, **options)


def test_linear_heads_are_classifiers_side_by_side():
    _, heads = make(sets=3)
    pooled = torch.randn(2, 5)
    weight, bias = heads.head.weight.view(3, 4, 5), heads.head.bias.view(3, 4)
    expected = torch.stack([pooled @ weight[s].T + bias[s] for s in range(3)], 1)
    torch.testing.assert_close(heads(features(pooled), None, (2, 2)), expected)
    assert len(list(heads.parameters())) == 2


@pytest.mark.parametrize("learned", [False, True])
def test_cosine_heads_read_directions_times_their_gain(learned):
    _, heads = make(sets=2, kind="cosine", gain=10.0, learned=learned)
    pooled = torch.randn(3, 5)
    rows = heads.head.weight.view(2, 4, 5)
    angles = (
        torch.einsum("be,ske->bsk", pooled, rows)
        / pooled.norm(dim=1)[:, None, None]
        / rows.norm(dim=2)
    )
    torch.testing.assert_close(heads(features(7 * pooled), None, (2, 2)), 10 * angles)
    names = [name for name, _ in heads.named_parameters()]
    assert names == ["head.weight"] + ["head.gain"] * learned
    assert heads.head.weight.abs().max() <= 5**-0.5  # torch's own bound


def test_unit_heads_are_of_unit_length_after_a_step():
    encoder, heads = make(sets=2, kind="unit")
    pooled = torch.randn(3, 5)
    expected = torch.einsum(
        "be,ske->bsk", normalize(pooled, dim=1), heads.head.weight.view(2, 4, 5)
    )
    torch.testing.assert_close(heads(features(pooled), None, (2, 2)), expected)
    teacher = functools.partial(encoders.Momentum, momentum=0.9)
    target = functools.partial(targets.Tokens, teacher=teacher)
    built = objective.Objective(target, lambda encoder, width: heads, losses.MSE(), on="pooled")
    whole = method.Method(encoder, [built])
    heads.head.weight.data.mul_(3)
    whole.after_step(0)
    torch.testing.assert_close(heads.head.weight.norm(dim=1), torch.ones(8))


def test_a_projection_may_come_first():
    _, heads = make(kind="cosine", layers=(7, 6))
    pooled, (first, last) = torch.randn(2, 5), (heads.mlp[0], heads.mlp[2])
    inside = (
        torch.nn.functional.gelu(pooled @ first.weight.T + first.bias) @ last.weight.T + last.bias
    )
    expected = normalize(inside, dim=1) @ normalize(heads.head.weight, dim=1).T
    torch.testing.assert_close(heads(features(pooled), None, (2, 2))[:, 0], expected)
    assert first.weight.abs().max() < 0.1 and not first.bias.any()


@pytest.mark.parametrize("kind", ["linear", "cosine", "unit"])
def test_scores_are_float32_under_autocast(kind):
    _, heads = make(kind=kind)
    pooled = torch.randn(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        scores = heads(features(pooled), None, (2, 2))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, heads(features(pooled), None, (2, 2)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["linear", "cosine", "unit"])
def test_encoder_and_heads_learn(kind):
    encoder, heads = make(kind=kind, layers=(6,))
    heads(encoder(torch.randn(3, 3, 8, 8)), None, (2, 2)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in heads.parameters())
    assert encoder.head[-1].weight.grad.any()


def test_unknown_kinds_and_gains_without_cosines_are_refused():
    with pytest.raises(
        ValueError, match="Heads: kind: expected one of linear, cosine, unit, got 'round'"
    ):
        make(kind="round")
    with pytest.raises(
        ValueError, match="Heads: gain, learned: expected 1 and False with kind = 'unit', got 2"
    ):
        make(kind="unit", gain=2)
