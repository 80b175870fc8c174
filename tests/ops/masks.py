"""What the mask tests share: a call of each policy, its reference, and every mask's promises."""

import numpy as np
import torch

from pymim.ops import mask
from tests import reference

DRAW = dict(seed=2**62 + 5, step=2**33 + 7, view=3)
REFERENCE = reference.mask


def indices(b):
    return torch.arange(b) * 3 + 2**35


def scores(b, n, kind="normal"):
    """Scores of each kind that a policy may meet."""
    values = torch.randn(b, n, generator=torch.Generator().manual_seed(n))
    return {
        "normal": values,
        "constant": torch.zeros(b, n),
        "ties": values.round(),
        "bfloat16": values.bfloat16(),
        "float16": values.half() * 2**-16,
        "huge": values * 1e38,
        "tiny": values * 1e-44,
    }[kind]


def hidden_at(result):
    """The boolean of a MaskIds as numpy, once its three parts are seen to agree."""
    boolean = result.boolean.cpu()
    visible, hidden = result.visible.cpu(), result.hidden.cpu()
    b, n = boolean.shape
    assert visible.shape[1] + hidden.shape[1] == n and len(visible) == len(hidden) == b
    assert torch.equal(boolean.sum(1), torch.full((b,), hidden.shape[1]))
    for row in range(b):
        assert torch.equal(hidden[row], boolean[row].nonzero()[:, 0])
        assert torch.equal(visible[row], (~boolean[row]).nonzero()[:, 0])
    return boolean.numpy()


def to_numpy(tensor):
    return tensor.float().numpy()


def every_policy(index, device="cpu"):
    """Name -> masks of 196 patches, 49 visible, for each policy: to test what all promise."""
    index = index.to(device)
    by_image = torch.sin(index[:, None].float() % 997 * torch.arange(1, 197, device=device))
    bank = scores(5, 400).view(5, 20, 20).to(device)
    return {
        "uniform": mask.uniform(index, 196, 49, **DRAW),
        "units": mask.uniform(index, (4, 7, 7), 49, unit=(1, 7, 1), **DRAW),
        "filtered": mask.filtered(index, bank, (14, 14), 49, **DRAW),
        "weighted": mask.weighted(index, by_image.abs(), 49, **DRAW),
        "ranked": mask.ranked(index, by_image, 49, 36, **DRAW),
        "priority": mask.priority(index, by_image, 49, **DRAW),
        "disjoint": mask.disjoint(index, 196, 49, covered=180, **DRAW)[1],
        "budget": mask.budget(index, [100, 60, 36], 49, alpha=[0.5, 1, 2], **DRAW),
    }


def assert_equal(result, expected):
    found = hidden_at(result)
    np.testing.assert_array_equal(found, np.reshape(expected, found.shape))
