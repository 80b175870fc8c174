"""The decoder over an encoder's maps: each scale by hand, who gets gradients, what is refused."""

import pytest
import torch
from torch import nn

from pymim import masks
from pymim.contracts import Draw, Features
from pymim.encoders import Projected, ResNet, ViT
from pymim.layers.patch import patchify
from pymim.predictors import Pyramid

SMALL = {"depths": (1, 1, 1), "dim": 4, "stem": "small", "hidden": "sparse"}


def made(image=(8, 12), channels=3, **arguments):
    torch.manual_seed(0)
    encoder = ResNet(**SMALL, image=image, channels=channels).double()
    predictor = Pyramid(encoder, channels * 16, **{"dim": 8, **arguments}).double()
    mask = masks.Uniform(0.5)(torch.arange(2), encoder.base, Draw(0, 0))
    view = torch.randn(2, channels, *image).double()
    return encoder, predictor, mask, view


def by_hand(predictor, features, mask, grid, norm):
    """Each scale: norm over visible cells, tokens in hidden ones, a convolution, a block."""
    visible = ~mask.boolean(grid[0] * grid[1]).view(2, 1, *grid)
    out = 0
    for number, block in enumerate(predictor.blocks):
        if number < len(predictor.norms):
            level = features.pyramid[-1 - number]
            finer = level.shape[2] // grid[0]
            seen = nn.functional.interpolate(visible.double(), scale_factor=finer) > 0
            cells = level.permute(0, 2, 3, 1)
            if norm == "batch":
                kept = cells[seen[:, 0]]
                mean, variance = kept.mean(0), kept.var(0, unbiased=False)
                normed = (cells - mean) / (variance + 1e-5).sqrt()
            else:
                variance, mean = torch.var_mean(cells, -1, keepdim=True, unbiased=False)
                normed = (cells - mean) / (variance + 1e-6).sqrt()
            token = predictor.mask_tokens[number].flatten()
            filled = torch.where(seen[:, 0, :, :, None], normed, token).permute(0, 3, 1, 2)
            out = out + predictor.joins[number](filled)
        out = nn.functional.conv_transpose2d(out, block.up.weight, block.up.bias, 2, 1)
        for conv, last in ((block.conv1, False), (block.conv2, True)):
            out = nn.functional.conv2d(out, conv.weight, padding=1)
            variance, mean = torch.var_mean(out, (0, 2, 3), keepdim=True, unbiased=False)
            out = (out - mean) / (variance + 1e-5).sqrt()
            out = out if last else out.clamp(0, 6)
    return predictor.head(out)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("taken", [1, 2, None])
def test_maps_are_made_dense_at_each_scale_and_joined(norm, taken):
    encoder, predictor, mask, view = made(norm=norm, maps=taken)
    features = encoder(view, mask)
    found = predictor.predict_all(features, mask, (2, 3))
    pixels = by_hand(predictor, features, mask, (2, 3), norm)
    assert pixels.shape == (2, 3, 8, 12)
    torch.testing.assert_close(found, patchify(pixels, (4, 4), last=True))
    asked = predictor(features, mask, (2, 3))
    for image in range(2):
        torch.testing.assert_close(asked[image], found[image, mask.predicted[image]])


def test_sizes_are_those_of_the_release():
    """768 halves at each of five doublings; the finest of four maps has a stride of 4."""
    with torch.device("meta"):
        encoder = ResNet((3, 4, 6, 3), bottleneck=True, hidden="sparse")
        predictor = Pyramid(encoder, 3 * 32 * 32)
    assert [block.up.weight.shape[0] for block in predictor.blocks] == [768, 384, 192, 96, 48]
    assert [token.shape[1] for token in predictor.mask_tokens] == [2048, 1024, 512, 256]
    joins = [(join.in_channels, join.out_channels, join.kernel_size[0]) for join in predictor.joins]
    assert joins == [(2048, 768, 1), (1024, 384, 3), (512, 192, 3), (256, 96, 3)]
    assert predictor.head.weight.shape == (3, 24, 1, 1)
    assert all(block.up.bias is not None and block.conv1.bias is None for block in predictor.blocks)


def test_a_map_as_wide_as_the_decoder_is_taken_in_as_it_is():
    encoder, predictor, _, _ = made(dim=16)
    assert encoder.width == 16 and isinstance(predictor.joins[0], nn.Identity)


def test_weights_start_as_released():
    torch.manual_seed(0)
    encoder = ResNet((1, 1), dim=64, stem="small", image=8, hidden="sparse")
    predictor = Pyramid(encoder, 12, dim=256)
    tokens = torch.cat([token.flatten() for token in predictor.mask_tokens])
    assert tokens.abs().max() <= 0.02 and tokens.std() > 0.008  # cut at one deviation
    (block,) = predictor.blocks
    assert block.conv1.weight.std().item() == pytest.approx(0.02, rel=0.01)
    fan_out = (2 / (256 * 16)) ** 0.5  # torch counts the inputs of a transposed convolution
    assert block.up.weight.std().item() == pytest.approx(fan_out, rel=0.01)
    assert not block.up.bias.any() and not predictor.head.bias.any()
    bound = (1 / 128) ** 0.5  # torch's own of a 1 x 1 convolution
    assert predictor.joins[0].weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_gradients_reach_every_map_and_token_and_no_hidden_pixel():
    encoder, predictor, mask, view = made()
    view.requires_grad_()
    predictor(encoder(view, mask), mask, (2, 3)).square().sum().backward()
    untouched = [name for name, p in predictor.named_parameters() if not p.grad.any()]
    assert not untouched
    assert not [name for name, p in encoder.named_parameters() if not p.grad.any()]
    reached = patchify(view.grad, (4, 4)).abs().sum(-1) > 0
    assert torch.equal(reached, ~mask.boolean(6))


def test_tokens_stand_only_in_hidden_cells():
    """Without hidden cells a token changes nothing, and has no gradient."""
    encoder, predictor, mask, view = made()
    every = torch.arange(6).expand(2, -1)
    whole = mask._replace(visible=every, hidden=every[:, :0], predicted=every)
    predictor(encoder(view, whole), whole, (2, 3)).square().sum().backward()
    assert not any(token.grad.any() for token in predictor.mask_tokens)
    torch.testing.assert_close(
        predictor(encoder(view, whole), whole, (2, 3)), predictor(encoder(view), None, (2, 3))
    )


@pytest.mark.parametrize("channels", [1, 4, 12])
@pytest.mark.parametrize("image", [(8, 8), (4, 20)])
def test_any_channel_count_and_rectangle(channels, image):
    encoder, predictor, mask, view = made(image, channels)
    grid = encoder.grid(view.shape)
    out = predictor(encoder(view, mask), mask, grid)
    assert out.shape == (2, mask.predicted.shape[1], channels * 16)


def test_what_does_not_fit_is_refused():
    encoder = ResNet(**SMALL, image=8)
    with pytest.raises(ValueError, match=r"Pyramid: encoder: expected one with maps .*, got ViT"):
        Pyramid(ViT(dim=16, depth=1, heads=2, image=8, patch=4), 48)
    with pytest.raises(ValueError, match=r"Pyramid: encoder: expected one with maps .*, got Ended"):
        Pyramid(encoder.ended(2), 12)
    with pytest.raises(ValueError, match=r"Pyramid: dim: expected a multiple of 4, .* got 10"):
        Pyramid(encoder, 48, dim=10)
    with pytest.raises(ValueError, match="Pyramid: width: expected a multiple of the 16 pixels"):
        Pyramid(encoder, 40, dim=8)
    with pytest.raises(ValueError, match="Pyramid: maps: expected a whole number, from 1 to 2"):
        Pyramid(encoder, 48, dim=8, maps=3)
    with pytest.raises(
        ValueError, match="Pyramid: norm: expected one of batch, layer, got 'group'"
    ):
        Pyramid(encoder, 48, dim=8, norm="group")
    odd = ResNet((1,), dim=4, stem="small", hidden="sparse")
    with pytest.raises(ValueError, match=r"Pyramid: encoder: expected square patches .*\(1, 1\)"):
        Pyramid(odd, 3, dim=8)


def test_a_projection_hands_the_maps_on():
    encoder = Projected(ResNet(**SMALL, image=8), (5,))
    mask = masks.Uniform(0.5)(torch.arange(2), (2, 2), Draw(0, 0))
    features: Features = encoder(torch.randn(2, 3, 8, 8), mask)
    assert encoder.widths == tuple(level.shape[1] for level in features.pyramid)
    assert Pyramid(encoder, 48, dim=8)(features, mask, (2, 2)).shape == (2, 2, 48)
