"""What pixels are scaled by: of a random sample, finite, and not by nothing."""

import numpy as np
import pytest
import torch

from pymim import data, views
from pymim.data import moments
from pymim.data.moments import statistics
from pymim.data.statistics import main
from pymim.errors import DataError


class Values:
    """Pictures as they are given."""

    labels = classes = None

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        return data.Sample(self.pictures[index], -1)

    def path(self, index):
        return f"picture {index}"


def noise(*shape, dtype=torch.float32):
    pixels = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    return (pixels * 255).to(torch.uint8) if dtype == torch.uint8 else pixels


def normalised(pictures, found):
    whole = torch.stack(pictures)
    return views.Normalise(found)(whole.float() / (255 if whole.dtype == torch.uint8 else 1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_channel_is_not_scaled_and_said(dtype, value, capsys):
    pictures = list(noise(40, 4, 8, 8, dtype=dtype))
    for picture in pictures:
        picture[3] = value
    means, deviations = statistics(Values(pictures))
    assert deviations[3] == 1 and all(0.2 < std < 0.4 for std in deviations[:3])
    images = normalised(pictures, (means, deviations))
    assert images.isfinite().all() and images[:, 3].abs().max() < 1e-3 * max(1, value)
    said = capsys.readouterr().err
    assert "channel 3 of 4 (from 0) is constant" in said and said.count("\n") == 1


def test_the_command_prints_what_it_can_use(tmp_path, capsys):
    pixels = noise(20, 8, 8, 4, dtype=torch.uint8)
    pixels[..., 1] = 255
    np.save(tmp_path / "x.npy", pixels.numpy())
    assert main([str(tmp_path / "x.npy"), "4"]) == 0
    captured = capsys.readouterr()
    printed = eval(captured.out.removeprefix("STATISTICS = "))
    assert printed[0][1] == 1 and printed[1][1] == 1 and "channel 1 of 4" in captured.err
    views.Normalise(printed)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_not_finite_is_refused_by_name(wrong):
    pictures = list(noise(40, 3, 8, 8))
    pictures[7][1, 2, 3] = wrong
    with pytest.raises(DataError, match=f"statistics: picture 7: expected finite pixels, got {wrong:g}; mend or"):
        statistics(Values(pictures))


def test_the_first_broken_one_is_named():
    class Broken(Values):
        def __getitem__(self, index):
            raise data.Unreadable(index, "cut short")

    message = r"statistics: source: expected pictures, got 6 broken pictures \(picture 0: .*; and 3 more\); mend"
    with pytest.raises(DataError, match=message):
        statistics(Broken([None] * 6))


@pytest.mark.parametrize("period", [2, 5, 10, 100])
def test_a_sample_is_of_every_kind_in_turn(period):
    """Every `period`-th picture is bright: a stride would see these alone, or none."""
    source = Values([torch.full((1, 2, 2), float(index % period == 0)) for index in range(5000)])
    (mean,), (deviation,) = statistics(source, 1000)
    share = 1 / period
    assert abs(mean - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    assert deviation == pytest.approx((mean * (1 - mean)) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(("mean", "deviation"), [(101_325.0, 5.0), (288.15, 0.3), (1e6, 0.7), (-40.0, 0.02)])
def test_what_varies_little_far_from_zero_is_scaled_as_it_should_be(mean, deviation):
    pixels = np.random.default_rng(0).normal(mean, deviation, (50, 1, 16, 16))
    found = statistics(Values([torch.from_numpy(picture) for picture in pixels]))
    assert found[0][0] == pytest.approx(pixels.mean(), abs=5e-3 * deviation)
    assert found[1][0] == pytest.approx(pixels.std(), rel=1e-3)


def test_all_pictures_are_measured_as_before_where_they_are_few():
    pictures = noise(300, 3, 8, 8, dtype=torch.uint8)
    pixels = pictures.numpy() / 255
    means, deviations = statistics(Values(list(pictures)), 1000)
    assert means == tuple(float(f"{x:.4g}") for x in pixels.mean((0, 2, 3)))
    assert deviations == tuple(float(f"{x:.4g}") for x in pixels.std((0, 2, 3)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0.5,), (0.0,)), "means and deviations above 0, got mean 0.5 and deviation 0; write 1"),
        (((0.5, 0.4), (1.0, -1.0)), "got mean 0.4 and deviation -1"),
        (((float("nan"),), (1.0,)), "got mean nan"),
        (((0.5,), (float("inf"),)), "deviation inf"),
        (((0.5, 0.4), (1.0, 1.0, 1.0)), "expected as many means as deviations, got 2 and 3"),
        ((("a",), ("b",)), r"expected numbers, got \(\('a',\), \('b',\)\)"),
        ((0.5,), "expected one of none, half"),
    ],
)
def test_what_pixels_cannot_be_scaled_by_is_refused(given, message):
    with pytest.raises(ValueError, match=f"Normalise: statistics: .*{message}"):
        views.Normalise(given)


def test_one_number_serves_all_channels():
    images = noise(2, 3, 4, 4)
    wanted = (images - 0.5) / torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(views.Normalise(((0.5,), (1, 2, 4)))(images.clone()), wanted)
    torch.testing.assert_close(views.Normalise((0.5, 2.0))(images.clone()), (images - 0.5) / 2)


def test_another_run_measures_anew(tmp_path):
    """In one process, of a folder that has other pictures by then."""
    for value in (0, 200):
        np.save(tmp_path / "a.npy", np.full((4, 8, 8, 3), value, np.uint8))
        moments.forget()
        assert moments.measured(str(tmp_path / "a.npy"))[0] == pytest.approx((value / 255,) * 3, rel=1e-3)
