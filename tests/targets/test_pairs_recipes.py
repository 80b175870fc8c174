"""Recipes of methods whose views predict each other: what is frozen at first, and the schedules."""

import pytest

from pymim import clusters, config
from pymim.schedule import at
from tests.targets.crops import make_method
from tests.targets.test_assigned import PLAIN
from tests.targets.test_taught import taught


def rates(method, step):
    """The rate and decay of every parameter at a step of the recipe's optimiser."""
    optimizer = config.build("train.Trainer", "optimizer")
    made = optimizer(method)
    steps, batch = (config.value("train.Trainer", name, 0) for name in ("steps", "batch"))
    optimizer.set(made, step, steps, batch)
    of = {
        id(p): (part["lr"], part["weight_decay"])
        for part in made.param_groups
        for p in part["params"]
    }
    return {name: of[id(p)] for name, p in method.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("recipe", "frozen", "at_peak", "peak", "steps", "end"),
    [("swav", 313, 3120, 4.8, 249600, 0.0048), ("swav_256", 5005, 0, 0.6, 2001600, 0.0006)],
)
def test_clusters_stay_as_they_are_in_the_first_epoch(recipe, frozen, at_peak, peak, steps, end):
    config.load([f"gin/recipe/{recipe}.gin"])
    method, head = make_method(PLAIN), "objectives.0.predictor.head.weight"
    for step in (0, frozen - 1):
        found = rates(method, step)
        assert found.pop(head) == (0.0, 1e-6)
        assert len(set(found.values())) == 1 and min(found.values())[0] > 0
    after = rates(method, frozen)
    assert len(set(after.values())) == 1 and after[head][0] > 0
    for step, rate in ((at_peak, peak), (steps, end)):
        assert rates(method, step)["encoder.head.1.weight"][0] == pytest.approx(rate)


def test_the_large_batch_has_no_queue_and_the_small_one_has():
    for recipe, size in (("swav", None), ("swav_256", 3840)):
        config.load([f"gin/recipe/{recipe}.gin"])
        queue = config.value("targets.Assigned", "queue", None)
        assert (queue is None) == (size is None)
        if size:
            assert config.value("clusters.Queue", "size", None) == size


def test_the_last_layer_decay_and_rate_of_self_distillation():
    config.load(["gin/recipe/dino.gin"])
    method = make_method(taught(assignment=clusters.Centred()), kind="cosine")
    head, weight, bias = (
        "objectives.0.predictor.head.weight",
        "encoder.head.1.weight",
        "encoder.head.1.bias",
    )
    for step, rate, decay in (
        (0, 0.0, 0.04),
        (12509, 2e-3, None),
        (12510, 2e-3, None),
        (375300, 1e-6, 0.4),
    ):
        found = rates(method, step)
        assert found[weight][0] == pytest.approx(rate)
        assert found[bias][1] == 0.0
        if decay:
            assert found[weight][1] == pytest.approx(decay)
    assert rates(method, 1250)[head][0] == 0.0
    first = rates(method, 1251)
    assert first[head] == first[weight]


def test_the_teachers_temperature_and_momentum():
    config.load(["gin/recipe/dino.gin"])
    steps = 375300
    temperature = config.build("clusters.Centred", "temperature")
    momentum = config.build("encoders.Momentum", "momentum")
    epoch = 1251
    expected = [
        (0, 0.04),
        (epoch - 1, 0.04),
        (epoch, 0.04 + 0.03 / 29),
        (29 * epoch, 0.07),
        (steps - 1, 0.07),
    ]
    assert [at(temperature, step, steps) for step, _ in expected] == pytest.approx(
        [v for _, v in expected]
    )
    assert [at(momentum, step, steps) for step in (0, steps // 2, steps)] == pytest.approx(
        [0.996, 0.998, 1.0]
    )
