"""Rectangles of noise: how large, of what aspect, where, how often, and filled with what."""

import math

import numpy as np
import pytest
import torch

from pymim import philox, views
from pymim.contracts import Draw


def erased(erasing, shape, seed=0):
    """Pictures of a value that no fill has, and which of their pixels were filled."""
    images = torch.full(shape, -9.0)
    out = erasing(images, philox.Name(seed, 0, np.arange(len(images))), 64)
    return out, out != -9.0


def box(holes):
    """Top, left, height and width of the pixels [H W] that are True."""
    rows, columns = holes.any(1).nonzero()[:, 0], holes.any(0).nonzero()[:, 0]
    return int(rows[0]), int(columns[0]), len(rows), len(columns)


def test_areas_aspects_and_places_are_distributed_as_asked():
    _, holes = erased(views.Erasing(p=1.0, statistics="half"), (3000, 1, 60, 90))
    found = torch.tensor([box(hole[0]) for hole in holes if hole.any()], dtype=torch.float64)
    top, left, h, w = found.unbind(1)
    share, aspect = h * w / 5400, (h / w).log()
    assert len(found) > 2950  # ten draws each, of which hardly any has none that fits
    assert torch.equal(
        h * w, holes[holes.flatten(1).any(1)].flatten(1).sum(1).double()
    )  # all of it, no more
    assert share.min() > 0.018 and share.max() < 0.345
    assert h.max() < 60 and w.max() < 90
    # Over all draws, the area and the log of the aspect are uniform; those that do not fit are
    # left out of both.
    random = np.random.default_rng(0)
    area, log = (
        random.uniform(0.02, 1 / 3, 20000),
        random.uniform(math.log(0.3), math.log(1 / 0.3), 20000),
    )
    fits = (np.sqrt(area * 5400 * np.exp(log)) < 59.5) & (np.sqrt(area * 5400 / np.exp(log)) < 89.5)
    assert (
        abs(share.mean() - area[fits].mean()) < 0.006
        and abs(share.std() - area[fits].std()) < 0.006
    )
    assert (
        abs(aspect.mean() - log[fits].mean()) < 0.05 and abs(aspect.std() - log[fits].std()) < 0.04
    )
    for place, room in ((top, 60 - h), (left, 90 - w)):
        where = (place + 0.5) / (room + 1)
        assert abs(where.mean() - 0.5) < 0.02 and abs(where.std() - math.sqrt(1 / 12)) < 0.02


def test_pictures_are_erased_as_often_as_asked():
    _, holes = erased(views.Erasing(p=0.25, statistics="half"), (4000, 2, 16, 16))
    assert abs(holes.flatten(1).any(1).float().mean() - 0.25) < 0.02


def test_noise_is_standard_normal_once_normalised():
    statistics = ((0.2, 0.5, 0.7), (0.1, 0.3, 0.2))
    out, holes = erased(views.Erasing(p=1.0, statistics=statistics), (200, 3, 40, 40))
    normed = views.Normalise(statistics)(out)
    for channel in range(3):
        noise = normed[:, channel][holes[:, channel]]
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
        assert abs(noise.pow(4).mean() - 3) < 0.15
    assert len(noise.unique()) > 0.9 * len(noise)
    out, holes = erased(views.Erasing(p=1.0, fill="zero", statistics=statistics), (20, 3, 40, 40))
    assert views.Normalise(statistics)(out)[holes].abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(6, 5, 12, 20), (6, 2, 3, 20, 12)])
def test_a_change_depends_on_the_picture_alone(shape):
    make = views.Erasing(p=0.7, statistics="half")
    out, holes = erased(make, shape)
    again = make(
        torch.full((2, *shape[1:]), -9.0),
        philox.Name(0, np.zeros(2, np.int64), np.arange(3, 5)),
        64,
    )
    assert torch.equal(out[3:5], again)
    assert torch.equal(holes, holes[:, :1].expand(shape)) and holes.any() and not holes.all()
    if len(shape) == 5:
        assert torch.equal(holes[:, :, 0], holes[:, :, 2])
    assert not torch.equal(out, erased(make, shape, seed=1)[0])


def test_erasing_is_the_last_change_of_a_view():
    view = views.Pretrain(16, changes=[views.Erasing(p=1.0, statistics="half")], statistics="half")
    out = view(torch.full((4, 3, 20, 20), 128, dtype=torch.uint8), torch.arange(4), Draw(0, 0, 0))
    assert (out.abs() < 0.01).flatten(1).any(1).all() and (out.abs() > 1.5).flatten(1).any(1).all()


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="Erasing: fill: expected one of noise, zero, got 'grey'"):
        views.Erasing(fill="grey")
    with pytest.raises(
        ValueError, match=r"Erasing: area: expected two ascending numbers, got \(0.5, 0.1\)"
    ):
        views.Erasing(area=(0.5, 0.1))
