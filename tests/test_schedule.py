"""Rates at the steps whose values the papers' code gives."""

import numpy as np
import pytest

from pymim.schedule import Cosine, Delayed, Drops, Ramp, Stairs, Steps, at


def test_rate_of_the_masked_autoencoder_recipe():
    rate = Cosine(1.5e-4 * 4096 / 256, warmup=40 / 800)
    assert [rate(e, 800) for e in (0, 20, 40, 420, 800)] == pytest.approx(
        [0, 0.0012, 0.0024, 0.0012, 0], abs=1e-12
    )


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
    assert [Ramp(0.999, 0.9999, until=100)(s, 800) for s in (0, 50, 100, 800)] == pytest.approx(
        [0.999, 0.99945, 0.9999, 0.9999]
    )


def test_stairs_change_by_epoch_and_may_look_ahead():
    share = Stairs(Ramp(0, 0.5), 10, ahead=True)
    assert [share(step, 40) for step in (0, 3, 4, 39)] == pytest.approx([0.05, 0.05, 0.1, 0.5])
    momentum = Stairs(Ramp(0.999, 0.9999, until=100), 800)
    expected = [0.999, 0.99945, 0.999891, 0.9999]
    assert [momentum(step, 8000) for step in (0, 500, 999, 1000)] == pytest.approx(expected)


def test_a_number_or_a_schedule():
    assert at(0.3, 5, 0) == 0.3
    assert at(Ramp(0, 1), 5, 10) == 0.5
    with pytest.raises(
        ValueError, match="schedule: steps: expected the run's number of steps, got 0; set"
    ):
        at(Ramp(0, 1), 5, 0)


def released(peak, end, steps, warmup=0, start=0.0):
    """Make DINO's table for a whole run: a ramp that includes both ends, then half a cosine."""
    ramp = np.linspace(start, peak, warmup)
    turns = np.arange(steps - warmup)
    return np.concatenate(
        [ramp, end + 0.5 * (peak - end) * (1 + np.cos(np.pi * turns / len(turns)))]
    )


@pytest.mark.parametrize(
    ("peak", "end", "steps", "warmup", "start"),
    [
        (5e-4, 1e-6, 1000, 100, 0.0),  # DINO's rate
        (0.04, 0.4, 300, 0, 0.0),  # its weight decay
        (0.996, 1.0, 300, 0, 0.0),  # its momentum
        (4e-3, 1e-6, 1250, 125, 0.0),  # DINOv2's rate
        (0.07, 0.07, 600, 180, 0.04),  # its temperature
        (1.0, 0.0, 7, 1, 0.5),  # a ramp of one step is its start
    ],
)
def test_an_inclusive_warm_up_is_the_released_table(peak, end, steps, warmup, start):
    table = released(peak, end, steps, warmup, start)
    found = Cosine(peak, end, start, warmup, inclusive=True)
    assert [found(step, steps) for step in range(steps)] == pytest.approx(table.tolist(), rel=1e-12)
    if warmup > 1:
        assert found(warmup - 1, steps) == found(warmup, steps) == peak
        assert Cosine(peak, end, start, warmup)(warmup - 1, steps) != peak


@pytest.mark.parametrize(("steps", "ramp"), [(30, 3), (1000, 100), (999, 100)])
def test_an_inclusive_warm_up_may_be_a_share_of_the_run(steps, ramp):
    found = Cosine(2.0, warmup=0.1, inclusive=True)
    assert [found(step, steps) for step in range(ramp)] == pytest.approx(
        np.linspace(0, 2.0, ramp).tolist()
    )
    assert found(ramp + 1, steps) < 2.0


def test_delayed_is_zero_then_its_value():
    number, share = Delayed(0.3, 5), Delayed(Ramp(1.0, 0.0), 0.25)
    assert [number(step, 20) for step in (0, 4, 5, 19)] == [0, 0, 0.3, 0.3]
    assert [share(step, 20) for step in (4, 5, 10)] == [
        0,
        0.75,
        0.5,
    ]  # the schedule goes on meanwhile


def test_steps_hold_each_value_up_to_its_place():
    shares = Steps((1.0, 0.0, 3.0), (0.5, 0.75))
    assert [shares(step, 8) for step in (0, 3, 4, 5, 6, 7)] == [1, 1, 0, 0, 3, 3]
    assert [Steps((1, 2), (3,))(step, 8) for step in (2, 3)] == [1, 2]
    with pytest.raises(
        ValueError, match=r"Steps: at: expected 1 ascending numbers, .* got \(0.5, 0.6\)"
    ):
        Steps((1.0, 0.0), (0.5, 0.6))
    with pytest.raises(ValueError, match="Steps: at: expected 2 ascending numbers"):
        Steps((1.0, 0.0, 1.0), (0.6, 0.5))


def test_drops_multiply_the_rate_at_shares_of_the_run():
    """SimMIM's: 800 epochs of 625 steps, warm-up over 10, a tenth from epoch 700 on."""
    rate = Drops(4e-4, (0.875,), start=2e-6, warmup=0.0125)
    found = [rate(step, 500_000) for step in (0, 3125, 6250, 437_499, 437_500, 499_999)]
    assert found == pytest.approx([2e-6, 2.01e-4, 4e-4, 4e-4, 4e-5, 4e-5])
    twice = Drops(1.0, (0.5, 0.75), factor=0.5)
    assert [twice(step, 8) for step in range(8)] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
