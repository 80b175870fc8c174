"""Predictors: each prediction stays with its patch, and the visible ones get no gradient."""

import functools

import pytest
import torch

from pymim import predictors
from pymim.contracts import Mask
from tests.predictors.small import CROSS, GRID, JOINT, draw, make

WAYS = [(on, hidden) for on in ("predicted", "visible") for hidden in ("drop", "token")]


@pytest.mark.parametrize("positions", ["sincos", "learned", "none"])
@pytest.mark.parametrize("constructor", [JOINT, CROSS])
def test_predictions_have_the_width_of_the_target(constructor, positions):
    encoder, predictor = make(functools.partial(constructor, positions=positions), registers=2)
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    assert predictor(features, mask, GRID).shape == (3, 18, 5)
    assert predictor.predict_all(features, mask, GRID).shape == (3, 24, 5)


@pytest.mark.parametrize("constructor", [JOINT, CROSS])
def test_predicting_all_patches_gives_the_same_at_the_predicted_ones(constructor):
    encoder, predictor = make(constructor)
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    whole = predictor.predict_all(features, mask, GRID)
    ids = mask.predicted[..., None].expand(-1, -1, 5)
    torch.testing.assert_close(
        predictor(features, mask, GRID), whole.gather(1, ids), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("constructor", [JOINT, CROSS])
def test_predictions_stay_with_their_patches(constructor):
    encoder, predictor = make(functools.partial(constructor, depth=1))
    with (
        torch.no_grad()
    ):  # blocks pass tokens on, the head reads positions: the prediction is the patch's own row
        for block in predictor.blocks:
            block.attn.proj.weight.zero_()
            block.mlp.fc2.weight.zero_()
        predictor.mask_token.zero_()
    predictor.norm = torch.nn.Identity()
    predictor.head = torch.nn.Identity()
    mask = draw()
    rows = predictor(encoder(torch.randn(3, 3, 16, 24), mask), mask, GRID)
    torch.testing.assert_close(rows, predictor.pos_embed[0, 1:][mask.predicted])


def restored(predictor, features, mask):
    """MAE's own way: raster order, all tokens through all blocks."""
    embedded = predictor.embed(torch.cat([features.prefix, features.tokens], 1))
    prefix, visible = embedded[:, :1], embedded[:, 1:]
    tokens = predictor.mask_token.expand(len(visible), 24, -1).clone()
    for row in range(len(tokens)):
        tokens[row, mask.visible[row]] = visible[row]
    tokens = torch.cat([prefix, tokens], 1) + predictor.pos_embed
    for block in predictor.blocks:
        tokens = block(tokens)
    return predictor.head(predictor.norm(tokens))[:, 1:]


def test_transformer_equals_the_one_that_restores_raster_order():
    encoder, predictor = make(JOINT)
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    expected = restored(predictor, features, mask)
    torch.testing.assert_close(
        predictor.predict_all(features, mask, GRID), expected, rtol=1e-4, atol=1e-5
    )


def test_visible_patches_can_be_predicted_too():
    encoder, predictor = make(JOINT)
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    expected = restored(predictor, features, mask)
    on_visible = predictor(features, mask._replace(predicted=mask.visible), GRID)
    ids = mask.visible[..., None].expand(-1, -1, 5)
    torch.testing.assert_close(on_visible, expected.gather(1, ids), rtol=1e-4, atol=1e-5)


def test_few_predictions_are_exact_by_cross_attention_only():
    encoder, cross = make(CROSS)
    mask = draw()
    few = mask._replace(predicted=mask.predicted[:, ::5])
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    torch.testing.assert_close(cross(features, few, GRID), cross(features, mask, GRID)[:, ::5])
    sparse = make(functools.partial(JOINT, sparse=True))[1]
    assert sparse(features, few, GRID).shape == (3, 4, 5)


@pytest.mark.parametrize("positions", ["sincos", "learned", "none"])
def test_transformer_takes_every_token_of_a_dense_encoder_at_its_place(positions):
    encoder, predictor = make(functools.partial(JOINT, positions=positions), hidden="token")
    mask, view = draw(), torch.randn(3, 3, 16, 24)
    features = encoder(view, mask)
    tokens = predictor.embed(torch.cat([features.prefix, features.tokens], 1))
    tokens = tokens if positions == "none" else tokens + predictor.pos_embed
    for block in predictor.blocks:
        tokens = block(tokens)
    expected = predictor.head(predictor.norm(tokens))[:, 1:]
    torch.testing.assert_close(
        predictor.predict_all(features, mask, GRID), expected, rtol=1e-4, atol=1e-5
    )
    for asked in (mask.predicted, mask.visible, mask.predicted[:, ::5]):
        found = predictor(features, mask._replace(predicted=asked), GRID)
        for row in range(3):
            torch.testing.assert_close(found[row], expected[row, asked[row]], rtol=1e-4, atol=1e-5)
    assert predictor.mask_token is None  # it would never have a gradient


@pytest.mark.parametrize(
    ("constructor", "on", "hidden"),
    [
        *((constructor, *way) for constructor in (JOINT, CROSS) for way in WAYS),
        (functools.partial(JOINT, sparse=True), "predicted", "drop"),
        *((predictors.OneLayer, *way) for way in WAYS if way != ("predicted", "drop")),
    ],
)
def test_predictions_depend_on_the_values_of_ids_only(constructor, on, hidden):
    encoder, predictor = make(constructor, hidden=hidden)
    mask, view = draw(), torch.randn(3, 3, 16, 24)
    mask = mask._replace(predicted=getattr(mask, on))
    cloned = Mask(*(ids.clone() for ids in mask[:3]))
    features = encoder(view, mask)
    given = features if features.ids is None else features._replace(ids=features.ids.clone())
    expected, found = predictor(features, mask, GRID), predictor(given, cloned, GRID)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_tokens_without_ids_are_refused():
    encoder, predictor = make(JOINT)
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)._replace(ids=None)
    with pytest.raises(
        ValueError, match=r"predictor: features: expected ids of 6 tokens on a grid of \(4, 6\)"
    ):
        predictor(features, mask, GRID)
    with pytest.raises(
        ValueError, match="Transformer: sparse: expected False, as ViT has a token for every"
    ):
        make(functools.partial(JOINT, sparse=True), hidden="token")
    encoder, predictor = make(JOINT, hidden="token")
    dropping = make(JOINT)[0](torch.randn(3, 3, 16, 24), mask)
    with pytest.raises(
        ValueError, match="Transformer: features: expected a token for every patch, as"
    ):
        predictor(dropping, mask, GRID)


def blocks(*rows):
    """A mask of one image that shows its first 8 patches and predicts these blocks."""
    every = torch.arange(24)[None]
    return Mask(every[:, :8], every[:, 8:], torch.tensor([sum(rows, ())]), groups=len(rows))


@pytest.mark.parametrize("constructor", [functools.partial(JOINT, sparse=True), CROSS])
def test_groups_are_predicted_apart(constructor):
    encoder, predictor = make(constructor)
    first, second, third = (8, 9, 14, 15), (9, 10, 15, 16), (20, 21, 22, 23)  # blocks may overlap
    features = encoder(torch.randn(1, 3, 16, 24), blocks(first))
    both, replaced = (predictor(features, blocks(first, other), GRID) for other in (second, third))
    assert both.shape == (1, 8, 5)
    torch.testing.assert_close(both[:, :4], replaced[:, :4], rtol=1e-5, atol=1e-6)
    for block, found in ((first, both[:, :4]), (second, both[:, 4:]), (third, replaced[:, 4:])):
        torch.testing.assert_close(
            found, predictor(features, blocks(block), GRID), rtol=1e-5, atol=1e-6
        )


def test_mask_tokens_of_one_group_see_each_other():
    encoder, predictor = make(JOINT)
    features = encoder(torch.randn(1, 3, 16, 24), blocks((8, 9)))
    whole = predictor(features, blocks((8, 9, 14, 15), (20, 21, 22, 23)), GRID)
    halves = predictor(features, blocks((8, 9), (14, 15), (20, 21), (22, 23)), GRID)
    assert not torch.allclose(whole, halves, rtol=1e-4, atol=1e-5)


def test_one_layer_needs_a_token_for_each_predicted_patch():
    encoder, predictor = make(predictors.OneLayer, hidden="token")
    mask = draw()
    features = encoder(torch.randn(3, 3, 16, 24), mask)
    ids = mask.predicted[..., None].expand(-1, -1, 5)
    expected = predictor.predict_all(features, mask, GRID).gather(1, ids)
    torch.testing.assert_close(predictor(features, mask, GRID), expected)
    dropping = make(predictors.OneLayer)[0]
    with pytest.raises(
        ValueError, match=r"OneLayer: features: expected a token for every predicted patch, got"
    ):
        predictor(dropping(torch.randn(3, 3, 16, 24), mask), mask, GRID)
    visible = mask._replace(predicted=mask.visible)
    assert predictor(dropping(torch.randn(3, 3, 16, 24), mask), visible, GRID).shape == (3, 6, 5)


def test_pooled_is_one_vector_per_image():
    encoder, predictor = make(predictors.Pooled)
    assert predictor(encoder(torch.randn(3, 3, 16, 24)), None, GRID).shape == (3, 1, 5)


@pytest.mark.parametrize("constructor", [JOINT, CROSS])
def test_nothing_may_be_hidden(constructor):
    encoder, predictor = make(constructor)
    every = torch.arange(24).expand(2, -1)
    mask = Mask(every, every[:, :0], every[:, :0])
    features = encoder(torch.randn(2, 3, 16, 24), mask)
    assert predictor(features, mask, GRID).shape == (2, 0, 5)
    assert predictor.predict_all(features, mask, GRID).shape == (2, 24, 5)


@pytest.mark.parametrize("constructor", [JOINT, CROSS])
def test_everything_may_be_hidden(constructor):
    encoder, predictor = make(constructor)
    every = torch.arange(24).expand(2, -1)
    mask = Mask(every[:, :0], every, every)
    assert predictor(encoder(torch.randn(2, 3, 16, 24), mask), mask, GRID).isfinite().all()
