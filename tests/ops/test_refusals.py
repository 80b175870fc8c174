"""Whatever an argument is, an op takes it or says in one line what it expected."""

import inspect
import random
import re
import warnings

import numpy as np
import pytest
import torch

from pymim.ops import block, kmeans, mask, rank, sinkhorn
from tests.ops.bad import CALLS, NO_TENSOR, NUMBERS, POINTS, SCORES, SPEAKERS, no_dense_tensor


def bad_values(right):
    like = right if isinstance(right, torch.Tensor) else SCORES
    return NO_TENSOR | NUMBERS | no_dense_tensor(like)


def speakers(name):
    op = name.split(".")[0]
    return [op, f"{op}_mask", f"{op}_masks", f"{op}_ids", *SPEAKERS.get(name, [])]


def complaint(name, argument, value):
    """What is wrong with how an op met a bad value, or None."""
    function, right = CALLS[name]
    try:
        function(**right | {argument: value})
    except (TypeError, ValueError, MemoryError) as error:
        said = str(error)
        by = "|".join(re.escape(speaker) for speaker in speakers(name))
        return None if re.fullmatch(rf"({by})\w*: [\w ,.@^]+: expected .*, got .*", said) else said
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_refused_in_the_name_of_the_op(name):
    function, right = CALLS[name]
    function(**right)
    chosen = random.Random(name)
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument, given in right.items():
            values = bad_values(given)
            for kind in chosen.sample(sorted(values), 16 if len(right) > 4 else len(values)):
                if said := complaint(name, argument, values[kind]):
                    found[argument, kind] = said
    assert not found


def test_every_public_function_is_called():
    called = {name.split(".")[-1] for name in CALLS} | {"MaskIds", "Ragged", "Targets"}
    for module in (mask, block, rank, kmeans, sinkhorn):
        names = getattr(module, "__all__", [])
        assert {name for name in names if inspect.isfunction(getattr(module, name))} <= called


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kmeans.assign(POINTS.to_sparse(), POINTS),
            "assign: points: .* got torch.sparse_coo; call .to_dense",
        ),
        (
            lambda: rank.ranks([[1.0]]),
            "ranks: scores: expected a tensor or array, got list; convert it first",
        ),
        (
            lambda: mask.uniform(torch.arange(2), "abc", 1),
            "uniform: grid: expected a tuple of numbers, got 'abc'",
        ),
        (
            lambda: mask.uniform(torch.arange(2), 9, 2.5),
            "uniform: visible: expected a whole number below 2.63, got 2.5",
        ),
        (
            lambda: mask.uniform(torch.arange(2), (1, 2, 3, 4), 1),
            r"uniform: grid: expected 1 to 3 sizes, got \(1, 2",
        ),
        (
            lambda: sinkhorn.plan(SCORES, rows=[1, 1]),
            "sinkhorn: rows: expected a tensor or array, got list",
        ),
        (
            lambda: sinkhorn.plan(SCORES, epsilon="x"),
            "sinkhorn: epsilon: expected a finite number, got 'x'",
        ),
        (
            lambda: sinkhorn.plan(SCORES, iterations=10**9),
            "sinkhorn: iterations: expected at most 10000000, got 10",
        ),
        (
            lambda: mask.ragged_block(torch.arange(1), (2**16, 2**15), 9),
            "ragged_block: grid: expected fewer than 2.28",
        ),
        (
            lambda: mask.block_size((2**40, 2**40), share=(0.1, 0.2)),
            "block_size: grid: expected fewer than 2.28",
        ),
        (
            lambda: mask.disjoint(torch.arange(1), 10**9, 1),
            "disjoint: patches: expected fewer than 2.28 patches",
        ),
        (
            lambda: mask.block(torch.arange(1), 64, 9, area=(4, 0)),
            "block: area: expected None or a greatest area above",
        ),
        (
            lambda: kmeans.KMeans(10**9).fit(torch.rand(9, 90)),
            "KMeans: clusters: expected at most .* GiB.*, got 10",
        ),
        (
            lambda: kmeans.KMeans(2, restarts=10**9),
            "KMeans: restarts: expected at most 10000, got 1000000000; lower",
        ),
        (
            lambda: kmeans.KMeans(2, start=None),
            "KMeans: start: expected a tensor or array, got NoneType",
        ),
        (
            lambda: kmeans.plus_plus(POINTS, 10**15),
            "plus_plus: clusters: expected at most .* GiB.*, got 10",
        ),
        (
            lambda: kmeans.accumulate(
                POINTS,
                kmeans.assign(POINTS, POINTS),
                kmeans.Statistics.zeros(8, 3),
                weights=POINTS[:0, 0],
            ),
            r"accumulate: weights: expected \[B\] = \[8\], got \[0\]",
        ),
    ],
)
def test_message(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_too_much_memory_raises_memory_error():
    with pytest.raises(
        MemoryError, match=r"disjoint: arguments: expected sizes that memory holds.*ask for less"
    ):
        mask.disjoint(torch.arange(2**20), 2**27, 2**26, views=2**10)


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("start", ["k-means++", "k-means||", "random"])
@pytest.mark.parametrize("chunks", [1, 4, "map"])
@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.nan, "NaN, infinity"), (torch.inf, "NaN, infinity"), (3e38, "or an overflow")],
)
def test_messages_name_the_row_of_the_users_data(tmp_path, start, restarts, chunks, value, message):
    points = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    points[137, 2] = value
    data = list(points.chunk(chunks)) if chunks == 4 else points
    if chunks == "map":
        np.save(tmp_path / "points.npy", points.numpy())
        data = np.load(tmp_path / "points.npy", mmap_mode="r")
    wanted = f"KMeans: data: expected rows .* got row 137 .*{message}.*; remove or rescale it"
    with pytest.raises(ValueError, match=wanted):
        kmeans.KMeans(4, start=start, restarts=restarts, rows=64).fit(data)
    with pytest.raises(ValueError, match=wanted):
        kmeans.KMeans(4, start=start, rows=64).partial_fit(data)
    with pytest.raises(ValueError, match=wanted):
        kmeans.KMeans(4, rows=64).fit(torch.randn(50, 5)).predict(data)


def test_messages_of_other_ops_name_the_users_row():
    points, weights = torch.randn(50, 3), torch.ones(50)
    points[7, 1], weights[9] = torch.nan, -1
    for call in (
        lambda: kmeans.assign(points, torch.ones(2, 3)),
        lambda: kmeans.assign_balanced(points, torch.ones(2, 3), 30),
        lambda: kmeans.plus_plus(points, 30),
        lambda: kmeans.HierarchicalKMeans(2, 2).fit(points),
    ):
        with pytest.raises(ValueError, match=r"got row 7 with NaN"):
            call()
    for call in (
        lambda: kmeans.plus_plus(torch.randn(50, 3), 2, weights=weights),
        lambda: kmeans.KMeans(2).fit(torch.randn(50, 3), weights),
    ):
        with pytest.raises(
            ValueError, match=r"weights: expected finite and not negative, got -1.0 at row 9"
        ):
            call()


def test_plus_plus_repeats_rows_without_a_loop():
    chosen = kmeans.plus_plus(torch.eye(3), 10**6)
    assert sorted(chosen[:3].tolist()) == [0, 1, 2] and (chosen[3:] == chosen[2]).all()
