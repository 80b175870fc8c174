"""Masks of frequencies: which stay, for which images, and what is put in their place."""

import pytest
import torch

from pymim.contracts import Draw
from pymim.masks import Band
from pymim.masks.band import Kept

BOTH = torch.tensor([True, False])


def draw(index, policy=None, **name):
    return (policy or Band())(index, (14, 14), Draw(**{"seed": 0, "step": 0} | name))


def test_the_disc_is_that_of_the_released_code():
    """The distance from index 112 of the shifted 224 grid is below 16: 793 of 50176 frequencies."""
    disc = torch.zeros(224, 224, dtype=torch.bool)
    for row in range(224):
        for column in range(224):
            disc[row, column] = (row - 112) ** 2 + (column - 112) ** 2 < 16**2
    assert disc.sum() == 793
    half = torch.fft.ifftshift(disc)[:, :113]
    low, high = Kept(BOTH, 16.0).kept(224, 224)
    assert torch.equal(low, half) and torch.equal(high, ~half)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (7, 9), (6, 11)])
def test_a_band_and_the_other_are_the_picture(rows, columns):
    pixels = torch.rand(2, 3, rows, columns)
    one, other = Kept(BOTH, 2.0).filtered(pixels), Kept(~BOTH, 2.0).filtered(pixels)
    torch.testing.assert_close(one + other, pixels)
    torch.testing.assert_close(Kept(BOTH, 2.0).filtered(one), one, atol=1e-6, rtol=1e-5)


def test_predictions_are_pasted_into_what_is_kept():
    pixels, predicted = torch.rand(2, 1, 3, 8, 8), torch.rand(2, 1, 3, 8, 8)
    band = Kept(BOTH, 2.0)
    pasted = torch.fft.rfft2(band.pasted(predicted, pixels))
    kept = band.kept(8, 8)[:, None, None].expand_as(pasted)
    torch.testing.assert_close(pasted[kept], torch.fft.rfft2(pixels)[kept], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        pasted[~kept], torch.fft.rfft2(predicted)[~kept], atol=1e-5, rtol=1e-4
    )


def test_no_patch_is_hidden_and_every_patch_is_predicted():
    mask = draw(torch.arange(3))
    every = torch.arange(196).expand(3, -1)
    assert torch.equal(mask.visible, every) and torch.equal(mask.predicted, every)
    assert mask.hidden.shape == (3, 0) and mask.extra.radius == 16


def test_the_kept_band_is_drawn_for_each_image_and_step():
    index = torch.arange(4000)
    coins = draw(index).extra.inside
    assert torch.equal(coins[1000:1300], draw(index[1000:1300]).extra.inside)
    assert torch.equal(coins, draw(index).extra.inside)
    for other in ({"seed": 1}, {"step": 1}, {"view": 1}):
        assert 0.45 < (coins == draw(index, **other).extra.inside).float().mean() < 0.55


@pytest.mark.parametrize("low", [0.0, 0.3, 0.5, 1.0])
def test_low_is_the_share_that_keeps_the_disc(low):
    share = draw(torch.arange(20000), Band(low=low)).extra.inside.float().mean().item()
    assert share == pytest.approx(low, abs=4 * (low * (1 - low) / 20000) ** 0.5)


def test_impossible_bands_are_refused():
    with pytest.raises(ValueError, match="Band: radius: expected a number above 0, got 0"):
        Band(radius=0)
    with pytest.raises(ValueError, match=r"Band: low: expected a share from 0 to 1, got 1.5"):
        Band(low=1.5)
