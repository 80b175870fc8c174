"""SCAN clusters neighbours, then confident pictures, in one run: as a command, and as a recipe."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from pymim import config, views
from pymim.config import flags
from pymim.run import main
from tests.launch import in_two_processes

SMALL = [
    *(
        "STAGES=()",
        "DATA=@data.Digits",
        "data.Digits.length=90",
        "IMAGE=16",
        "BATCH=16",
        "STEPS=8",
        "NEIGHBOURS=4",
    ),
    *("encoders.ResNet.dim=4", "encoders.ResNet.depths=(1, 1)", "clusters.Survey.batch=16"),
    *("targets.Confident.threshold=0.1", "Trainer.log_every=1", "Trainer.save_every=3"),
    *("evaluate.Evaluation.train_images=40", "evaluate.Evaluation.test_images=40"),
    *("evaluate.Evaluation.probes=(@probes.Assigned(),)", "draw.Pictures.images=3"),
]


def command(folder, *more):
    return [*flags(["gin/scan.gin", *SMALL, *more]), "--workdir", str(folder)]


def saved(folder, step):
    (path,) = (folder / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")
    return load_file(path)


def rows(folder, name="metrics"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan") / "run"
    assert main(command(folder, "Trainer.keep=9")) == 0
    return folder


def test_one_run_has_both_steps_and_measures_its_own_head(finished):
    seen = [[name for name in ("agree", "label") if name in row] for row in rows(finished)]
    assert seen == [["agree"]] * 6 + [["label"]] * 2  # 0.67 of 8 steps
    assert {"agree/agreement", "agree/meanentropy", "agree/used"} <= rows(finished)[0].keys()
    assert "label/sure" in rows(finished)[-1]
    found, head = (
        json.loads((finished / f"evaluation/{name}-00000008.json").read_text())
        for name in ("step", "head")
    )
    chosen = int(saved(finished, 8)["method.objectives.0.loss.means"].argmin())
    assert (
        head == {"step": 8, "chosen": chosen} and found["assigned"] == found[f"assigned_{chosen}"]
    )
    assert {"assigned_nmi", "assigned_ari"} <= found.keys() and found["baselines"][
        "untrained"
    ] == {}


def test_resumed_in_either_step_equals_uninterrupted(finished, tmp_path):
    whole = saved(finished, 8)
    for step in (3, 6):
        resumed = tmp_path / f"from-{step}"
        shutil.copytree(finished, resumed)
        for path in (resumed / "checkpoints").iterdir():
            if int(path.name.removeprefix("step-")) > step:
                shutil.rmtree(path)
        assert main([*command(resumed), "--resume", "auto"]) == 0
        again = saved(resumed, 8)
        assert all(torch.equal(whole[name], again[name]) for name in whole | again)
        assert len(rows(resumed, "neighbours")) == 1  # mined once


def test_two_processes_mine_what_one_does(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    plain = ("Trainer.precision='float32'", "clusters.Survey.precision='float32'")
    options = (*plain, "STEPS=1")
    assert main(command(one, *options)) == 0
    in_two_processes(command(two, *options))
    name = "method.objectives.0.target.neighbours"
    first, second = saved(one, 1)[name], saved(two, 1)[name]
    assert (first >= 0).all() and (first == second).float().mean() > 0.99  # ties and rounding
    assert rows(two, "neighbours")[0]["same_class"] == pytest.approx(
        rows(one, "neighbours")[0]["same_class"], abs=0.02
    )


def test_a_finished_run_is_drawn_with_its_pairs(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "pictures")
    assert main(["--workdir", str(folder), "--mode", "draw"]) == 0
    assert len([*(folder / "pictures").glob("*.png")]) >= 2


def test_the_run_starts_from_its_stage_or_from_a_given_path(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--to", str(tmp_path / "export")]) == 0
    start = f"STAGE_1='{tmp_path / 'export'}'"
    assert main(command(tmp_path / "run", "STEPS=1", start)) == 0
    assert "tensors loaded" in capsys.readouterr().err
    assert not (tmp_path / "run" / "stages").exists()


def test_views_without_partners_are_refused(tmp_path, capsys):
    views_of = "data.Loader.views=(@views.Center(), @views.Pretrain(), @views.Pretrain())"
    assert main(command(tmp_path / "run", views_of)) == 2
    assert "add views.Partner to data.Loader.views" in capsys.readouterr().err


def test_the_recipe_has_the_released_numbers():
    config.load(["gin/recipe/scan.gin"], ["DATA='digits'", "STAGES=()"])
    method = config.build("train.Trainer", "method")
    agree, label = method.objectives
    assert (
        agree.predictor is label.predictor
        and agree.predictor.sets == 1
        and agree.predictor.width == 10
    )
    assert (agree.target.count, agree.target.itself, agree.loss.weights, agree.loss.judge) == (
        20,
        True,
        (1, -5),
        (1, -1),
    )
    assert (label.target.threshold, label.target.balance) == (0.99, True)
    assert [agree.weight(step, 97_600) for step in (0, 19_499, 19_500)] == [1, 1, 0]
    assert [label.weight(step, 97_600) for step in (0, 19_499, 19_500)] == [0, 0, 1]
    optimizer = config.build("train.Trainer", "optimizer")
    group = optimizer.groups[-1]
    assert (group.schedule(128)(5, 9), group.weight_decay, group.betas) == (
        1e-4,
        1e-4,
        (0.9, 0.999),
    )
    weak, anchor, neighbour = config.parts("data.Loader", "views")
    assert isinstance(weak, views.Center) and isinstance(neighbour, views.Partner)
    for view in (anchor, neighbour.view):
        assert view.changes[-1].side == (1, 16)
