"""Masks against the plain reference, and the promises every policy makes."""

import numpy as np
import pytest
import torch

from pymim.ops import mask
from tests import reference

SHAPES = [(1, 1, 0), (1, 1, 1), (3, 7, 2), (5, 196, 49), (2, 33, 33), (2, 1568, 160), (0, 4, 2)]
DRAW = dict(seed=2**62 + 5, step=2**33 + 7, view=3)


def check_consistent(result, visible):
    boolean = result.boolean
    assert result.visible.shape[1] == visible
    assert torch.equal(boolean.sum(1), torch.full((len(boolean),), boolean.shape[1] - visible))
    for row in range(len(boolean)):
        assert torch.equal(result.hidden[row], boolean[row].nonzero()[:, 0])
        assert torch.equal(result.visible[row], (~boolean[row]).nonzero()[:, 0])


@pytest.mark.parametrize(("b", "n", "v"), SHAPES)
def test_uniform_equals_reference(b, n, v, device):
    index = torch.arange(b, device=device) * 3 + 2**35
    result = mask.uniform(index, n, v, **DRAW)
    check_consistent(mask.Mask(*(x.cpu() for x in result)), v)
    expected = reference.mask.uniform(index, n, v, **DRAW)
    np.testing.assert_array_equal(result.boolean.cpu().numpy().reshape(b, n), expected.reshape(b, n))


def test_mask_does_not_depend_on_the_batch(device):
    index = torch.arange(64, device=device)
    whole = mask.uniform(index, 196, 49, seed=1).boolean
    order = torch.randperm(64)
    assert torch.equal(mask.uniform(index[order], 196, 49, seed=1).boolean, whole[order])
    assert torch.equal(mask.uniform(index[5:6], 196, 49, seed=1).boolean, whole[5:6])


def test_numpy_in_numpy_out():
    result = mask.uniform(np.arange(4), 16, 4)
    assert all(isinstance(part, np.ndarray) for part in result)


def test_bad_count_is_refused():
    with pytest.raises(ValueError, match="uniform: visible: expected 0 to 16"):
        mask.uniform(torch.arange(4), 16, 17)
    with pytest.raises(TypeError, match="uniform: index: expected dtype int64, got float32"):
        mask.uniform(torch.zeros(4), 16, 4)


def test_registered_op_is_sound():
    torch.library.opcheck(mask.uniform_mask, (torch.arange(4), (1, 4, 4), (1, 1, 1), 4, 0, 0, 0))
    compiled = torch.compile(lambda i: mask.uniform(i, 16, 4, seed=3).visible, fullgraph=True)
    assert torch.equal(compiled(torch.arange(4)), mask.uniform(torch.arange(4), 16, 4, seed=3).visible)
