"""The regressor of latents: its block by hand in float64, and what its queries see."""

import functools

import pytest
import torch

from pymim.contracts import Draw, Features
from pymim.encoders import ViT
from pymim.masks import Uniform
from pymim.predictors import Regressor

GRID = (4, 6)


def make(width=24, **options):
    torch.manual_seed(0)
    encoder = ViT(24, 1, 2, image=(16, 24), patch=4, registers=1)
    predictor = Regressor(encoder, width, **{"depth": 1, "heads": 2, **options}).double()
    with torch.no_grad():  # norms, gains and biases that do something
        for parameter in predictor.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return predictor


def seen(b=2, ratio=0.5):
    torch.manual_seed(1)
    mask = Uniform(ratio)(torch.arange(b), GRID, Draw(1, 0))
    tokens = torch.randn(b, mask.visible.shape[1], 24, dtype=torch.float64)
    prefix = torch.randn(b, 2, 24, dtype=torch.float64)
    return Features(tokens, prefix, {}, tokens.mean(1), ids=mask.visible), mask


def norm(x, layer):
    x = (x - x.mean()) / (x.var(unbiased=False) + 1e-6).sqrt()
    return x * layer.weight + layer.bias


def block_by_hand(block, queries, visible, places, replace):
    """One image: softmax over visible tokens and queries, keys with places, values without."""
    context, made = torch.cat([visible, queries]), []
    rows, attn = len(visible), block.attn
    wk, wv = attn.kv.weight.chunk(2)
    bk, bv = attn.kv.bias.chunk(2)
    keys = [wk @ norm(c + p, block.norm_k) + bk for c, p in zip(context, places, strict=True)]
    values = [wv @ norm(c, block.norm_v) + bv for c in context]
    for number, x in enumerate(queries):
        q = attn.q.weight @ norm(x + places[rows + number], block.norm_q) + attn.q.bias
        mixed = []
        for head in range(2):
            part = slice(12 * head, 12 * head + 12)
            scores = torch.stack([q[part] @ k[part] / 12**0.5 for k in keys]).softmax(0)
            mixed.append(sum(s * v[part] for s, v in zip(scores, values, strict=True)))
        x = x + block.ls1.gamma * (attn.proj.weight @ torch.cat(mixed) + attn.proj.bias)
        y = norm(x, block.norm2)
        inner = torch.nn.functional.gelu(block.mlp.fc1.weight @ y + block.mlp.fc1.bias)
        made.append(
            (y if replace else x)
            + block.ls2.gamma * (block.mlp.fc2.weight @ inner + block.mlp.fc2.bias)
        )
    return torch.stack(made)


@pytest.mark.parametrize("replace", [True, False])
def test_two_blocks_by_hand(replace):
    """Keys of the second block include queries that the first has updated."""
    predictor, (features, mask) = make(depth=2, replace=replace), seen()
    found, table = predictor(features, mask, GRID), predictor.pos_embed[0]
    for image in range(2):
        queries = predictor.mask_token[0].expand(12, -1)
        places = torch.cat([table[mask.visible[image]], table[mask.predicted[image]]])
        for block in predictor.blocks:
            queries = block_by_hand(block, queries, features.tokens[image], places, replace)
        expected = torch.stack([norm(x, predictor.norm) for x in queries])
        torch.testing.assert_close(found[image], expected, rtol=1e-9, atol=1e-9)


def test_the_prefix_is_not_seen():
    predictor, (features, mask) = make(), seen()
    other = features._replace(prefix=features.prefix + 1)
    assert torch.equal(predictor(features, mask, GRID), predictor(other, mask, GRID))


def test_queries_see_each_other():
    """So a query that is left out changes the others, unlike mask tokens of predictors.Cross."""
    predictor, (features, mask) = make(), seen()
    fewer = mask._replace(predicted=mask.predicted[:, 1:])
    whole, some = predictor(features, mask, GRID), predictor(features, fewer, GRID)
    assert not torch.allclose(whole[:, 1:], some, atol=1e-6)


def test_a_prediction_stays_with_its_patch():
    predictor, (features, mask) = make(depth=2), seen()
    order = torch.randperm(12)
    turned = mask._replace(predicted=mask.predicted[:, order])
    torch.testing.assert_close(
        predictor(features, turned, GRID), predictor(features, mask, GRID)[:, order]
    )


def test_tokens_of_another_width_are_mapped_and_normed():
    assert isinstance(make().embed, torch.nn.Identity)
    predictor, (features, mask) = make(16, heads=4), seen()
    assert predictor(features, mask, GRID).shape == (2, 12, 16)
    assert len(predictor.embed) == 2


def test_it_refuses_positions_that_turn_heads():
    with pytest.raises(ValueError, match="positions: expected some that are added, got 'rotary'"):
        make(positions="rotary")


def test_it_works_without_gains_and_positions():
    predictor, (features, mask) = make(layer_scale=None, positions="none"), seen()
    found = predictor(features, mask, GRID)
    # Without places all queries are the same.
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert functools.reduce(lambda a, b: a and b, found.isfinite().flatten().tolist())
