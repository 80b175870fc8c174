"""Sinkhorn in half-steps, over ranks."""

import numpy as np
import torch

from pymim.ops import sinkhorn
from tests.ops.ranks import two_ranks

OPTIONS = [
    dict(),
    dict(first="rows", last="columns", iterations=10),
    dict(mass=0.3, column_relax=1.0),
    dict(iterations=200, tolerance=1e-5),
]


def random_scores(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double() * 0.2


def _rank(rank, group):
    mine = random_scores(60, 12)[:20] if rank == 0 else random_scores(60, 12)[20:]
    return [
        (sinkhorn.plan(mine, group=group, **o), sinkhorn.labels(mine, group=group, **o))
        for o in OPTIONS
    ]


def test_two_ranks_are_one():
    first, second = two_ranks(_rank)
    for options, a, b in zip(OPTIONS, first, second, strict=True):
        scores = random_scores(60, 12)
        np.testing.assert_allclose(
            torch.cat([a[0], b[0]]), sinkhorn.plan(scores, **options), rtol=1e-9, atol=1e-12
        )
        assert torch.equal(torch.cat([a[1], b[1]]), sinkhorn.labels(scores, **options))


def test_registered_half_steps_are_sound():
    scores, row, column = torch.randn(2, 5, 4), torch.zeros(2, 5), torch.zeros(2, 4)
    torch.library.opcheck(sinkhorn.column_sums.op, (scores, row, 0.5))
    torch.library.opcheck(sinkhorn.sweep.op, (scores, row, column, row, 0.5))
    torch.library.opcheck(sinkhorn.write_plan.op, (scores, row, column, 0.5))
    torch.library.opcheck(sinkhorn.write_labels.op, (scores, column, 0.5))
    np.testing.assert_allclose(
        sinkhorn.column_sums(scores, row, 0.5), torch.logsumexp(scores / 0.5, 1), rtol=1e-5
    )
