"""Encoders that see altered pixels: what is filled, what is filtered, and what the trunk gets."""

import functools

import numpy as np
import pytest
import torch

from pymim import losses, masks, predictors, targets
from pymim.contracts import Batch, Draw, Mask
from pymim.encoders import Altered, Fill, Filter, Projected, ResNet, Sobel, ViT
from pymim.errors import ConfigError
from pymim.masks.band import Kept
from pymim.method import Method
from pymim.objective import Objective

GRID = (4, 6)
STATISTICS = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def make(trunk=ViT, how=Fill, **options):
    torch.manual_seed(0)
    small = {"dim": 24, "depth": 2, "heads": 2, "image": (16, 24), "patch": 4}
    return Altered(trunk(**small | options) if trunk is ViT else trunk(**options), how)


def draw(b=2, grid=GRID):
    return masks.Uniform(0.5)(torch.arange(b), grid, Draw(0, 0))


def given(encoder):
    """Collects what the trunk is called with."""
    calls = []
    encoder.trunk.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    return calls


@pytest.mark.parametrize("value", ["mean", 0.25])
def test_hidden_patches_are_filled_with_one_colour(value):
    encoder, view, mask = (
        make(how=functools.partial(Fill, value=value)),
        torch.randn(2, 3, 16, 24),
        draw(),
    )
    expected = view.clone()
    for image in range(2):
        for patch in mask.hidden[image].tolist():
            row, column = 4 * (patch // 6), 4 * (patch % 6)
            for channel in range(3):
                colour = view[image, channel].mean() if value == "mean" else value
                expected[image, channel, row : row + 4, column : column + 4] = colour
    torch.testing.assert_close(encoder.seen(view, mask), expected)


def test_a_learned_colour_learns():
    encoder, mask = make(how=functools.partial(Fill, value="learned")), draw()
    encoder(torch.randn(2, 3, 16, 24), mask).tokens.square().sum().backward()
    assert (encoder.how.colour.grad != 0).all()
    with pytest.raises(
        ValueError, match="Fill: value: expected 'mean', 'learned' or a number, got 'grey'"
    ):
        make(how=functools.partial(Fill, value="grey"))


def test_views_of_any_side_are_filled_for_convolutions():
    encoder = make(
        ResNet, depths=(1, 1), dim=4, stem="small", image=7, how=functools.partial(Fill, value=9.0)
    )
    every = torch.arange(16).expand(1, -1)
    corner = Mask(every[:, :15], every[:, 15:], every[:, 15:])
    seen = encoder.seen(torch.zeros(1, 3, 7, 7), corner)
    assert encoder.grid((1, 3, 7, 7)) == (4, 4)
    assert (seen == 9).sum() == 3 and (seen[..., 6, 6] == 9).all()


def test_the_trunk_sees_every_altered_patch_and_no_mask():
    encoder, view, mask = make(), torch.randn(2, 3, 16, 24), draw()
    calls = given(encoder)
    features = encoder(view, mask)
    assert features.tokens.shape == (2, 24, 24) and features.ids is None
    assert torch.equal(calls[0][0], encoder.seen(view, mask)) and calls[0][1] is None
    assert encoder.hidden == "altered" and encoder.dense and encoder.bare is encoder.trunk
    torch.testing.assert_close(encoder(view).tokens, encoder.trunk(view).tokens)


def test_a_trunk_that_adds_a_token_gets_the_mask_besides():
    encoder, view, mask = make(hidden="add"), torch.randn(2, 3, 16, 24), draw()
    calls = given(encoder)
    encoder(view, mask)
    assert calls[0][1] is mask
    with pytest.raises(
        ValueError, match=r"Altered: trunk: expected hidden = 'none', .* got 'token', which would"
    ):
        make(hidden="token")


def test_filtered_pixels_are_those_of_a_plain_transform():
    how = functools.partial(Filter, statistics=STATISTICS)
    encoder, pixels = make(how=how), torch.rand(2, 3, 16, 24)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in STATISTICS)
    every = torch.arange(24).expand(2, -1)
    mask = Mask(every, every[:, :0], every, extra=Kept(torch.tensor([True, False]), 3.0))
    seen = encoder.seen((pixels - mean) / std, mask) * std + mean
    for image in range(2):
        for channel in range(3):
            spectrum = np.fft.fftshift(np.fft.fft2(pixels[image, channel].double().numpy()))
            for row in range(16):
                for column in range(24):
                    inside = (row - 8) ** 2 + (column - 12) ** 2 < 9
                    spectrum[row, column] *= inside == (image == 0)
            expected = np.fft.ifft2(np.fft.ifftshift(spectrum)).real.clip(0, 1)
            np.testing.assert_allclose(seen[image, channel].numpy(), expected, atol=1e-5)


def test_clamping_takes_about_half_of_a_high_pass_view():
    every = torch.arange(24).expand(8, -1)
    mask = Mask(every, every[:, :0], every, extra=Kept(torch.zeros(8, dtype=torch.bool), 3.0))
    view = torch.rand(8, 3, 16, 24)
    clamped = make(how=functools.partial(Filter, statistics="none")).seen(view, mask)
    assert 0.4 < (clamped == 0).float().mean() < 0.6
    whole = make(how=functools.partial(Filter, statistics="none", clamp=False)).seen(view, mask)
    torch.testing.assert_close(whole.mean((2, 3)), torch.zeros(8, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(whole.clamp(0, 1), clamped)


def method(encoder, mask, on="all"):
    return Method(
        encoder, [Objective(targets.Pixels, predictors.OneLayer, losses.L1(), on=on)], mask
    )


@pytest.mark.parametrize("trunk", [ViT, ResNet])
def test_convolutions_and_transformers_learn_under_altered_pixels(trunk):
    options = (
        {"depths": (1, 1, 1), "dim": 4, "stem": "small", "image": (16, 24)}
        if trunk is ResNet
        else {}
    )
    composed = method(make(trunk, **options), masks.Uniform(0.5), on="predicted")
    composed(
        Batch([torch.randn(4, 3, 16, 24)], torch.arange(4), torch.full((4,), -1)), 0
    ).loss.backward()
    assert not [name for name, p in composed.named_parameters() if p.grad is None]


@pytest.mark.parametrize(
    ("encoder", "mask", "reason"),
    [
        (
            {"how": Filter},
            masks.Uniform(0.5),
            r"Filter: mask: expected a mask that draws frequencies, got",
        ),
        (
            {"hidden": "token"},
            masks.Band(),
            r"Method: mask: expected one that hides patches, as ViT\.hidden is",
        ),
        (
            {"hidden": "mix"},
            masks.Uniform(0.5),
            r"Method: mask: expected Mask.extra with a method project\(tokens\)",
        ),
    ],
)
def test_masks_that_do_not_fit_are_refused_when_built(encoder, mask, reason):
    made = (
        make(**encoder) if "how" in encoder else ViT(24, 1, 2, image=(16, 24), patch=4, **encoder)
    )
    with pytest.raises((ValueError, ConfigError), match=reason):
        method(made, mask)


def test_wrappers_hand_on_what_their_trunk_says():
    trunk = ViT(
        24,
        3,
        2,
        image=8,
        patch=4,
        channels=2,
        positions="rotary",
        class_token=False,
        registers=4,
        place_registers=True,
        pool="mean",
        hidden="token",
        taps=(1, 2),
    )
    for wrapper in (Projected(trunk, (5,)), Sobel(trunk)):
        for name in ("placed", "hidden", "dense", "prefix", "taps", "base", "patch", "width"):
            assert getattr(wrapper, name) == getattr(trunk, name), name
        assert wrapper.traits.items() >= trunk.traits.items()
    projected = Projected(trunk, (5,))
    assert projected.bare is trunk and Sobel(trunk).bare is not trunk
    assert projected.embedding == 5 and projected.ended(1).embedding == 24  # a tap is not projected
    predictor = predictors.Cross(
        projected, 7, dim=8, depth=1, heads=2, positions="rotary", embed=False
    )
    assert predictor.rotary.placed == 4
