"""What weights start from: the bounds and deviations of the releases, and of torch's own layers."""

import functools
import math

import pytest
import torch
from torch import nn

from pymim.encoders import Projected, ResNet, ViT
from pymim.predictors import Cross, Transformer

DIM, PIXELS = 96, 3 * 8 * 8
VIT = functools.partial(ViT, DIM, 2, 3, image=16, patch=8)


def made(constructor, **options):
    torch.manual_seed(0)
    return constructor(**options)


def predictor(kind, **options):
    return kind(made(VIT), 5, dim=48, depth=2, heads=3, **options)


def plain(*shape):
    """A torch layer of its own, Xavier-uniform."""
    layer = nn.Linear(*reversed(shape))
    nn.init.xavier_uniform_(layer.weight)
    return layer.weight


def is_uniform(weights, bound):
    """Whether numbers fill the interval from -bound to bound evenly."""
    weights = weights.detach().flatten()
    assert weights.abs().max() <= bound * 1.001
    assert weights.abs().max() > 0.99 * bound
    assert float(weights.std()) == pytest.approx(bound / 3**0.5, rel=0.03)


def test_bounds_of_a_large_vit_are_those_of_the_releases():
    """The numbers of a ViT-L, by hand: .0541 for q, k, v apart and .0383 for one matrix of them."""
    assert math.sqrt(6 / (1024 + 1024)) == pytest.approx(0.0541, abs=5e-5)
    assert math.sqrt(6 / (1024 + 3 * 1024)) == pytest.approx(0.0383, abs=5e-5)


@pytest.mark.parametrize(
    ("qkv_init", "wide", "narrow"),
    [("joint", (3 * DIM, DIM), (96, 96)), ("apart", (DIM, DIM), (48, 96))],
)
def test_queries_keys_and_values_start_joint_or_apart(qkv_init, wide, narrow):
    encoder = made(VIT, qkv_init=qkv_init)
    transformer = made(predictor, kind=Transformer, qkv_init=qkv_init)
    cross = made(predictor, kind=Cross, qkv_init=qkv_init, embed=False, positions="rotary")
    for block in encoder.blocks:
        for rows in block.attn.qkv.weight.split(DIM):
            is_uniform(rows, float(plain(*wide).detach().abs().max()))
    for block in transformer.blocks:
        for rows in block.attn.qkv.weight.split(48):
            is_uniform(rows, math.sqrt(6 / (48 + (144 if qkv_init == "joint" else 48))))
    for block in cross.blocks:  # keys and values of a context as wide as the encoder
        for rows in block.attn.kv.weight.split(48):
            is_uniform(rows, float(plain(*narrow).detach().abs().max()))
    others = [encoder.blocks[0].attn.proj, encoder.blocks[1].mlp.fc1, cross.blocks[0].attn.q]
    for layer in others:
        is_uniform(layer.weight, math.sqrt(6 / sum(layer.weight.shape)))
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("make", "first", "own"),
    [
        (VIT, lambda made: made.patch_embed.proj, "patch_init"),
        (functools.partial(predictor, kind=Transformer), lambda made: made.embed, "embed_init"),
        (
            functools.partial(VIT, image=(4, 16, 16), patch=(2, 8, 8)),
            lambda made: made.patch_embed.proj,
            "patch_init",
        ),
    ],
)
def test_a_first_layer_starts_as_torch_has_it(make, first, own):
    layer = first(made(make, **{own: "torch"}))
    inputs = layer.weight[0].numel()
    again = {nn.Conv2d: nn.Conv2d, nn.Conv3d: nn.Conv3d}.get(type(layer), nn.Linear)
    sizes = (
        layer.weight.shape[1],
        len(layer.weight),
        *([layer.kernel_size] if again is not nn.Linear else []),
    )
    bound = float(again(*sizes).weight.detach().abs().max())
    is_uniform(layer.weight, 1 / math.sqrt(inputs))
    assert bound == pytest.approx(1 / math.sqrt(inputs), rel=0.01)
    assert 0.5 / math.sqrt(inputs) < layer.bias.abs().max() <= 1 / math.sqrt(inputs)
    usual = first(made(make))
    is_uniform(usual.weight, math.sqrt(6 / (inputs + len(usual.weight))))
    assert not usual.bias.any()


def test_a_projection_starts_from_a_normal_distribution():
    trunk = ResNet((1,), dim=64, stem="small", image=8)
    head = made(Projected, trunk=trunk, layers=(256, 256), norm="none", std=0.01).head
    for layer in (part for part in head if isinstance(part, nn.Linear)):
        weights = layer.weight.detach().flatten()
        share = float(
            (weights.abs() < 0.01).float().mean()
        )  # erf(1 / sqrt 2): a uniform one has 58 %
        assert float(weights.std()) == pytest.approx(0.01, rel=0.02)
        assert share == pytest.approx(0.6827, abs=0.01)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (VIT, {"qkv_init": "three"}, "ViT: qkv_init: expected one of joint, apart, got 'three'"),
        (
            VIT,
            {"patch_init": "lecun"},
            "ViT: patch_init: expected one of xavier, torch, got 'lecun'",
        ),
        (
            functools.partial(predictor, Cross),
            {"qkv_init": "x"},
            "Cross: qkv_init: expected one of joint",
        ),
        (
            functools.partial(predictor, Transformer),
            {"embed_init": "x"},
            "Transformer: embed_init: expected one",
        ),
    ],
)
def test_an_unknown_start_is_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
    with pytest.raises(ValueError, match="Projected: std: expected a number above 0, got -1"):
        Projected(ResNet((1,), dim=4), (8,), std=-1)


@pytest.mark.parametrize("useless", [{"qkv_init": "apart"}, {"class_token": True}])
def test_what_acts_in_blocks_is_refused_where_there_are_none(useless):
    dense = ViT(24, 1, 2, image=16, patch=8, hidden="token")
    with pytest.raises(
        ValueError, match="Transformer: depth: expected 1 or more, as class_token and qkv_init"
    ):
        Transformer(dense, 5, dim=12, depth=0, heads=1, **useless)
