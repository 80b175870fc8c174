"""A transformer predictor with a class token of its own, against a plain loop in raster order."""

import pytest
import torch

from pymim.contracts import Draw
from pymim.encoders import ViT
from pymim.layers.positions import sincos
from pymim.masks import Uniform
from pymim.predictors import Transformer

GRID = (4, 6)


def make(class_token=True, **options):
    torch.manual_seed(0)
    encoder = ViT(24, 2, 2, image=(16, 24), patch=4, **options)
    return encoder, Transformer(encoder, 5, dim=16, depth=2, heads=2, class_token=class_token)


def seen(encoder, b=3):
    torch.manual_seed(1)
    mask = Uniform(0.75)(torch.arange(b), GRID, Draw(1, 0))
    return encoder(torch.randn(b, 3, 16, 24), mask), mask


def plainly(predictor, features, mask):
    """As released: a class token, then mask tokens between the visible ones; read hidden places."""
    rows = predictor.mask_token.expand(len(mask.visible), 24, -1).clone()
    for image, ids in enumerate(mask.visible):
        rows[image, ids] = predictor.embed(features.tokens[image])
    rows = rows + sincos(GRID, 16)
    tokens = torch.cat([predictor.cls_token.expand(len(rows), -1, -1), rows], 1)
    for block in predictor.blocks:
        tokens = block(tokens)
    every = predictor.head(predictor.norm(tokens))[:, 1:]
    return torch.stack([every[image, ids] for image, ids in enumerate(mask.hidden)])


@pytest.mark.parametrize(
    "options", [{}, {"registers": 2}, {"class_token": False, "pool": "mean"}], ids=str
)
def test_an_own_class_token_replaces_the_encoders_prefix(options):
    torch.manual_seed(0)
    encoder = ViT(24, 2, 2, image=(16, 24), patch=4, **options)
    predictor = Transformer(encoder, 5, dim=16, depth=2, heads=2, class_token=True)
    assert not predictor.cls_token.any() and predictor.pos_embed.shape == (1, 25, 16)
    torch.nn.init.normal_(predictor.cls_token)
    features, mask = seen(encoder)
    found = predictor(features, mask, GRID)
    torch.testing.assert_close(found, plainly(predictor, features, mask), rtol=1e-4, atol=1e-5)
    other = features._replace(prefix=features.prefix + 1)
    assert torch.equal(predictor(other, mask, GRID), found)
    found.square().sum().backward()
    assert predictor.cls_token.grad.abs().sum() > 0


def test_without_an_own_class_token_the_encoders_prefix_is_used():
    encoder, predictor = make(class_token=False)
    features, mask = seen(encoder)
    assert predictor.cls_token is None
    other = features._replace(prefix=features.prefix + 1)
    assert not torch.allclose(predictor(other, mask, GRID), predictor(features, mask, GRID))


def test_two_that_share_their_input_share_the_class_token():
    _, one = make()
    _, other = make()
    one.share_input(other)
    assert one.cls_token is other.cls_token and one.mask_token is other.mask_token


def test_the_embedding_may_have_no_bias():
    encoder, _ = make()
    assert Transformer(encoder, 5, dim=16, depth=1, heads=2, embed_bias=False).embed.bias is None
