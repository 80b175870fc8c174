"""Cells wider and narrower than a patch, against convolutions; and a norm before a predictor."""

import functools

import pytest
import torch
from torch import nn

from pymim import predictors
from pymim.contracts import Draw, PredictsAll
from pymim.encoders import ViT
from pymim.errors import ConfigError
from pymim.masks import Uniform

GRID = (4, 6)
JOINT = functools.partial(predictors.Transformer, dim=16, depth=1, heads=2)


def make(constructor, width=5, **options):
    torch.manual_seed(0)
    encoder = ViT(24, 2, 2, image=(16, 24), patch=4, **options)
    return encoder, constructor(encoder, width)


def features_of(encoder):
    mask = Uniform(0.75)(torch.arange(3), GRID, Draw(1, 0))
    return encoder(torch.randn(3, 3, 16, 24), mask), mask


def test_coarser_is_an_average_pool_of_the_map():
    encoder, predictor = make(functools.partial(predictors.Coarser, of=JOINT))
    features, mask = features_of(encoder)
    image = predictor.of.predict_all(features, mask, GRID).mT.unflatten(2, GRID)
    expected = nn.functional.avg_pool2d(image, 2).flatten(2).mT
    found = predictor(features, mask, GRID)
    assert found.shape == (3, 6, 5)
    torch.testing.assert_close(found, expected)


def test_finer_is_two_transposed_convolutions_with_a_norm_between():
    """The release's head, its last two maps as the one linear map that they are."""
    encoder, predictor = make(
        functools.partial(predictors.Finer, of=JOINT, by=4, dim=8), width=16 * 5
    )
    features, mask = features_of(encoder)
    image = predictor.of.predict_all(features, mask, GRID).unflatten(2, (2, 2, 8))
    image = image.unflatten(1, GRID).permute(0, 5, 1, 3, 2, 4).reshape(3, 8, 8, 12)
    image = nn.functional.gelu(
        nn.functional.layer_norm(image.movedim(1, -1), (8,), eps=1e-6)
    ).movedim(-1, 1)
    weight = predictor.head.weight.view(2, 2, 5, 8).permute(3, 2, 0, 1)
    cells = nn.functional.conv_transpose2d(image, weight, stride=2)  # [B 5 16 24]
    expected = (
        cells.unflatten(3, (-1, 4))
        .unflatten(2, (-1, 4))
        .permute(0, 2, 4, 3, 5, 1)
        .reshape(3, 24, 80)
    )
    torch.testing.assert_close(
        predictor.predict_all(features, mask, GRID), expected, rtol=1e-4, atol=1e-5
    )
    ids = mask.predicted[..., None].expand(-1, -1, 80)
    torch.testing.assert_close(
        predictor(features, mask, GRID), expected.gather(1, ids), rtol=1e-4, atol=1e-5
    )


def test_finer_counts_cells_as_the_target_does():
    """A patch's vector is the raster of its cells: each of the four gives a quarter of it."""
    encoder, predictor = make(functools.partial(predictors.Finer, of=JOINT, by=4, dim=8), width=16)
    nn.init.zeros_(predictor.head.weight)
    predictor.head.bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    features, mask = features_of(encoder)
    patch = predictor(features, mask, GRID)[0, 0].view(4, 4)
    assert patch.tolist() == [[1, 2, 1, 2], [3, 4, 3, 4], [1, 2, 1, 2], [3, 4, 3, 4]]


def test_a_norm_in_front_is_the_predictor_of_normed_tokens():
    encoder, predictor = make(functools.partial(predictors.Normed, of=JOINT))
    features, mask = features_of(encoder)
    features = features._replace(tokens=features.tokens * 7 + 3)
    normed = features._replace(
        tokens=nn.functional.layer_norm(features.tokens, (24,), eps=1e-6),
        prefix=nn.functional.layer_norm(features.prefix, (24,), eps=1e-6),
    )
    assert torch.equal(predictor(features, mask, GRID), predictor.of(normed, mask, GRID))
    assert torch.equal(
        predictor.predict_all(features, mask, GRID), predictor.of.predict_all(normed, mask, GRID)
    )
    assert (predictor.of(features, mask, GRID) - predictor(features, mask, GRID)).abs().max() > 0.1
    assert predictor.reads == "mask" and isinstance(predictor, PredictsAll)


def test_every_parameter_gets_a_gradient():
    of = functools.partial(predictors.Finer, of=JOINT, by=2, dim=8)
    for constructor, width in (
        (functools.partial(predictors.Normed, of=of), 4),
        (functools.partial(predictors.Coarser, of=JOINT), 4),
    ):
        encoder, predictor = make(constructor, width)
        features, mask = features_of(encoder)
        predictor(features, mask, GRID).square().sum().backward()
        assert not [
            name for name, p in predictor.named_parameters() if p.grad is None or not p.grad.any()
        ]


def test_impossible_options_are_refused():
    with pytest.raises(
        ConfigError,
        match="Coarser: of: expected a predictor that can predict every patch, got Pooled",
    ):
        make(functools.partial(predictors.Coarser, of=predictors.Pooled))
    with pytest.raises(
        ConfigError, match="Finer: by: expected an even number whose square divides the width 5"
    ):
        make(functools.partial(predictors.Finer, of=JOINT))
    encoder, predictor = make(functools.partial(predictors.Coarser, of=JOINT, by=4))
    with pytest.raises(
        ConfigError, match=r"Coarser: by: expected a divisor of the rows .* grid \(4, 6\), got 4"
    ):
        predictor(*features_of(encoder), GRID)
