"""One token in all hidden cells of the last map, then blocks over the whole map."""

import pytest
import torch

from pymim import masks
from pymim.contracts import Draw
from pymim.encoders import ConvNeXt, ViT
from pymim.predictors import Convolved


def made(depth=1):
    torch.manual_seed(0)
    encoder = ConvNeXt((1, 1), dim=8, stem=2, image=(8, 12), hidden="sparse").double()
    mask = masks.Uniform(0.5)(torch.arange(2), (2, 3), Draw(0, 0))
    predictor = Convolved(encoder, 48, dim=6, depth=depth).double()
    return encoder, predictor, mask, torch.randn(2, 3, 8, 12).double()


@pytest.mark.parametrize("depth", [1, 2])
def test_predictions_are_by_hand(depth):
    encoder, predictor, mask, view = made(depth)
    features = encoder(view, mask)
    tokens = features.tokens @ predictor.embed.weight[:, :, 0, 0].T + predictor.embed.bias
    hidden = mask.boolean(6)[..., None]
    x = torch.where(hidden, predictor.mask_token.flatten(), tokens).mT.unflatten(2, (2, 3))
    for block in predictor.blocks:
        rows = block.norm(block.conv_dw(x).permute(0, 2, 3, 1))
        x = x + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(rows))).permute(0, 3, 1, 2)
    expected = x.flatten(2).mT @ predictor.head.weight[:, :, 0, 0].T + predictor.head.bias
    torch.testing.assert_close(predictor.predict_all(features, mask, (2, 3)), expected)
    found = predictor(features, mask, (2, 3))
    for image in range(2):
        torch.testing.assert_close(found[image], expected[image, mask.predicted[image]])


def test_tokens_stand_only_in_hidden_cells_and_learn():
    encoder, predictor, mask, view = made()
    predictor(encoder(view, mask), mask, (2, 3)).square().sum().backward()
    assert predictor.mask_token.grad.any()
    predictor.mask_token.grad = None
    predictor(encoder(view), None, (2, 3)).square().sum().backward()
    assert predictor.mask_token.grad is None


def test_encoders_without_a_map_are_refused():
    with pytest.raises(ValueError, match=r"Convolved: encoder: .* got ViT, which drops hidden"):
        Convolved(ViT(dim=16, depth=1, heads=2, image=8, patch=4), 48)
    clips = ViT(dim=12, depth=1, heads=2, image=(4, 8, 8), patch=(2, 4, 4), hidden="token")
    with pytest.raises(ValueError, match=r"Convolved: encoder: .* got clips of ViT"):
        Convolved(clips, 96)


def test_a_vision_transformer_with_tokens_is_a_map_too():
    encoder = ViT(dim=16, depth=1, heads=2, image=8, patch=4, hidden="token")
    mask = masks.Uniform(0.5)(torch.arange(2), (2, 2), Draw(0, 0))
    features = encoder(torch.randn(2, 3, 8, 8), mask)
    assert Convolved(encoder, 48, dim=8)(features, mask, (2, 2)).shape == (2, 2, 48)
