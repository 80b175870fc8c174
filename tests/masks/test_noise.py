"""Filtered noise keeps the band it says, and makes masks of blobs or of dust."""

import pytest
import torch

from pymim.masks.noise import patterns
from pymim.ops import mask


def spectrum(noise):
    """Mean power of [P H W] in four rings of rising frequency."""
    power = torch.fft.fft2(noise.double()).abs().square().mean(0)
    frequency = torch.fft.fftfreq(noise.shape[1]).abs()
    ring = (torch.maximum(frequency[:, None], frequency[None, :]) * 8).long().clamp(max=3)
    return torch.stack([power[ring == r].mean() for r in range(4)])


@pytest.mark.parametrize(
    ("band", "loudest"), [("low", {0}), ("high", {2, 3}), ("band", {0, 1}), ("stop", {3})]
)
def test_band(band, loudest):
    noise = patterns(16, 32, band)
    assert noise.shape == (16, 32, 32) and noise.dtype == torch.float32 and noise.isfinite().all()
    torch.testing.assert_close(noise.mean((1, 2)), torch.zeros(16), atol=1e-6, rtol=0)
    torch.testing.assert_close(noise.std((1, 2)), torch.ones(16), atol=1e-5, rtol=0)
    assert spectrum(noise).argmax().item() in loudest
    assert torch.equal(noise, patterns(16, 32, band))
    assert not torch.equal(noise, patterns(16, 32, band, seed=1))


def test_the_stop_filter_removes_what_the_band_filter_passes():
    keep, stop = spectrum(patterns(32, 32, "band")), spectrum(patterns(32, 32, "stop"))
    assert stop.argmin() in (0, 1) and keep.argmin() == 3


def test_low_pass_masks_are_smoother_than_high_pass_masks():
    def neighbours_alike(band):
        hidden = mask.filtered(torch.arange(64), patterns(64, 20, band), (14, 14), 49).boolean.view(
            64, 14, 14
        )
        return (hidden[:, :, 1:] == hidden[:, :, :-1]).float().mean().item()

    uniform = 0.75**2 + 0.25**2
    assert neighbours_alike("high") < uniform - 0.03 < uniform + 0.03 < neighbours_alike("low")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(band="pink"), "band: expected"),
        (dict(band="low", sigma=3.0), "sigma: expected 0 < sigma < wide"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"patterns: {message}"):
        patterns(1, 8, **arguments)
