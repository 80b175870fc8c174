"""Patterns of filtered noise for ColorMAE's masks (Hinojosa et al. 2024); ops.mask.filtered crops
them.

White noise W and Gaussian blurs G give four colours: red G_s(W), blue W - G_s(W), green G_s(W) -
G_l(W) and purple W - (G_s(W) - G_l(W)), with s < l: low-, high-, band-pass and band-stop.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Frequencies = Literal["low", "high", "band", "stop"]


def patterns(
    count: int,
    size: int,
    band: Frequencies,
    *,
    sigma: float = 0.8,
    wide: float = 2.4,
    seed: int = 0,
) -> Tensor:
    """Make `count` square patterns, float32 [count size size], each of mean 0 and variance 1.

    Blurs wrap around, so a pattern is statistically the same everywhere and crops need no margin.
    Computes in float64; a seed gives the same patterns on one machine. Unlike the paper, which does
    not publish its widths, the defaults are pymim's.

    Args:
        count: number of patterns.
        size: patches per side.
        band: "low", "high", "band" or "stop".
        sigma: deviation of the smaller blur, in patches.
        wide: deviation of the larger blur, in patches; "band" and "stop" use it.
        seed: seed of the noise.

    Raises:
        ValueError: the widths are out of order, or the band is unknown.
    """
    if band not in ("low", "high", "band", "stop"):
        raise ValueError(
            f"patterns: band: expected 'low', 'high', 'band' or 'stop', got {band!r}; choose one"
        )
    if not 0 < sigma < wide:
        raise ValueError(
            f"patterns: sigma: expected 0 < sigma < wide, got {sigma} and {wide}; "
            "change one of the two"
        )
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, size, size, generator=generator, dtype=torch.float64)
    frequency = torch.fft.fftfreq(size, dtype=torch.float64).square()
    squared = frequency[:, None] + frequency[None, :]
    near, far = (torch.exp(-2 * (math.pi * width) ** 2 * squared) for width in (sigma, wide))
    gain = {"low": near, "high": 1 - near, "band": near - far, "stop": 1 - (near - far)}[band]
    noise: Tensor = torch.fft.ifft2(torch.fft.fft2(white) * gain).real
    noise = noise - noise.mean((1, 2), keepdim=True)
    return (noise / noise.std((1, 2), keepdim=True)).float()
