"""Layers on visible cells alone, against loops over the cells in float64."""

import pytest
import torch
from torch import nn

from pymim.contracts import Mask
from pymim.layers.norms import ChannelNorm
from pymim.layers.sparse import Active, Everywhere

GRID, SIDES = (2, 3), (4, 6)
VISIBLE = torch.tensor([[0, 2, 4], [1, 4, 5]])
HIDDEN = torch.tensor([[1, 3, 5], [0, 2, 3]])
MASK = Mask(VISIBLE, HIDDEN, HIDDEN)


def is_visible(image, row, column, sides=SIDES):
    patch = row * GRID[0] // sides[0] * GRID[1] + column * GRID[1] // sides[1]
    return patch in VISIBLE[image].tolist()


def active(image=0, sides=SIDES):
    return [
        (row, column)
        for row in range(sides[0])
        for column in range(sides[1])
        if is_visible(image, row, column, sides)
    ]


def maps(channels=3, sides=SIDES):
    torch.manual_seed(0)
    return torch.randn(2, channels, *sides, dtype=torch.float64)


@pytest.mark.parametrize("sides", [GRID, SIDES, (8, 12), (4, 3)])
def test_a_patch_is_as_many_cells_as_the_map_is_finer(sides):
    seen = Active(MASK, GRID)
    for image in range(2):
        there = seen.at(sides)[image, 0].nonzero().tolist()
        assert [tuple(cell) for cell in there] == active(image, sides)
        ids = sorted(row * sides[1] + column for row, column in active(image, sides))
        assert sorted(seen.ids(sides)[image].tolist()) == ids


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(3, 1, 1), (3, 2, 1), (1, 1, 1), (5, 1, 3), (2, 2, 1)]
)
def test_a_sparse_convolution_sums_over_visible_neighbours_and_leaves_hidden_cells_empty(
    kernel, stride, groups
):
    """Written as a loop: each visible cell, over the visible cells of its window."""
    seen, padding = Active(MASK, GRID), (kernel - 1) // 2
    conv = nn.Conv2d(3, 3, kernel, stride, padding, groups=groups).double()
    x = maps()
    found = seen.keep(conv(seen.keep(x)))
    expected = torch.zeros_like(found)
    out = found.shape[2:]
    for image in range(2):
        for row, column in active(image, tuple(out)):
            total = conv.bias.detach().clone()
            for down in range(kernel):
                for across in range(kernel):
                    r, c = row * stride + down - padding, column * stride + across - padding
                    inside = 0 <= r < SIDES[0] and 0 <= c < SIDES[1]
                    if inside and is_visible(image, r, c):
                        cell = x[image, :, r, c]
                        weights = conv.weight[:, :, down, across].detach()
                        total += (weights[:, 0] * cell) if groups == 3 else weights @ cell
            expected[image, :, row, column] = total
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_counts_visible_cells_alone(training):
    seen, norm = Active(MASK, GRID), nn.BatchNorm2d(3).double().train(training)
    norm.weight.data, norm.bias.data = torch.randn(2, 3).double()
    norm.running_mean += 0.5
    x, before = maps(), (norm.running_mean.clone(), norm.running_var.clone())
    found = seen.norm(norm, x)
    expected = torch.zeros_like(x)
    for channel in range(3):
        values = [x[i, channel, r, c].item() for i in range(2) for r, c in active(i)]
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        variance = squares / len(values)
        if training:
            running = 0.9 * before[0][channel] + 0.1 * mean
            assert norm.running_mean[channel].item() == pytest.approx(running.item())
            unbiased = 0.9 * before[1][channel] + 0.1 * squares / (len(values) - 1)
            assert norm.running_var[channel].item() == pytest.approx(unbiased.item())
        else:
            mean, variance = (statistic[channel].item() for statistic in before)
        for image in range(2):
            for row, column in active(image):
                normed = (x[image, channel, row, column] - mean) / (variance + 1e-5) ** 0.5
                expected[image, channel, row, column] = (
                    normed * norm.weight[channel] + norm.bias[channel]
                )
    torch.testing.assert_close(found, expected)


def test_channel_norm_is_of_each_visible_cell():
    seen, norm = Active(MASK, GRID), ChannelNorm(3).double()
    norm.weight.data, norm.bias.data = torch.randn(2, 3).double()
    x, expected = maps(), torch.zeros(2, 3, *SIDES).double()
    for image in range(2):
        for row, column in active(image):
            cell = x[image, :, row, column]
            centred = cell - cell.mean()
            normed = centred / (centred.square().mean() + 1e-6).sqrt()
            expected[image, :, row, column] = normed * norm.weight + norm.bias
    torch.testing.assert_close(seen.norm(norm, x), expected)


def test_cells_are_listed_and_put_back():
    seen, x = Active(MASK, GRID), maps()
    rows = seen.pack(x)
    assert rows.shape == (2, len(active()), 3)
    torch.testing.assert_close(seen.unpack(rows, SIDES), seen.keep(x))
    torch.testing.assert_close(seen.pack(seen.unpack(rows, SIDES)), rows)
    token = torch.arange(3.0).view(1, 3, 1, 1)
    filled = seen.fill(x, token)
    for image in range(2):
        for row in range(SIDES[0]):
            for column in range(SIDES[1]):
                wanted = x[image, :, row, column] if is_visible(image, row, column) else token
                assert torch.equal(filled[image, :, row, column], wanted.flatten().double())


def test_without_a_mask_everything_is_seen():
    seen, x, norm = Everywhere(), maps(), nn.BatchNorm2d(3).double()
    every = torch.arange(6).expand(2, -1)
    whole = Active(Mask(every, every[:, :0], every[:, :0]), GRID)
    for one in (seen, whole):
        assert torch.equal(one.keep(x), x)
        assert torch.equal(one.fill(x, torch.ones(1, 3, 1, 1)), x)
        torch.testing.assert_close(one.norm(norm, x), nn.BatchNorm2d(3).double()(x))
        torch.testing.assert_close(one.unpack(one.pack(x), SIDES), x)


def test_sides_that_are_no_multiples_of_the_grid_are_refused():
    with pytest.raises(
        ValueError, match=r"sides: expected multiples of the grid \(2, 3\), got \(4, 7\)"
    ):
        Active(MASK, GRID).keep(maps(sides=(4, 7)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_types_and_gradients(dtype):
    seen, x = Active(MASK, GRID), maps().to(dtype).requires_grad_()
    out = seen.norm(nn.BatchNorm2d(3).to(dtype), seen.keep(x))
    assert out.dtype == dtype
    (out * torch.randn_like(out)).sum().backward()
    reached = x.grad.abs().sum(1, keepdim=True) > 0
    assert torch.equal(reached, seen.at(SIDES))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_maps_keep_their_layout(layout):
    """A narrow network in channels last runs into a fault of oneDNN: encoders.resnet.NARROW."""
    seen, x = Active(MASK, GRID), maps().contiguous(memory_format=layout)
    for out in (seen.keep(x), seen.norm(nn.BatchNorm2d(3).double(), x)):
        assert out.is_contiguous(memory_format=layout)
