"""What pixels are scaled by: of a random sample, finite, and not by nothing."""

import numpy as np
import pytest
import torch

from pymim import data, views
from pymim.contracts import Draw
from pymim.data import channel_statistics
from pymim.data.channel_statistics import statistics
from pymim.data.statistics import main
from pymim.errors import ConfigError, DataError
from pymim.probes import FineTune


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
    means, deviations = statistics(Values(pictures))[:2]
    assert deviations[3] == 1 and all(0.2 < std < 0.4 for std in deviations[:3])
    images = normalised(pictures, (means, deviations))
    assert images.isfinite().all() and images[:, 3].abs().max() < 1e-3 * max(1, value)
    said = capsys.readouterr().err
    assert "channel 3 of 4 (counted from 0) is constant" in said and said.count("\n") == 1


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
    with pytest.raises(
        DataError, match=f"statistics: picture 7: expected finite pixels, got {wrong:g}; repair or"
    ):
        statistics(Values(pictures))


def test_the_first_broken_picture_is_named():
    class Broken(Values):
        def __getitem__(self, index):
            raise data.Unreadable(index, "cut short")

    message = (
        r"statistics: source: expected pictures, got 6 broken pictures \(picture 0: .*; "
        r"and 3 more\); repair"
    )
    with pytest.raises(DataError, match=message):
        statistics(Broken([None] * 6))


@pytest.mark.parametrize("period", [2, 5, 10, 100])
def test_a_sample_has_every_kind_of_an_alternating_source(period):
    """Every `period`-th picture is bright: a stride would see these alone, or none."""
    source = Values([torch.full((1, 2, 2), float(index % period == 0)) for index in range(5000)])
    (mean,), (deviation,) = statistics(source, 1000)
    share = 1 / period
    assert abs(mean - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    assert deviation == pytest.approx((mean * (1 - mean)) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("mean", "deviation"), [(101_325.0, 5.0), (288.15, 0.3), (1e6, 0.7), (-40.0, 0.02)]
)
def test_small_deviations_far_from_zero_are_measured(mean, deviation):
    pixels = np.random.default_rng(0).normal(mean, deviation, (50, 1, 16, 16))
    found = statistics(Values([torch.from_numpy(picture) for picture in pixels]))
    assert found[0][0] == pytest.approx(pixels.mean(), abs=5e-3 * deviation)
    assert found[1][0] == pytest.approx(pixels.std(), rel=1e-3)


def test_a_few_pictures_are_all_measured():
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
def test_statistics_that_cannot_scale_pixels_are_refused(given, message):
    with pytest.raises(ValueError, match=f"Normalise: statistics: .*{message}"):
        views.Normalise(given)


def test_one_number_serves_all_channels():
    images = noise(2, 3, 4, 4)
    wanted = (images - 0.5) / torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(views.Normalise(((0.5,), (1, 2, 4)))(images.clone()), wanted)
    torch.testing.assert_close(views.Normalise((0.5, 2.0))(images.clone()), (images - 0.5) / 2)


def test_another_run_measures_again(tmp_path):
    """In one process, of a folder that has other pictures by then."""
    for value in (0, 200):
        np.save(tmp_path / "a.npy", np.full((4, 8, 8, 3), value, np.uint8))
        channel_statistics.forget()
        assert channel_statistics.measured(str(tmp_path / "a.npy"))[0] == pytest.approx(
            (value / 255,) * 3, rel=1e-3
        )


KINDS = {
    "8 bits": (lambda unit: (unit * 255).round().to(torch.uint8), None),
    "0 to 1": (lambda unit: unit, None),
    "0 to 255": (lambda unit: unit * 255, (0, 255)),
    "Hounsfield units": (lambda unit: unit * 4095 - 1024, (-1024, 3071)),
    "signed": (lambda unit: unit * 2 - 1, (-1, 1)),
}


def ends(*shape):
    """Noise that has both ends of its range in it."""
    pixels = noise(*shape)
    pixels[0, :, 0, 0], pixels[0, :, 0, 1] = 0, 1
    return pixels


@pytest.mark.parametrize("kind", KINDS)
def test_changes_of_colour_and_pictures_go_by_the_range(kind):
    """What is on [0, 1] is the judge: the same pictures in another range look the same."""
    make, right = KINDS[kind]
    unit = ends(12, 3, 16, 16)
    found, judge = statistics(Values(list(make(unit)))), statistics(Values(list(unit)))
    assert (found[2] if len(found) == 3 else None) == (
        right and pytest.approx(right, abs=1e-3)
    ) and len(judge) == 2
    changes = (
        views.Jitter(p=1),
        views.Grey(p=0.5),
        views.Blur(p=0.5),
        views.Solarise(p=0.5),
        views.Operations(1),
    )
    named = torch.arange(12), Draw(0, 0, 0)
    for change in changes:
        ours, theirs = (
            views.Pretrain(16, scale=(1, 1), ratio=(1, 1), changes=(change,), statistics=each)
            for each in (found, judge)
        )
        made, wanted = ours(make(unit), *named), theirs(unit, *named)
        shown = ours.normalise.undo(made)
        near = (shown - theirs.normalise.undo(wanted)).abs() < 0.02
        assert near.float().mean() > 0.97, (
            change
        )  # a threshold, or a step, may round to either side
        assert (made - wanted).abs()[near].max() < 0.1
    assert (
        ours.normalise.undo(
            ours.normalise(make(unit).float() / (255 if kind == "8 bits" else 1))
        ).max()
        < 1.01
    )


def test_colours_of_an_unknown_range_are_refused():
    pictures, named = noise(4, 3, 8, 8) * 255, (torch.arange(4), Draw(0, 0, 0))
    measured = statistics(Values(list(pictures)))
    plain = views.Pretrain(8, statistics=measured[:2])
    assert plain(pictures, *named).isfinite().all()  # nothing goes by the range
    view = views.Pretrain(8, changes=(views.Jitter(),), statistics=measured[:2])
    for images in (pictures, list(pictures)):
        with pytest.raises(
            ConfigError,
            match=r"changes: expected pixels on \[0, 1\], or statistics with a range.* to 25",
        ):
            view(images, *named)
    assert view(pictures / 255, *named).isfinite().all()
    with pytest.raises(
        ValueError, match=r"Normalise: statistics: expected a range \(low, high\), .* got \(1, 0\)"
    ):
        views.Normalise(((0.0,), (1.0,), (1, 0)))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.float64])
def test_an_array_of_any_type_has_its_range(tmp_path, dtype):
    """16 bits without a sign are on [0, 1] by their type; all others by what is in them."""
    pixels = (ends(10, 3, 8, 8) * 4000).numpy().astype(dtype)
    np.save(tmp_path / "x.npy", pixels)
    found = statistics(data.Array(tmp_path / "x.npy"))
    assert (found[2] if len(found) == 3 else None) == (None if dtype == np.uint16 else (0, 4000))


def test_a_source_may_state_its_range():
    source = Values(list(noise(10, 1, 8, 8) * 100))
    source.range = (-1024, 3071)
    assert (
        statistics(source)[2]
        == statistics(data.source.subset(source, [0, 1, 2]))[2]
        == (-1024, 3071)
    )


def test_fine_tuning_shows_views_of_a_known_range():
    """Its view gets pixels of the source, as the loader's does."""
    pixels = ends(4, 3, 8, 8) * 4095 - 1024
    view = views.Pretrain(8, (1, 1), (1, 1), flip=0, statistics=statistics(Values(list(pixels))))
    probe, images = FineTune(view=view), view.normalise(pixels.clone())
    torch.testing.assert_close(probe._shown(images, torch.arange(4), 0), images, atol=1e-4, rtol=0)
    view.changes = [views.Solarise(threshold=0.0, p=1)]
    unit = view.normalise.undo(probe._shown(images, torch.arange(4), 0))
    torch.testing.assert_close(unit, 1 - view.normalise.undo(images), atol=1e-4, rtol=0)
