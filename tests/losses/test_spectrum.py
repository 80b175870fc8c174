"""The loss of frequencies against the released formula, in plain loops."""

import numpy as np
import pytest
import torch

from pymim.layers.patch import patchify
from pymim.losses import Spectrum
from pymim.masks.band import Kept

PATCH = (4, 4)


def picture(rows=8, columns=12, b=2):
    return torch.randn(b, 3, rows, columns)


def loss(prediction, target, inside=None, radius=2.0, patch=PATCH, **options):
    grid = tuple(side // p for side, p in zip(target.shape[2:], patch, strict=True))
    extra = None if inside is None else Kept(torch.tensor(inside), radius)
    patches = (patchify(each, patch, last=True) for each in (prediction, target))
    return Spectrum(**options)(*patches, grid=grid, patch=patch, extra=extra)


def released(prediction, target, inside, radius, gamma, by_image):
    """Sum of (1 - M) l over sum of (1 - M), over 3: shifted spectra of pictures, in float64."""
    sums, counts = [], []
    for image in range(len(target)):
        total, count = 0.0, 0
        for channel in range(3):
            spectra = [
                np.fft.fftshift(np.fft.fft2(each[image, channel].double().numpy(), norm="ortho"))
                for each in (prediction, target)
            ]
            rows, columns = spectra[0].shape
            for row in range(rows):
                for column in range(columns):
                    distance = (row - rows // 2) ** 2 + (column - columns // 2) ** 2
                    if inside is None or (distance < radius**2) != inside[image]:
                        difference = spectra[0][row, column] - spectra[1][row, column]
                        total += (
                            np.sqrt(difference.real**2 + difference.imag**2 + 1e-12) ** gamma / 3
                        )
                        count += channel == 0
        sums.append(total)
        counts.append(count)
    if by_image:
        return np.mean([total / count for total, count in zip(sums, counts, strict=True)])
    return sum(sums) / sum(counts)


@pytest.mark.parametrize("mean", ["image", "batch"])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("inside", [[True, False], [True, True], None])
def test_the_loss_equals_the_released_formula(inside, gamma, mean):
    prediction, target = picture(), picture()
    found = loss(prediction, target, inside, gamma=gamma, mean=mean)
    assert found.shape == (2, 8 * 7)
    expected = released(prediction, target, inside, 2.0, gamma, mean == "image")
    assert found.mean().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (3, 5), (5, 4)])
def test_pictures_of_odd_sides(rows, columns):
    prediction, target = picture(rows, columns), picture(rows, columns)
    found = loss(prediction, target, [True, False], 1.5, (1, 1))
    expected = released(prediction, target, [True, False], 1.5, 1.0, True)
    assert found.mean().item() == pytest.approx(expected, rel=1e-5)


def test_frequencies_that_were_kept_count_for_nothing():
    band, target, noise = Kept(torch.tensor([True, False]), 2.0), picture(), picture()
    found = loss(target + band.filtered(noise), target, [True, False])
    assert found.max() < 1e-4
    prediction = picture().requires_grad_()
    loss(prediction, target, [True, False]).mean().backward()
    gradient = torch.fft.rfft2(prediction.grad)
    kept = band.kept(8, 12)[:, None].expand_as(gradient)
    assert gradient[kept].abs().max() < 1e-6 * gradient[~kept].abs().max()
    assert (gradient[~kept].abs() > 0).float().mean() > 0.99


def test_a_perfect_prediction_has_a_finite_gradient():
    target = picture()
    prediction = target.clone().requires_grad_()
    loss(prediction, target, [True, False]).mean().backward()
    assert prediction.grad.isfinite().all()


def test_every_image_counts_the_same_by_image_and_hardly_one_by_batch():
    """A high-pass image lacks the few frequencies of the disc, a low-pass one all others."""
    prediction, target = picture(16, 16), picture(16, 16)
    by_image, by_batch = (
        loss(prediction, target, [True, False], mean=mean) for mean in ("image", "batch")
    )
    ratios = [(each[1].mean() / each[0].mean()).item() for each in (by_image, by_batch)]
    missing = [int((~kept).sum()) for kept in Kept(torch.tensor([True, False]), 2.0).kept(16, 16)]
    assert ratios[0] == pytest.approx(1, abs=0.5)
    assert ratios[1] < 2 * missing[1] / missing[0]


def test_parts_of_a_picture_and_unknown_means_are_refused():
    patches = torch.randn(2, 3, 48)
    with pytest.raises(
        ValueError, match="Spectrum: prediction: expected all 6 patches, got 3; set the objective"
    ):
        Spectrum()(patches, patches, grid=(2, 3), patch=PATCH)
    with pytest.raises(ValueError, match="Spectrum: mean: expected one of image, batch, got 'all'"):
        Spectrum(mean="all")
