"""What gin/capi.gin and its full-scale recipe come to, number by number."""

import json
import math

import numpy as np
import pytest
import torch

from pymim import config
from pymim.contracts import Batch, Draw
from pymim.errors import PymimError
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.run import main
from tests.launch import BARE, in_two_processes

RECIPE = "gin/recipe/capi.gin"
TINY = [
    "DIM=16",
    "DEPTH=1",
    "HEADS=2",
    "BATCH=8",
    "CLUSTERS=12",
    "Cross.depth=1",
    "Trainer.precision='float32'",
]
LOGGED = ["STEPS=4", "Trainer.log_every=1"]
QUICK = [
    *LOGGED,
    "Evaluation.train_images=20",
    "Evaluation.test_images=10",
    "probes.Linear.iterations=3",
]
QUICK += ["FineTune.steps=1", "Pictures.images=2"]


def method_of(file, *bindings):
    config.load([file], bindings)
    torch.manual_seed(0)
    return config.build("train.Trainer", "method")


def command(folder, *more, seen=QUICK):
    return [*config.flags(["gin/capi.gin", *TINY, *seen, *more]), "--workdir", str(folder)]


def bare(folder, *more):
    return command(folder, *more, seen=(*LOGGED, *BARE))


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_rates_and_momentum_of_the_recipe():
    method = method_of(RECIPE, "DIM=64", "DEPTH=1", "HEADS=1", "CLUSTERS=4", "Cross.depth=1")
    optimizer = config.build("train.Trainer", "optimizer")
    clusters, norms, rest = (group.schedule(16384) for group in optimizer.groups)
    momentum = method.objectives[0].target.teacher.momentum
    table = {
        0: (0, 1.0),
        25_000: (5e-4, 0.9995),
        50_000: (1e-3, 0.999),
        275_000: (6.545e-4, 0.999345),
    }
    for step, (rate, m) in (table | {499_999: (9.549e-5, 0.9999045)}).items():
        assert rest(step, 500_000) == pytest.approx(rate, rel=1e-4)
        assert norms(step, 500_000) == rest(step, 500_000)
        assert clusters(step, 500_000) == pytest.approx(rate / 2, rel=1e-4)
        assert momentum(step, 500_000) == pytest.approx(m, abs=1e-6)


def test_groups_of_the_recipe():
    method = method_of(RECIPE, "DIM=64", "DEPTH=1", "HEADS=1", "CLUSTERS=4", "Cross.depth=1")
    optimizer = config.build("train.Trainer", "optimizer")
    adam = optimizer(method)
    optimizer.set(adam, 50_000, 500_000, 16384)
    names = {id(p): name for name, p in method.named_parameters()}
    found = {
        names[id(p)]: (g["lr"], g["weight_decay"], g["betas"])
        for g in adam.param_groups
        for p in g["params"]
    }
    expected = {
        "encoder.patch_embed.proj.weight": (2e-4, 0.1),
        "encoder.patch_embed.proj.bias": (2e-4, 0.0),
        "encoder.reg_token": (1e-3, 0.1),
        "encoder.blocks.0.norm1.weight": (1e-3, 0.01),
        "encoder.blocks.0.attn.qkv.weight": (1e-3, 0.1),
        "objectives.0.predictor.mask_token": (1e-3, 0.1),
        "objectives.0.predictor.blocks.0.norm2.weight": (1e-3, 0.01),
        "objectives.0.predictor.head.weight": (1e-3, 0.1),
        "objectives.0.predictor.head.gain": (1e-3, 0.1),
        "objectives.0.target.weight": (
            5e-4,
            0.01,
        ),  # torch's default decay, as the release leaves it unset
        "objectives.0.target.bias": (5e-4, 0.01),
    }
    for name, (rate, decay) in expected.items():
        assert found[name] == (pytest.approx(rate), decay, (0.9, 0.95)), name
    biases = [name for name in found if name.endswith(".bias")]
    assert biases == ["encoder.patch_embed.proj.bias", "objectives.0.target.bias"]
    assert not [name for name in found if "teacher" in name or "rot" in name]


def test_mask_of_the_recipe():
    mask = method_of(RECIPE, "DIM=64", "DEPTH=1", "HEADS=1", "CLUSTERS=4", "Cross.depth=1").mask
    drawn = mask(torch.arange(500), (16, 16), Draw(0, 0))
    assert (drawn.visible.shape, drawn.hidden.shape, drawn.predicted.shape) == (
        (500, 90),
        (500, 166),
        (500, 8),
    )
    hidden = drawn.boolean(256)
    assert hidden.gather(1, drawn.predicted).all()
    assert not hidden.gather(1, drawn.visible).any()
    assert torch.equal(drawn.visible, drawn.visible.sort(1).values)
    seen = ~hidden.unflatten(1, (16, 16))
    wraps = (seen[:, 0] & seen[:, -1]).any(1) & ~seen.any(2).all(
        1
    )  # in the first and the last row, but not in all
    assert 0.2 < wraps.float().mean() < 0.9


def test_shapes_and_counts_of_the_recipe():
    with torch.device("meta"):
        method = method_of(RECIPE)
        batch = Batch(
            [torch.empty(2, 3, 224, 224)], torch.zeros(2, dtype=torch.int64), torch.zeros(2)
        )
    out = method(batch, 0)
    assert out.targets["online"].shape == out.predictions["online"].shape == (2, 8, 16384)
    assert out.losses["online.target"].shape == (2, 256)
    assert out.features.prefix.shape == (2, 16, 1024)
    target = method.objectives[0].target
    assert (
        target.transport.epsilon,
        target.temperature,
        method.objectives[0].loss.temperature,
    ) == (
        0.06,
        0.12,
        0.12,
    )
    assert target.chance == pytest.approx(math.log(16384))


@pytest.mark.parametrize(
    "binding", ["Transport.by='batch'", "CLUSTERS=20", "ViT.positions='rotary-coupled'"]
)
def test_variants_are_one_binding(binding, tmp_path):
    assert main(bare(tmp_path / "run", binding)) == 0


def test_either_vector_of_an_image_is_probed():
    config.load(["gin/capi.gin"], [*TINY, "STEPS=1"])
    method = config.build("train.Trainer", "method")
    predictor, images = method.objectives[0].predictor, torch.randn(12, 3, 32, 32)
    seen = {}

    def probe(train, labels, test, truth):
        seen[pool] = train
        return 0.0

    probe.takes, probe.name = "pooled", "seen"
    for pool in ("mean", "encoder", "predictor"):
        evaluation = Evaluation("digits", None, [probe], batch=5, pool=pool)
        splits = [(images, torch.arange(12))] * 2
        evaluation.probe(method.encoder, splits, predictor if pool == "predictor" else None)
    features = method.eval().encoder(images)
    wanted = {"mean": features.tokens.mean(1), "encoder": features.pooled}
    wanted["predictor"] = predictor.pooled(features, (8, 8))
    for pool, vector in wanted.items():
        torch.testing.assert_close(seen[pool], vector, atol=0.03, rtol=0.03)  # in bfloat16
    assert (seen["predictor"] - seen["mean"]).abs().mean() > 0.1


def test_pool_predictor_is_refused_early_without_a_pooling_predictor(tmp_path, capsys):
    more = ("Evaluation.pool='predictor'", "Evaluation.probes=(@probes.KNN(), @probes.FineTune())")
    few = [binding for binding in QUICK if "Linear" not in binding]
    assert main(command(tmp_path / "run", *more, seen=few)) == 0
    (result,) = (tmp_path / "run" / "evaluation").glob("step-*.json")
    assert 0 <= json.loads(result.read_text())["knn"] <= 1
    words = [*config.flags(["gin/mae.gin", "DIM=16", "DEPTH=1", "HEADS=2", *few, *more])]
    assert main([*words, "--workdir", str(tmp_path / "mae")]) == 2
    assert "with a method pooled, got Transformer; use predictors.Cross" in capsys.readouterr().err
    assert not list((tmp_path / "mae").glob("checkpoints/*"))


def test_gauges_are_logged(tmp_path):
    assert main(command(tmp_path / "run")) == 0
    row = rows_of(tmp_path / "run")[-1]
    gauges = {
        "features/rank",
        "online/used",
        "online/balance",
        "online/entropy",
        "online/of_chance",
    }
    assert gauges <= row.keys()
    assert {"online", "online.target", "loss"} <= row.keys()
    assert 0 < row["online/used"] <= 1
    assert list((tmp_path / "run" / "pictures").glob("clusters-*.png"))


@pytest.mark.parametrize("by", ["position", "batch"])
def test_two_processes_make_the_run_of_one(by, tmp_path):
    assert main(bare(tmp_path / "one", f"Transport.by='{by}'")) == 0
    in_two_processes(bare(tmp_path / "two", f"Transport.by='{by}'"))
    for name in ("loss", "online", "online.target"):
        one, two = ([row[name] for row in rows_of(tmp_path / folder)] for folder in ("one", "two"))
        np.testing.assert_allclose(two, one, rtol=1e-4)


@pytest.mark.parametrize("what", ["the norm of the gradients is (inf|nan)", "the loss is nan"])
def test_a_step_that_is_not_finite_changes_no_weights(what, tmp_path):
    """Neither weights nor teacher nor clusters, at a step where finite ones move all three."""
    config.load(["gin/capi.gin"], [*TINY, *QUICK])
    trainer = config.build("train.Trainer")
    before = []

    def keep(value):
        before.append({name: value.clone() for name, value in trainer.method.state_dict().items()})
        return value * (math.nan if len(before) == 3 and "loss" in what else 1)

    def poison(grad):
        return grad * (math.inf if len(before) == 3 else 1)

    predictor = trainer.method.objectives[0].predictor
    predictor.register_forward_hook(lambda module, inputs, output: keep(output))
    predictor.mask_token.register_hook(poison)
    with pytest.raises(PymimError, match=f"{what} at step 2"):
        trainer.run(Folder(tmp_path))
    after = trainer.method.state_dict()
    moved = [{name for name in after if not torch.equal(old[name], after[name])} for old in before]
    assert not moved[2]
    for part in ("encoder.blocks", "teacher.module.blocks", "target.weight"):
        assert any(part in name for name in moved[1]), part
    assert list((tmp_path / "nan").glob("step-00000002-*.safetensors"))
