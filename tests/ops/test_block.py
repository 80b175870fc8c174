"""Masks made of rectangles against the plain reference, and what every policy promises."""

import numpy as np
import pytest
import torch

from pymim.ops import block as ops
from pymim.ops import mask
from pymim.ops.block import hide, show
from pymim.ops.grid import MaskIds
from tests import reference

DRAW = dict(seed=2**62 + 5, step=2**33 + 7, view=3)
BEIT = (0.3, 1 / 0.3)

# grid, hidden, area, aspect, duration, tries
BLOCKS = [
    ((1, 14, 14), 75, (16, None), BEIT, (1, 1), 10),
    ((1, 14, 14), 196, (16, None), BEIT, (1, 1), 10),
    ((1, 14, 14), 0, (16, None), BEIT, (1, 1), 10),
    ((1, 1, 1), 1, (1, 1), (1, 1), (1, 1), 1),
    ((1, 5, 130), 300, (4, 100), (0.01, 2), (1, 1), 7),
    ((1, 64, 64), 2000, (16, None), BEIT, (1, 1), 3),
    ((1, 7, 7), 49, (9, 49), (0.3, 3.3), (1, 1), 10),
    ((1, 2, 2), 3, (1, 2), (0.5, 2), (1, 1), 10),
    ((1, 1, 30), 17, (2, 5), (0.1, 0.4), (1, 1), 9),
    ((8, 7, 7), 157, (9, 49), (0.3, 3.3), (1, 8), 100),
    ((3, 4, 70), 801, (2, 9), (0.2, 0.5), (2, 3), 5),
]
# grid, visible, aspect, roll
WINDOWS = [
    ((1, 16, 16), 90, (0.5, 2), True),
    ((1, 14, 14), 69, (0.5, 2), False),
    ((1, 3, 200), 500, (0.5, 2), True),
    ((1, 9, 2), 18, (1, 1), True),
    ((4, 6, 5), 28, (0.1, 10), True),
    ((1, 4, 4), 0, (1, 1), True),
]
# grid, visible, blocks, target, context, edges, raster
TARGETS = [
    ((1, 14, 14), 40, 4, (6, 5), (13, 13), False, True),
    ((1, 14, 14), 80, 4, (6, 6), (13, 14), True, False),  # often short of 80: several attempts
    ((1, 6, 6), 20, 3, (4, 4), (6, 6), True, False),  # always short unless targets move together
    ((4, 6, 80), 400, 5, (3, 30), (6, 70), True, False),
    ((1, 2, 2), 0, 1, (1, 1), (1, 1), False, True),
    ((1, 1, 3), 1, 1, (1, 1), (1, 2), True, True),
]


def indices(count=5):
    return torch.arange(count) * 3 + 2**35


def check_mask(result, visible):
    """Ids ascend, tell the same as the flags, and are as many as was asked."""
    boolean = result.boolean
    assert result.visible.shape == (len(boolean), visible)
    for row, flags in enumerate(boolean):
        assert torch.equal(result.hidden[row], flags.nonzero()[:, 0])
        assert torch.equal(result.visible[row], (~flags).nonzero()[:, 0])


def check_equals(boolean, expected):
    np.testing.assert_array_equal(boolean.cpu().numpy(), np.reshape(expected, boolean.shape))


def on_cpu(result):
    return type(result)(*(part.cpu() for part in result))


@pytest.mark.parametrize(("grid", "hidden", "area", "aspect", "duration", "tries"), BLOCKS)
def test_block_equals_reference(grid, hidden, area, aspect, duration, tries, device):
    law = dict(area=area, aspect=aspect, duration=duration, tries=tries)
    exact = ops.block(indices().to(device), grid, hidden, **law, **DRAW)
    ragged = ops.ragged_block(indices().to(device), grid, hidden, **law, **DRAW)
    sources = [reference.block.words_of(int(i), **DRAW) for i in indices()]
    check_mask(on_cpu(exact), np.prod(grid) - hidden)
    check_equals(
        exact.boolean, [reference.block.block(s, grid, hidden, **law, exact=True) for s in sources]
    )
    check_equals(
        ragged.boolean,
        [reference.block.block(s, grid, hidden, **law, exact=False) for s in sources],
    )
    assert torch.equal(ragged.hidden, ragged.boolean.sum(1))


@pytest.mark.parametrize(("grid", "visible", "aspect", "roll"), WINDOWS)
def test_inverse_block_equals_reference(grid, visible, aspect, roll, device):
    result = ops.inverse_block(
        indices().to(device), grid, visible, aspect=aspect, roll=roll, **DRAW
    )
    sources = [reference.block.words_of(int(i), **DRAW) for i in indices()]
    check_mask(on_cpu(result), visible)
    check_equals(
        result.boolean,
        [reference.block.inverse_block(s, grid, visible, aspect, roll) for s in sources],
    )


@pytest.mark.parametrize(
    ("grid", "visible", "blocks", "target", "context", "edges", "raster"), TARGETS
)
def test_multi_block_equals_reference(
    grid, visible, blocks, target, context, edges, raster, device
):
    law = dict(blocks=blocks, target=target, context=context, edges=edges, raster=raster)
    result = ops.multi_block(indices().to(device), grid, visible, **law, **DRAW)
    sources = [reference.block.words_of(int(i), **DRAW) for i in indices()]
    targets, hide = zip(
        *(reference.block.multi_block(s, grid, visible, **law) for s in sources), strict=True
    )
    check_mask(on_cpu(MaskIds(*result[:3])), visible)
    check_equals(result.boolean, hide)
    check_equals(result.targets, targets)


def calls():
    """One call of each policy, as a function of the indices."""
    return [
        lambda index: ops.block(index, (14, 14), 75, seed=1).boolean,
        lambda index: ops.ragged_block(index, (14, 14), 75, seed=1).boolean,
        lambda index: ops.inverse_block(index, (16, 16), 90, seed=1).boolean,
        lambda index: (
            ops.multi_block(index, (14, 14), 40, target=(6, 6), context=(13, 13), seed=1).targets
        ),
    ]


@pytest.mark.parametrize("call", calls())
def test_mask_depends_on_the_image_alone(call, device):
    index = torch.arange(64, device=device)
    whole, order = call(index), torch.randperm(64, device=device)
    assert torch.equal(call(index[order]), whole[order])
    assert torch.equal(call(index[5:6]), whole[5:6])
    assert len(call(index[:0])) == 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert torch.equal(call(index), whole)
    finally:
        torch.set_num_threads(threads)


def test_masks_of_other_draws_differ():
    index = torch.arange(8)
    masks = [
        mask.block(index, (14, 14), 75, seed=a, step=b, view=c).boolean
        for a, b, c in np.ndindex(2, 2, 2)
    ]
    assert len({tuple(m.flatten().tolist()) for m in masks}) == 8


def test_numpy_in_numpy_out():
    assert isinstance(mask.ragged_block(np.arange(4), (14, 14), 75).hidden, np.ndarray)
    assert isinstance(
        mask.multi_block(np.arange(4), (4, 4), 2, target=(2, 2), context=(4, 4)).targets, np.ndarray
    )


REFUSED = [
    (lambda i: ops.block(i, (14, 14), 197), "block: hidden: expected 0 to 196"),
    (
        lambda i: ops.block(i, (14, 0), 0),
        "block: grid: expected at least one patch, got 1 x 14 x 0",
    ),
    (lambda i: ops.block(i, (2, 2, 2, 2), 0), "grid: expected 1 to 3 sizes"),
    (
        lambda i: ops.block(i, (14, 14), 75, area=(0, 5)),
        "block: area: expected 1 <= low <= high <= 196",
    ),
    (lambda i: ops.block(i, (14, 14), 75, area=(16, 9)), "block: area: expected 1 <= low"),
    (
        lambda i: ops.block(i, (14, 14), 75, area=(16, float("nan"))),
        "block: area: expected 1 <= low",
    ),
    (
        lambda i: ops.block(i, (1, 196), 75),
        r"block: area: expected a smallest block that fits 1 x 195 \(the most on 1 x 196\)",
    ),
    (
        lambda i: ops.block(i, (7, 7), 49, area=(43, 49), aspect=(1, 1)),
        "block: area: .* fits 6 x 6",
    ),
    (lambda i: ops.block(i, (7, 7), 49, area=(43, 49)), "block: area: .* fits 6 x 6"),
    (
        lambda i: ops.block(i, (7, 9), 49, area=(14, 14), aspect=(3.2, 3.5)),
        "block: area: .* fits 6 x 8",
    ),
    (
        lambda i: ops.block(i, (14, 14), 75, aspect=(2, 1)),
        "block: aspect: expected 0 < low <= high, got 2 to 1",
    ),
    (lambda i: ops.block(i, (14, 14), 75, aspect=(0, 1)), "block: aspect: expected 0 < low"),
    (
        lambda i: ops.block(i, (14, 14), 75, aspect=(float("nan"), 1)),
        "block: aspect: expected 0 < low",
    ),
    (
        lambda i: ops.block(i, (8, 7, 7), 157, duration=(1, 9)),
        "block: duration: expected 1 <= low <= high <= 8",
    ),
    (lambda i: ops.block(i, (14, 14), 75, tries=0), "block: tries: expected 1 to 2"),
    (lambda i: ops.block(i, (14, 14), 75, step=-1), "block: seed, step, view: expected 0 or more"),
    (lambda i: ops.block(i - 1, (14, 14), 75), "block: index: expected 0 to 2"),
    (lambda i: ops.ragged_block(i, (14, 14), -1), "ragged_block: hidden: expected 0 to 196"),
    (
        lambda i: ops.ragged_block(i, (14, 14), 75, view=256),
        "ragged_block: view: expected below 256",
    ),
    (lambda i: ops.inverse_block(i, (16, 16), 257), "inverse_block: visible: expected 0 to 256"),
    (
        lambda i: ops.inverse_block(i, (4, 4, 4), 9),
        "inverse_block: visible: expected as many patches in each of 4",
    ),
    (
        lambda i: ops.multi_block(i, (4, 4), 13, target=(2, 2), context=(4, 4)),
        "multi_block: visible: expected at most 12",
    ),
    (
        lambda i: ops.multi_block(i, (4, 4), 1, target=(5, 2), context=(4, 4)),
        "multi_block: target: expected 1 x 1 to 4 x 4",
    ),
    (
        lambda i: ops.multi_block(i, (4, 4), 1, target=(2, 2), context=(4, 4), edges=False),
        r"multi_block: context: expected 1 x 1 to 3 x 3 \(edges are off\), got 4 x 4",
    ),
    (
        lambda i: ops.multi_block(i, (4, 4), 1, target=(2, 2), context=(4, 4), blocks=0),
        "multi_block: targets: expected 1 to 64 blocks",
    ),
    (
        lambda i: ops.multi_block(i, (4, 4), 1, target=(2, 2), context=(4, 4), blocks=65),
        "multi_block: blocks: expected",
    ),
    (lambda i: ops.block_size((14, 14), share=(0.2, 0.1)), "block_size: share: expected 0 < low"),
    (
        lambda i: ops.block_size((1, 14), share=(0.1, 0.2), edges=False),
        "block_size: grid: expected 2 x 2",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.arange(4))


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="block: index: expected dtype int64, got float32"):
        mask.block(torch.zeros(4), (14, 14), 75)


OPERATORS = [
    (hide.block_mask, ((1, 14, 14), 75, (16.0, 0.0), BEIT, (1, 1), 10, 0, 0, 0)),
    (hide.ragged_block_mask, ((1, 14, 14), 75, (16.0, 0.0), BEIT, (1, 1), 10, 0, 0, 0)),
    (show.inverse_block_mask, ((1, 16, 16), 90, (0.5, 2.0), True, 0, 0, 0)),
    (show.multi_block_mask, ((1, 14, 14), 40, 4, (6, 6), (13, 13), True, False, 0, 0, 0)),
]


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS)
def test_registered_op_is_sound(operator, arguments):
    torch.library.opcheck(operator, (torch.arange(4), *arguments))


def test_ops_compile_into_one_graph():
    index = torch.arange(4)

    def every(index):
        return [call(index) for call in calls()]

    for compiled, eager in zip(
        torch.compile(every, fullgraph=True)(index), every(index), strict=True
    ):
        assert torch.equal(compiled, eager)
