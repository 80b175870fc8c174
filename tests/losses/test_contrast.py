"""InfoNCE, with the sum written out, and in two processes as in one."""

import math

import pytest
import torch
import torch.multiprocessing as mp

from pymim.losses import Contrast
from tests.launch import one_of_two


def sides():
    return torch.randn(2, 6, 2, 5, generator=torch.Generator().manual_seed(0)).unbind()


def plain(first, second, temperature):
    """Each picture's two losses by a loop over all vectors of one column."""
    vectors = [v / v.norm() for v in (*first, *second)]
    count = len(first)
    losses = []
    for i in range(count):
        pair = []
        for a, b in ((i, i + count), (i + count, i)):
            others = [
                math.exp(float(vectors[a] @ x) / temperature)
                for j, x in enumerate(vectors)
                if j != a
            ]
            pair.append(
                -math.log(math.exp(float(vectors[a] @ vectors[b]) / temperature) / sum(others))
            )
        losses.append(sum(pair) / 2)
    return losses


def test_it_is_the_sum_written_out_in_each_column():
    prediction, target = sides()
    found = Contrast(0.3)(prediction, target)
    for column in range(2):
        assert found[:, column].tolist() == pytest.approx(
            plain(prediction[:, column], target[:, column], 0.3), rel=1e-4
        )


def test_two_pictures_at_right_angles_have_the_loss_worked_out_by_hand():
    axes = torch.eye(3)[
        :2, None
    ]  # two pictures, each alike in both views, at right angles to the other
    wanted = -math.log(math.e / (math.e + 2))
    assert Contrast(1.0)(axes * 7, axes)[:, 0].tolist() == pytest.approx([wanted] * 2)


def test_both_sides_learn_unless_detached():
    prediction, target = (side.requires_grad_() for side in sides())
    Contrast()(prediction, target).mean().backward()
    assert prediction.grad.abs().sum() > 0 and target.grad.abs().sum() > 0
    assert Contrast()(prediction.bfloat16(), target.bfloat16()).dtype == torch.float32


def in_a_process(rank, folder, results):
    with one_of_two(rank, folder):
        prediction, target = (side[rank * 3 : rank * 3 + 3].requires_grad_() for side in sides())
        losses = Contrast()(prediction, target)
        losses.mean().backward()
        results[rank] = losses.detach(), prediction.grad / 2, target.grad / 2  # DDP takes the mean


def test_two_processes_contrast_as_one(tmp_path):
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(in_a_process, (str(tmp_path), results), nprocs=2)
        halves = [results[rank] for rank in (0, 1)]
    prediction, target = (side.requires_grad_() for side in sides())
    losses = Contrast()(prediction, target)
    losses.mean().backward()
    for part, whole in enumerate((losses.detach(), prediction.grad, target.grad)):
        torch.testing.assert_close(torch.cat([half[part] for half in halves]), whole)
