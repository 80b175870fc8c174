"""Rates at the steps whose values the papers' code gives."""

import pytest

from pymim.schedule import Cosine, Linear, Stairs, at


def test_rate_of_the_masked_autoencoder_recipe():
    rate = Cosine(1.5e-4 * 4096 / 256, warmup=40 / 800)
    assert [rate(e, 800) for e in (0, 20, 40, 420, 800)] == pytest.approx([0, 0.0012, 0.0024, 0.0012, 0], abs=1e-12)


def test_truncated_cosine_does_not_reach_its_end():
    rate, momentum = (
        Cosine(1e-3, warmup=50_000, truncate=0.8),
        Cosine(0.999, end=1.0, start=1.0, warmup=50_000, truncate=0.8),
    )
    assert [rate(s, 500_000) for s in (0, 25_000, 50_000)] == pytest.approx([0, 5e-4, 1e-3])
    assert rate(275_000, 500_000) == pytest.approx(6.545e-4, rel=1e-4)
    assert rate(499_999, 500_000) == pytest.approx(9.549e-5, rel=1e-4)
    values = [momentum(s, 500_000) for s in (0, 25_000, 50_000, 275_000, 499_999)]
    assert values == pytest.approx([1.0, 0.9995, 0.999, 0.999345, 0.9999045], abs=1e-6)


def test_linear_holds_its_end():
    assert [Linear(0.999, 0.9999, until=100)(s, 800) for s in (0, 50, 100, 800)] == pytest.approx(
        [0.999, 0.99945, 0.9999, 0.9999]
    )


def test_stairs_change_by_epoch_and_may_look_ahead():
    share = Stairs(Linear(0, 0.5), 10, ahead=True)
    assert [share(step, 40) for step in (0, 3, 4, 39)] == pytest.approx([0.05, 0.05, 0.1, 0.5])
    momentum = Stairs(Linear(0.999, 0.9999, until=100), 800)
    expected = [0.999, 0.99945, 0.999891, 0.9999]
    assert [momentum(step, 8000) for step in (0, 500, 999, 1000)] == pytest.approx(expected)


def test_a_number_or_a_schedule():
    assert at(0.3, 5, 0) == 0.3
    assert at(Linear(0, 1), 5, 10) == 0.5
    with pytest.raises(ValueError, match="schedule: steps: expected those of the run, got 0; bind"):
        at(Linear(0, 1), 5, 0)
