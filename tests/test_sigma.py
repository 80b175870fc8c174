"""The numbers that gin/sigma.gin, its collapsing variant and its full-scale recipe compute."""

import json

import numpy as np
import pytest
import torch

from pymim import config
from pymim.contracts import Batch, Draw
from pymim.losses import Swapped
from pymim.run import main
from tests.asking import ask
from tests.launch import BARE, in_two_processes
from tests.peaks import Largest, grown

RECIPE = "gin/recipe/sigma.gin"
TINY = ["DIM=12", "DEPTH=1", "HEADS=2", "BATCH=8", "Trainer.precision='float32'", "STEPS=4"]
TINY += ["Transformer.dim=12", "Transformer.depth=1", "Transformer.heads=2", "Trainer.log_every=1"]
QUICK = [
    "Evaluation.train_images=20",
    "Evaluation.test_images=10",
    "FineTune.steps=1",
    "Pictures.images=2",
]
QUICK += ["probes.Linear.iterations=3"]


def command(folder, file="sigma", *more, seen=QUICK):
    few = ["CLUSTERS=10"] * (file == "sigma")  # the other one has none
    return [*config.flags([f"gin/{file}.gin", *TINY, *few, *seen, *more]), "--workdir", str(folder)]


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def recipe(*bindings):
    config.load([RECIPE], bindings)
    return config.build("train.Trainer", "method")


def test_shapes_and_numbers_of_the_recipe():
    with torch.device("meta"):
        method = recipe()
        batch = Batch(
            [torch.empty(1, 3, 16, 224, 224)], torch.zeros(1, dtype=torch.int64), torch.zeros(1)
        )
    out = method(batch, 0)
    assert out.features.tokens.shape == (1, 160, 768)
    assert out.predictions["mapped"].shape == out.targets["mapped"].shape == (1, 1408, 256)
    loss = method.objectives[0].loss
    assert isinstance(loss, Swapped)
    assert loss.prototypes.weight.shape == (3000, 256)
    assert (loss.transport.epsilon, loss.transport.iterations, loss.cross_entropy.temperature) == (
        0.05,
        10,
        0.1,
    )
    sizes = [
        tuple(layer.weight.shape)
        for layer in method.objectives[0].target.layers
        if hasattr(layer, "weight")
    ]
    assert sizes == [(1024, 1536), (1024, 1024), (512, 1024), (256, 512)]


def test_mask_of_the_recipe_is_a_tube():
    with torch.device("meta"):
        mask = recipe().mask
    drawn = mask(torch.arange(4), (8, 14, 14), Draw(0, 0))
    assert (drawn.visible.shape, drawn.hidden.shape) == ((4, 160), (4, 1408))
    slots = drawn.boolean(1568).unflatten(1, (8, 196))
    assert (slots == slots[:, :1]).all()
    assert not torch.equal(slots[0], slots[1])


def test_rate_of_the_recipe_warms_up_from_zero_and_scales_with_the_batch():
    with torch.device("meta"):
        recipe()
    optimizer = config.build("train.Trainer", "optimizer")
    steps = config.value("train.Trainer", "steps", 0)
    for batch in (128, 1280):
        schedule = optimizer.schedule(batch)
        assert schedule(0, steps) == 0
        assert max(schedule(step, steps) for step in range(0, steps, 500)) == pytest.approx(
            1.5e-4 * batch / 256, rel=1e-3
        )
        assert schedule(steps, steps) == pytest.approx(1e-5 * batch / 256)


@pytest.mark.parametrize(
    ("target", "width"),
    [("@targets.Pixels", 1536), ("@targets.Mapped", 256), ("@targets.Frames", 768)],
)
def test_hidden_tubes_alone_are_predicted_in_the_width_of_their_target(target, width):
    config.load(["gin/recipe/sigma_dino.gin"], [f"method.Objective.target={target}"])
    with torch.device("meta"):
        method = config.build("train.Trainer", "method")
        batch = Batch(
            [torch.empty(1, 3, 16, 224, 224)], torch.zeros(1, dtype=torch.int64), torch.zeros(1)
        )
    out = method(batch, 0)
    (prediction,), (found,) = out.predictions.values(), out.targets.values()
    assert prediction.shape == found.shape == (1, 1408, width)
    learning = sum(p.numel() for p in method.objectives[0].target.parameters() if p.requires_grad)
    assert (learning > 0) == (target == "@targets.Mapped")
    assert method.objectives[0].loss.prototypes.weight.shape == (3000, width)


def test_the_printed_rate_is_the_one_in_use(tmp_path, capsys):
    """A released script's batch and rate differ 40 times; a run prints the rate it trains with."""
    assert (
        main(
            command(
                tmp_path / "run",
                "sigma",
                "optim.AdamW.rate=0.01",
                "optim.AdamW.warmup=0.5",
                seen=BARE,
            )
        )
        == 0
    )
    rates = [0.01 * 8 / 256 * share for share in (0, 0.5, 1, 0.5)]
    assert [row["rate"] for row in rows_of(tmp_path / "run")] == pytest.approx(
        rates, rel=1e-6, abs=1e-12
    )
    shown = capsys.readouterr().err
    assert all(f"lr {rate:.2e}" in shown for rate in rates)


def test_weight_decay_does_not_change_the_prototypes():
    """They are brought back to length 1 after each step, and only directions count."""
    found = []
    for decay in (0.0, 0.05):
        torch.manual_seed(0)
        loss = Swapped(10)
        loss.build(6, None)
        prototypes, start = loss.prototypes, loss.prototypes.weight.detach().clone()
        optimizer = torch.optim.AdamW(prototypes.parameters(), lr=1e-3, weight_decay=decay)
        for step in range(50):
            torch.manual_seed(step)
            prediction, target = torch.randn(2, 4, 16, 6)
            optimizer.zero_grad()
            loss(prediction, target).sum().backward()
            optimizer.step()
            prototypes.after_step(None, step)
            torch.testing.assert_close(prototypes.weight.norm(dim=1), torch.ones(10))
        found.append(prototypes.weight.detach().clone())
    assert (found[0] - found[1]).norm() < 1e-3 * (found[0] - start).norm()


def test_pixels_are_standardised_by_channel_before_they_are_projected():
    config.load(["gin/sigma.gin"], TINY)
    target = config.build("train.Trainer", "method").objectives[0].target
    view = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        values = ask(target.of, view).unflatten(2, (-1, 3))
        torch.testing.assert_close(values.mean(2), torch.zeros(2, 256, 3), rtol=0, atol=1e-5)
        torch.testing.assert_close(values.std(2), torch.ones(2, 256, 3), rtol=1e-4, atol=1e-4)
        assert ask(target, view).shape == (2, 256, target.width)


def test_a_run_says_how_its_prototypes_are_used(tmp_path):
    assert main(command(tmp_path / "run")) == 0
    row = rows_of(tmp_path / "run")[-1]
    gauges = {"used", "balance", "agreement", "of_chance", "target_rank", "target_std"}
    assert {f"mapped/{gauge}" for gauge in gauges} <= row.keys()
    assert list((tmp_path / "run" / "pictures").glob("clusters-*.png"))


def test_the_collapsing_variant_runs_and_its_gauges_show_it(tmp_path):
    assert main(command(tmp_path / "run", "sigma_l2")) == 0
    assert {"mapped/target_rank", "mapped/target_std"} <= rows_of(tmp_path / "run")[-1].keys()


def test_two_processes_make_the_run_of_one(tmp_path):
    assert main(command(tmp_path / "one", seen=BARE)) == 0
    in_two_processes(command(tmp_path / "two", seen=BARE))
    one, two = ([row["loss"] for row in rows_of(tmp_path / folder)] for folder in ("one", "two"))
    np.testing.assert_allclose(two, one, rtol=1e-4)


def test_no_tensor_is_larger_than_a_table_of_scores():
    loss = Swapped(512)
    loss.build(16, None)
    prediction, target = torch.randn(2, 4, 256, 16, requires_grad=True)
    with Largest() as largest:
        loss(prediction, target).sum().backward()
    assert largest.bytes <= 4 * 256 * 512 * 4


def test_memory_is_that_of_a_few_tables_of_scores():
    """Two branches' scores, their softmax and gradient, and the table that transport reads."""
    before = """
import torch
from pymim.losses import Swapped
loss = Swapped(3000)
loss.build(64, None)
small = torch.randn(1, 64, 64, requires_grad=True)
loss(small, small).sum().backward()
prediction, target = torch.randn(2, 4, 1408, 64, requires_grad=True)
"""
    tables = grown(before, "loss(prediction, target).sum().backward()") / (
        4 * 1408 * 3000 * 4 / 2**20
    )
    assert 2 < tables < 8
