"""What every policy promises: a pure function, sound as a torch op, clear about bad input."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from pymim import _core
from pymim.ops import derived, guided, mask
from tests.ops.masks import every_policy, hidden_at, scores

POLICIES = sorted(every_policy(torch.arange(1)))


@pytest.mark.parametrize("name", POLICIES)
def test_masks_do_not_depend_on_batch_order_or_threads(name, device):
    index = torch.arange(64) * 7
    whole = every_policy(index, device)[name]
    hidden_at(whole)
    order = torch.randperm(64)
    assert torch.equal(every_policy(index[order], device)[name].boolean, whole.boolean[order])
    assert torch.equal(every_policy(index[5:6], device)[name].boolean, whole.boolean[5:6])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(every_policy(index, device)[name].hidden, whole.hidden)
    finally:
        torch.set_num_threads(threads)


def test_masks_of_two_images_views_steps_and_seeds_differ():
    draws = [dict(), dict(seed=1), dict(step=1), dict(view=1), dict(seed=2**40), dict(step=2**40)]
    rows = [mask.uniform(torch.tensor([0, 1, 2**33]), 196, 49, **draw).boolean for draw in draws]
    assert len({tuple(row.tolist()) for row in torch.cat(rows)}) == 18


def test_policies_share_no_random_numbers():
    index, flat = torch.arange(1000), torch.zeros(1000, 64)
    rows = [
        mask.uniform(index, 64, 32),
        mask.weighted(index, flat + 1, 32),
        mask.ranked(index, flat, 32, 0),
        mask.priority(index, flat, 32),
        mask.disjoint(index, 64, 32)[0],
        mask.budget(index, [64], 32),
    ]
    signs = torch.stack([row.boolean.float().flatten() - 0.5 for row in rows])
    assert (torch.corrcoef(signs) - torch.eye(len(rows))).abs().max() < 0.02


PRINT = """
import hashlib, torch
from tests.ops.masks import every_policy
masks = every_policy(torch.arange(40) * 11)
for name, m in masks.items():
    print(name, *(hashlib.md5(part.numpy().tobytes()).hexdigest() for part in m))
"""


@pytest.mark.parametrize("instructions", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_bits(instructions):
    environment = {**os.environ, "PYMIM_ISA": instructions, "PYTHONPATH": "."}
    narrow = subprocess.run(
        [sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, check=True
    )
    environment["PYMIM_ISA"] = "avx512"
    wide = subprocess.run(
        [sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, check=True
    )
    assert narrow.stdout == wide.stdout != ""


@settings(max_examples=60, deadline=None)
@given(some.data())
def test_counts_are_exact_for_any_input(data):
    b, n = data.draw(some.integers(0, 5)), data.draw(some.integers(0, 70))
    v = data.draw(some.integers(0, n))
    hard = data.draw(some.integers(0, n - v))
    index = torch.arange(b)
    values = torch.tensor(
        data.draw(
            some.lists(
                some.sampled_from([0.0, -0.0, 1.0, 2.5, 1e-40, 3e38]),
                min_size=b * n,
                max_size=b * n,
            )
        )
    ).view(b, n)
    certain = (-values).argsort(dim=1, stable=True)[:, :hard]
    ranked = hidden_at(mask.ranked(index, values, v, hard))
    assert np.take_along_axis(ranked, certain.numpy(), 1).all()
    for result in (
        mask.weighted(index, values, v),
        mask.priority(index, values, v),
        mask.uniform(index, n, v),
    ):
        assert hidden_at(result).shape == (b, n)
    covered = data.draw(some.integers(n - v, min(n, 3 * (n - v))))
    union = np.logical_or.reduce(
        [hidden_at(m) for m in mask.disjoint(index, n, v, views=3, covered=covered)]
    )
    assert (union.sum(1) == covered).all()


def test_tubes_repeat_and_agnostic_masks_do_not():
    index = torch.arange(8)
    tubes = mask.uniform(index, (8, 14, 14), 160, unit=(8, 1, 1)).boolean.view(8, 8, 196)
    assert (tubes == tubes[:, :1]).all() and (tubes.sum((1, 2)) == 1408).all()
    agnostic = mask.uniform(index, (8, 14, 14), 156).boolean.view(8, 8, 196)
    assert not (agnostic == agnostic[:, :1]).all(2).all(1).any()


def test_masks_equal_a_worked_example_of_the_paper():
    """MAE's noise and ratio for one worked image: what its argsort keeps is visible here."""
    noise = torch.tensor([[0.3, 0.1, 0.9, 0.2, 0.5, 0.7, 0.8, 0.4]])
    drawn = mask.ranked(torch.zeros(1, dtype=torch.int64), noise, 2, 6)
    assert drawn.visible.tolist() == [[1, 3]]
    assert drawn.boolean.int().tolist() == [[1, 0, 1, 0, 1, 1, 1, 1]]
    restore = torch.cat([drawn.visible, drawn.hidden], 1).argsort(
        1
    )  # where each patch lies in [visible, hidden]
    assert restore[0, [1, 3]].tolist() == [0, 1] and drawn.hidden.tolist() == [[0, 2, 4, 5, 6, 7]]


@pytest.mark.parametrize("policy", [mask.weighted, partial(mask.ranked, hard=3), mask.priority])
def test_scores_may_be_a_slice_of_attention_maps_with_a_gradient(policy):
    attention = torch.rand(
        4, 3, 17, 17, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    of_a_head = attention[:, 1, 0, 1:]
    assert not of_a_head.is_contiguous()
    ours, expected = (
        policy(torch.arange(4), of_a_head, 5),
        policy(torch.arange(4), of_a_head.detach().clone(), 5),
    )
    assert torch.equal(ours.boolean, expected.boolean)
    assert torch.equal(
        policy(torch.arange(4), of_a_head.detach().T.clone().T, 5).boolean, expected.boolean
    )
    every_other = attention.detach().numpy()[:, 0, 0, 1::2]
    assert policy(np.arange(4), every_other, 5).visible.shape == (4, 5)


def test_numpy_in_numpy_out():
    result = mask.ranked(np.arange(4), np.ones((4, 16), np.float32), 4, 3)
    assert all(isinstance(part, np.ndarray) for part in result)
    assert isinstance(mask.disjoint(np.arange(4), 16, 4)[1].hidden, np.ndarray)
    assert isinstance(mask.subset(np.arange(4), result.hidden, 2), np.ndarray)


I4, S = torch.arange(4), torch.ones(4, 16)
REFUSED = {
    "uniform: visible: expected 0 to 16 .*got 17": lambda: mask.uniform(I4, 16, 17),
    "uniform: index: expected dtype int64, got float32": lambda: mask.uniform(
        S[:, 0].clone(), 16, 4
    ),
    "uniform: index: expected 1 axes, got 2": lambda: mask.uniform(I4[None], 16, 4),
    "uniform_mask: index: expected 0 to": lambda: mask.uniform(I4 - 1, 16, 4),
    "uniform_mask: unit: expected a divisor of 4 .*got 3": lambda: mask.uniform(
        I4, (4, 4), 3, unit=(3, 1)
    ),
    "uniform_mask: visible: expected whole units of 4": lambda: mask.uniform(
        I4, (4, 4), 6, unit=(2, 2)
    ),
    "uniform: seed, step, view: expected 0 or more": lambda: mask.uniform(I4, 16, 4, seed=-1),
    "uniform: view: expected below 256": lambda: mask.uniform(I4, 16, 4, view=256),
    "uniform_mask: step: expected below 2.48": lambda: mask.uniform(I4, 16, 4, step=2**48),
    "grid: expected 1 to 3 sizes": lambda: mask.uniform(I4, (1, 1, 4, 4), 4),
    "filtered_mask: bank: expected .*W >= 4": lambda: mask.filtered(
        I4, torch.ones(2, 4, 3), (4, 4), 4
    ),
    "weighted_mask: weights: expected finite numbers of 0 or more": lambda: mask.weighted(
        I4, -S, 4
    ),
    "weighted_mask: weights: expected .B N. = .4 16., got .3 16.": lambda: mask.weighted(
        I4, S[:3], 4
    ),
    "weighted: weights: expected dtype float32, bfloat16 or float16, got float64": lambda: (
        mask.weighted(I4, S.double(), 4)
    ),
    "uniform: index: expected a contiguous array": lambda: mask.uniform(
        torch.arange(8)[::2], 16, 4
    ),
    "weighted: side: expected 'visible' or 'hidden'": lambda: mask.weighted(I4, S, 4, side="v"),
    "ranked_mask: scores: expected finite": lambda: mask.ranked(I4, (S / 0).bfloat16(), 4, 3),
    "ranked: hard: expected 0 to 12": lambda: mask.ranked(I4, S, 4, 13),
    "ranked: hide: expected 'highest' or 'lowest'": lambda: mask.ranked(I4, S, 4, 3, hide="hard"),
    "priority_mask: priority: expected finite": lambda: mask.priority(
        I4, (S * torch.nan).half(), 4
    ),
    "disjoint: views: expected 1 or more": lambda: mask.disjoint(I4, 16, 4, views=0),
    "disjoint_masks: covered: expected 12 .*got 11": lambda: mask.disjoint(I4, 16, 4, covered=11),
    "budget: sizes, alpha: expected": lambda: mask.budget(I4, [9, 9], 4, alpha=[1.0]),
    "budget_mask: alpha: expected 1e-3 to 1e6, got 0": lambda: mask.budget(I4, [9, 9], 4, alpha=0),
    "subset: count: expected 0 to 5": lambda: mask.subset(
        I4, torch.ones(4, 5, dtype=torch.int64), 6
    ),
    "expand_mask: coarse: expected 2 hidden cells": lambda: mask.expand(
        S > 0, (8, 8), 56, unit=(2, 2)
    ),
    "expand_mask: coarse: expected 4 cells, got 16": lambda: mask.expand(
        S > 0, (4, 4), 4, unit=(2, 2)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_refused(message):
    with pytest.raises((ValueError, TypeError), match=message):
        REFUSED[message]()


@pytest.mark.skipif(
    _core.emulated, reason="emulated kernels do not take part in torch.compile's checks"
)
def test_registered_ops_are_sound():
    boolean = mask.uniform(I4, 16, 4).boolean
    calls = [
        (mask.uniform_mask, (I4, (1, 4, 4), (1, 2, 2), 4, 0, 0, 0)),
        (mask.filtered_mask, (I4, torch.rand(2, 5, 5), 4, 4, 4, 0, 0, 0)),
        (guided.weighted_mask, (I4, S, 4, True, 0, 0, 0)),
        (guided.ranked_mask, (I4, S, 4, 5, False, 0, 0, 0)),
        (guided.priority_mask, (I4, S, 4, 0, 0, 0)),
        (mask.disjoint_masks, (I4, 16, 4, 2, 16, 0, 0, 0)),
        (mask.budget_mask, (I4, (9, 7), (1.0, 1.0), 4, 0, 0, 0)),
        (derived.subset_ids, (I4, torch.arange(20).view(4, 5), 2, 0, 0, 0)),
        (derived.expand_mask, (boolean, (1, 8, 8), (1, 2, 2), 16)),
    ]
    for op, arguments in calls:
        torch.library.opcheck(op, arguments)


def test_policies_compile_without_a_break():
    bank, weights = torch.rand(2, 20, 20), scores(8, 196).abs().requires_grad_()

    def draw(index):
        masks = [
            mask.uniform(index, 196, 49, seed=3),
            mask.filtered(index, bank, (14, 14), 49),
            mask.weighted(index, weights, 49),
            mask.ranked(index, weights, 49, 30),
            mask.priority(index, weights, 49),
            *mask.disjoint(index, 196, 100),
            mask.budget(index, [100, 96], 49),
        ]
        masks.append(mask.expand(masks[0].boolean, (28, 28), 196, unit=(2, 2)))
        return [m.visible for m in masks], mask.subset(index, masks[0].hidden, 8)

    index = torch.arange(8)
    compiled, eager = torch.compile(draw, fullgraph=True)(index), draw(index)
    assert torch.equal(compiled[1], eager[1])
    assert all(torch.equal(a, b) for a, b in zip(compiled[0], eager[0], strict=True))


@pytest.mark.parametrize("visible", [2**24 + 3, 2**24 + 11])
def test_a_budget_larger_than_floats_count_is_exact(visible):
    """As a float 2^24 + 3 is 2^24 + 4: one patch more than there is room for."""
    result = mask.budget(torch.arange(1), [2**24 + 16], visible)
    assert int(result.boolean.sum()) == 16 + 2**24 - visible
    assert result.visible[0, -1] < 2**24 + 16
