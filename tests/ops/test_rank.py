"""Ranking against the plain reference, scipy and the papers' numbers, and what it promises."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pymim.ops import rank
from tests import reference
from tests.peaks import grown

SHAPES = [(1, 1), (2, 2), (3, 7), (1, 16), (5, 17), (2, 147), (3, 196), (1, 1408), (0, 4), (3, 0)]
FORMS = [0.0, 1e-6]


def some(b, m, *, spread=1.0, dtype=torch.float32, seed=0):
    """Scores, and losses with about a third of ties."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(b, m, generator=generator, dtype=torch.float64) * spread
    losses = torch.randint(0, max(1, 2 * m // 3), (b, m), generator=generator) / 7
    return scores.to(dtype), losses.to(dtype)


def with_gradient(function, scores, losses, epsilon):
    scores = scores.detach().requires_grad_()
    loss = function(scores, losses, epsilon=epsilon)
    loss.backward()
    return loss.detach(), scores.grad


@pytest.mark.parametrize(("b", "m"), SHAPES)
@pytest.mark.parametrize("epsilon", FORMS)
@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_relative_loss_equals_reference(b, m, epsilon, spread, device):
    scores, losses = some(b, m, spread=spread)
    loss, gradient = with_gradient(
        rank.relative_loss, scores.to(device), losses.to(device), epsilon
    )
    wanted, wanted_gradient = with_gradient(
        reference.rank.relative_loss, scores.double(), losses.double(), epsilon
    )
    torch.testing.assert_close(loss.cpu().double(), wanted, rtol=2e-6, atol=2e-7)
    largest = wanted_gradient.abs().max().item() if b * m else 0
    torch.testing.assert_close(
        gradient.cpu().double(), wanted_gradient, rtol=1e-5, atol=2e-6 * largest
    )


@pytest.mark.parametrize(("b", "m"), SHAPES)
@pytest.mark.parametrize("epsilon", FORMS)
def test_sums_equal_reference_under_any_weights(b, m, epsilon, device):
    scores, losses = some(b, m, dtype=torch.float64, spread=3)
    ours, theirs = scores.to(device, copy=True).requires_grad_(), scores.requires_grad_()
    sums, pairs = rank.relative_sums(ours, losses.to(device), epsilon=epsilon)
    wanted, wanted_pairs = reference.rank.relative_sums(theirs, losses, epsilon)
    weights = torch.rand(b, m, dtype=torch.float64)
    (sums * weights.to(device)).sum().backward()
    (wanted * weights).sum().backward()
    assert torch.equal(pairs.cpu(), wanted_pairs)
    torch.testing.assert_close(sums.detach().cpu(), wanted.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.grad.cpu(), theirs.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 100.0])
@pytest.mark.parametrize("epsilon", FORMS)
def test_gradcheck(spread, epsilon):
    scores, losses = some(2, 6, spread=spread, dtype=torch.float64)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: rank.relative_loss(s, losses, epsilon=epsilon), scores
    )
    assert torch.autograd.gradcheck(
        lambda s: rank.relative_sums(s, losses, epsilon=epsilon).sums, scores
    )


def test_loss_equals_numbers_computed_by_hand(device):
    losses = torch.tensor([[1.0, 2.0, 3.0]], device=device)
    loss, gradient = with_gradient(rank.relative_loss, torch.zeros_like(losses), losses, 0.0)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert gradient.tolist() == [pytest.approx([1 / 3, 0, -1 / 3], abs=1e-6)]
    assert rank.relative_loss(
        torch.zeros_like(losses), losses, epsilon=1e-6
    ).item() == pytest.approx(0.693145, abs=1e-6)
    right = torch.tensor([[0.0, 5.0, 10.0]], device=device)
    assert rank.relative_loss(right, losses).item() == pytest.approx(0.0045, abs=5e-5)
    assert rank.relative_loss(-right, losses, epsilon=1e-6).item() == pytest.approx(6.66, abs=5e-3)


@pytest.mark.parametrize(("d", "slope"), [(-12, 0.860), (-15, 0.234), (-20, 0.0021), (-40, 0.0)])
def test_released_form_forgets_badly_wrong_pairs(d, slope, device):
    losses = torch.tensor([[1.0, 2.0]], device=device)
    scores = torch.tensor([[0.0, float(d)]], device=device)
    _, gradient = with_gradient(rank.relative_loss, scores, losses, 1e-6)
    assert gradient[0].tolist() == pytest.approx([slope, -slope], abs=6e-4)
    _, gradient = with_gradient(rank.relative_loss, scores, losses, 0.0)
    assert gradient[0].tolist() == pytest.approx([1, -1], abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_far_wrong_pairs_stay_finite(dtype, device):
    losses = torch.tensor([[1.0, 2.0]], device=device, dtype=dtype)
    scores = torch.tensor([[0.0, -50.0]], device=device, dtype=dtype)
    assert rank.relative_loss(scores, losses).item() == pytest.approx(50, rel=1e-6)
    assert rank.relative_loss(scores, losses, epsilon=1e-6).item() == pytest.approx(
        13.8155, abs=1e-4
    )
    for epsilon in FORMS:
        loss, gradient = with_gradient(rank.relative_loss, scores * 1000, losses, epsilon)
        assert gradient.dtype == dtype and bool(loss.isfinite()) and bool(gradient.isfinite().all())


def test_every_ordered_pair_counts(device):
    scores = torch.randn(2, 147, device=device)
    assert (
        rank.relative_sums(scores, torch.rand_like(scores)).pairs.sum(1).tolist() == [147 * 146] * 2
    )


@pytest.mark.parametrize(
    "losses", [torch.full((2, 5), 3.0), torch.zeros(4, 1), torch.zeros(0, 3), torch.zeros(3, 0)]
)
@pytest.mark.parametrize("epsilon", FORMS)
def test_loss_without_pairs_is_zero(losses, epsilon, device):
    loss, gradient = with_gradient(
        rank.relative_loss, torch.randn(losses.shape, device=device), losses.to(device), epsilon
    )
    assert loss.item() == 0 and not gradient.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype, device):
    scores, losses = some(3, 50, dtype=dtype)
    half, half_gradient = with_gradient(
        rank.relative_loss, scores.to(device), losses.to(device), 0.0
    )
    full, full_gradient = with_gradient(
        rank.relative_loss, scores.float().to(device), losses.float().to(device), 0.0
    )
    assert half.dtype == torch.float32 and torch.equal(half, full)
    assert torch.equal(half_gradient, full_gradient.to(dtype))


patches = st.integers(2, 40).flatmap(
    lambda m: st.tuples(
        st.lists(st.floats(-60, 60, width=32), min_size=m, max_size=m),
        st.lists(st.integers(0, 9), min_size=m, max_size=m),
    )
)


@settings(max_examples=60, deadline=None)
@given(patches, st.randoms(use_true_random=False), st.sampled_from(FORMS))
def test_relative_loss_depends_on_the_order_of_losses_and_differences_of_scores(
    drawn, random, epsilon
):
    scores = torch.tensor([drawn[0]], dtype=torch.float64)
    losses = torch.tensor([drawn[1]], dtype=torch.float64)
    loss, gradient = with_gradient(rank.relative_loss, scores, losses, epsilon)
    order = random.sample(range(len(drawn[0])), len(drawn[0]))
    permuted = with_gradient(rank.relative_loss, scores[:, order], losses[:, order], epsilon)
    shifted = with_gradient(rank.relative_loss, scores + 17, losses, epsilon)
    warped = with_gradient(rank.relative_loss, scores, losses**3 - 2, epsilon)
    for other, other_gradient, wanted in [
        (*permuted, gradient[:, order]),
        (*shifted, gradient),
        (*warped, gradient),
    ]:
        torch.testing.assert_close(other, loss, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(other_gradient, wanted, rtol=1e-9, atol=1e-10)
    assert abs(gradient.sum().item()) < 1e-9


@pytest.mark.parametrize(("b", "m"), SHAPES)
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_order_equals_reference(b, m, descending, dtype, device):
    scores = some(b, m, spread=2, dtype=dtype)[0].to(device)
    for k in {0, m // 3, m}:
        wanted = reference.rank.top_k(scores, k, descending)
        assert torch.equal(rank.top_k(scores, k, descending=descending), wanted)
    assert torch.equal(
        rank.ranks(scores, descending=descending), reference.rank.ranks(scores, descending)
    )


def test_equal_scores_rank_by_id(device):
    scores = torch.tensor([[0.0, -0.0, 1.0, 1.0, -1.0, 0.0]], device=device)
    assert rank.ranks(scores).tolist() == [[1, 2, 4, 5, 0, 3]]
    assert rank.ranks(scores, descending=True).tolist() == [[2, 3, 0, 1, 5, 4]]
    assert rank.top_k(scores, 3).tolist() == [[2, 3, 0]]
    assert rank.top_k(torch.tensor([[0.3, 0.1, 0.9, 0.2, 0.5, 0.7, 0.8, 0.4]]), 3).tolist() == [
        [2, 6, 5]
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the CPU refuses NaN")
def test_nan_ranks_above_all_numbers_on_cuda():
    scores = torch.tensor([[1.0, torch.nan, -torch.inf, torch.nan, torch.inf, -2]], device="cuda")
    assert rank.top_k(scores, 6).tolist() == [[1, 3, 4, 0, 5, 2]]
    assert rank.ranks(scores).tolist() == [[2, 4, 0, 5, 3, 1]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=60)
)
def test_ranks_are_those_of_scipy(scores):
    ranks = rank.ranks(np.array([scores], np.float32))
    np.testing.assert_array_equal(
        ranks[0], scipy.stats.rankdata(np.array(scores, np.float32), method="ordinal") - 1
    )


def test_numpy_in_numpy_out():
    scores = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    sums, pairs = rank.relative_sums(scores, scores)
    assert isinstance(sums, np.ndarray) and isinstance(pairs, np.ndarray)
    assert rank.relative_loss(scores, scores) == pytest.approx(sums.sum() / pairs.sum())
    assert isinstance(rank.top_k(scores, 2), np.ndarray)


def test_strided_input_is_read_in_order(device):
    scores, losses = (x.to(device) for x in some(9, 5))
    across = rank.relative_loss(scores.T, losses.T)
    assert torch.equal(across, rank.relative_loss(scores.T.contiguous(), losses.T.contiguous()))


def test_answers_do_not_depend_on_the_threads():
    scores, losses = some(7, 333)
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss, gradient = with_gradient(rank.relative_loss, scores, losses, 0.0)
            answers.append((loss, gradient, rank.ranks(scores)))
    finally:
        torch.set_num_threads(before)
    for answer in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answer, answers[0], strict=True))
    alone = rank.relative_sums(scores[3:4], losses[3:4]).sums
    assert torch.equal(alone, rank.relative_sums(scores, losses).sums[3:4])


def test_memory_grows_with_the_patches_not_with_their_pairs():
    before = """
import torch
from pymim.ops import rank

def learn(patches):
    scores = torch.randn(1, patches, requires_grad=True)
    rank.relative_loss(scores, torch.rand(1, patches)).backward()
    assert scores.grad.any()

learn(8)
"""
    assert grown(before, "learn(20000)") < 64  # one matrix of pairs would be 1,500


def test_second_derivatives_are_refused():
    scores = torch.randn(1, 4, requires_grad=True)
    for loss in (
        rank.relative_loss(scores, ZEROS_4),
        rank.relative_sums(scores, ZEROS_4).sums.sum(),
    ):
        with pytest.raises(
            RuntimeError, match="relative_loss: expected one backward pass, got create_graph"
        ):
            torch.autograd.grad(loss, scores, create_graph=True)


ZEROS = torch.zeros(2, 3)
ZEROS_4 = torch.zeros(1, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: rank.relative_loss(ZEROS, torch.zeros(2, 4)),
            ValueError,
            r"losses: expected \[B M\] of the scores = \[2 3\], got \[2 4\]; pass",
        ),
        (
            lambda: rank.relative_loss(ZEROS[0], ZEROS),
            ValueError,
            r"relative_loss: scores: expected 2 axes \[B M\], got \[3\]; reshape",
        ),
        (
            lambda: rank.relative_loss(ZEROS.int(), ZEROS),
            TypeError,
            "scores: expected a floating point dtype, got torch.int32; convert",
        ),
        (
            lambda: rank.relative_sums(ZEROS, ZEROS.long()),
            TypeError,
            "relative_sums: losses: expected a floating point dtype, got torch.int64",
        ),
        (
            lambda: rank.relative_loss(ZEROS / 0, ZEROS),
            ValueError,
            "scores: expected finite numbers, got NaN or infinity",
        ),
        (
            lambda: rank.relative_loss(ZEROS, (ZEROS + 1) / 0),
            ValueError,
            "losses: expected finite numbers, got NaN or infinity",
        ),
        (
            lambda: rank.relative_loss(ZEROS, ZEROS, epsilon=-1),
            ValueError,
            "epsilon: expected 0 or 1e-12 to below 1, got -1",
        ),
        (
            lambda: rank.relative_loss(ZEROS, ZEROS, epsilon=math.nan),
            ValueError,
            "epsilon: expected 0 or 1e-12 to below 1, got nan",
        ),
        (
            lambda: rank.top_k(ZEROS, 4),
            ValueError,
            r"top_k: k: expected 0 to 3 \(patches\), got 4; ask for fewer",
        ),
        (lambda: rank.top_k(ZEROS, -1), ValueError, "top_k: k: expected 0 to 3"),
        (
            lambda: rank.ranks(ZEROS.bool()),
            TypeError,
            "ranks: scores: expected a floating point dtype, got torch.bool",
        ),
        (lambda: rank.ranks(ZEROS / 0), ValueError, "rank: scores: expected finite numbers"),
        (lambda: rank.ranks(ZEROS[None]), ValueError, "ranks: scores: expected 2 axes"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_registered_ops_are_sound():
    scores, losses = some(2, 9)
    scores.requires_grad_()
    torch.library.opcheck(rank._relative_loss, (scores, losses, 0.0))
    torch.library.opcheck(rank._relative_sums, (scores, losses, 1e-6))
    torch.library.opcheck(rank._ranks, (scores.detach(), True))
    torch.library.opcheck(rank._top_k, (scores.detach(), 4, True))


def test_compiles_into_one_graph_with_its_gradient():
    scores, losses = some(2, 9)
    for function in (
        lambda x, y: rank.relative_loss(2 * x, y, epsilon=1e-6),
        lambda x, y: rank.relative_sums(2 * x, y).sums.square().sum(),
    ):
        eager, compiled = scores.clone().requires_grad_(), scores.clone().requires_grad_()
        loss = function(eager, losses)
        loss.backward()
        again = torch.compile(function, fullgraph=True)(compiled, losses)
        again.backward()
        torch.testing.assert_close(again, loss)
        torch.testing.assert_close(compiled.grad, eager.grad)
    order = torch.compile(lambda s: rank.ranks(s)[:, rank.top_k(s, 3)], fullgraph=True)
    assert torch.equal(order(losses), rank.ranks(losses)[:, rank.top_k(losses, 3)])
