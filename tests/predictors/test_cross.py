"""Prediction by cross-attention: its context, its heads, and the vector of an image."""

import functools

import pytest
import torch

from tests.predictors.small import CROSS, GRID, draw, make

PURE = functools.partial(
    CROSS,
    positions="rotary-coupled",
    norm="rms",
    norm_affine=False,
    bias=False,
    embed=False,
    head="cosine",
)
PLACED = {
    "positions": "rotary-coupled",
    "class_token": False,
    "registers": 4,
    "place_registers": True,
    "pool": "mean",
}


def test_cross_attends_to_every_token_of_a_dense_encoder():
    encoder, predictor = make(functools.partial(CROSS, depth=1), hidden="token")
    mask = draw(1)
    features = encoder(torch.randn(1, 3, 16, 24), mask)
    tokens = features.tokens.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(
        predictor(features._replace(tokens=tokens), mask, GRID).sum(), tokens
    )
    assert (gradient.abs().sum(-1) > 0).all()
    context = (
        predictor.embed(torch.cat([features.prefix, features.tokens], 1)) + predictor.pos_embed
    )
    queries = predictor.mask_token + predictor.pos_embed[0, 1:][mask.predicted]
    expected = predictor.head(predictor.norm(predictor.blocks[0](queries, context)))
    torch.testing.assert_close(predictor(features, mask, GRID), expected)


def test_rotary_positions_alone_distinguish_the_mask_tokens():
    encoder, predictor = make(PURE, **PLACED)
    assert [
        name for name, _ in predictor.named_parameters() if "bias" in name or "embed" in name
    ] == []
    assert predictor.blocks[0].attn.kv.weight.shape == (32, 24)  # straight from the encoder's width
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    whole = predictor(features, mask, GRID)
    one = predictor(features, mask._replace(predicted=mask.predicted[:, 7:8]), GRID)
    torch.testing.assert_close(one, whole[:, 7:8], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(whole[:, 7], whole[:, 8])
    without = predictor(features._replace(prefix=torch.zeros_like(features.prefix)), mask, GRID)
    assert not torch.allclose(without, whole)  # registers are keys and values too


def test_drop_path_leaves_out_images_and_never_patches():
    encoder, predictor = make(functools.partial(PURE, drop_path=0.5), **PLACED)
    mask = draw(8)
    features = encoder(torch.randn(8, 3, 16, 24), mask)
    torch.manual_seed(1)
    whole = predictor(features, mask, GRID)
    torch.manual_seed(1)
    few = predictor(features, mask._replace(predicted=mask.predicted[:, :3]), GRID)
    torch.testing.assert_close(few, whole[:, :3])
    assert not torch.equal(predictor(features, mask, GRID), whole)
    assert torch.equal(predictor.eval()(features, mask, GRID), predictor(features, mask, GRID))


def test_cosine_head_reads_directions():
    head = make(PURE)[1].head
    assert torch.equal(head.gain, torch.ones(5, 1))
    x, longer = torch.randn(3, 16), torch.rand(3, 1) + 1
    torch.testing.assert_close(head(x), head(x * longer))
    assert head(x).abs().max() <= 1
    rows = torch.nn.functional.normalize(head.weight, dim=1)
    torch.testing.assert_close(head(rows).diagonal(), head.gain[:, 0])
    head(x).sum().backward()
    assert head.gain.grad.abs().min() > 0


def test_image_vector_is_the_mean_of_the_first_block_over_all_places():
    encoder, predictor = make(PURE, **PLACED)
    features = encoder(torch.randn(3, 3, 16, 24))
    seen = []
    predictor.blocks[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    vector = predictor.pooled(features, GRID)
    assert seen[0].shape == (3, 24, 16)
    torch.testing.assert_close(vector, predictor.norm(seen[0]).mean(1))
    assert features.pooled.shape == (3, 24)  # the encoder's own


def test_impossible_heads_are_refused():
    with pytest.raises(
        ValueError, match="Cross: head: expected one of linear, cosine, got 'round'"
    ):
        make(functools.partial(CROSS, head="round"))
    with pytest.raises(
        ValueError, match="Cross: embed: expected True with sincos positions, got False"
    ):
        make(functools.partial(CROSS, embed=False))
