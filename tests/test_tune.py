"""Fine-tuning and probes on whole data sets: what the recipes say is run, and what they take from a run is told."""

import json
import re
from pathlib import Path

import pytest
import torch

from pymim import config, data, tune, views
from pymim.config.parse import build
from pymim.config.reads import reads
from pymim.data import Loader
from pymim.encoders import Momentum, ViT
from pymim.errors import ConfigError, DataError
from pymim.io import Folder
from pymim.optim import AdamW
from pymim.probes import Learning, Mixing, Readout
from pymim.run import main
from pymim.schedule import Constant

GIN = Path(__file__).parent.parent / "gin"
RECIPES = sorted(
    str(path.relative_to(GIN))
    for folder in ("finetune", "probe")
    for path in (GIN / "recipe" / folder).glob("*.gin")
)
WHOLE = [name for name in RECIPES if Path(name).stem not in ("base", "image")]
OF = {"mae_large": "mae", "mae_huge": "mae"}  # the method's own file, where it has another name
SMALL = {
    "": ["DIM=16", "DEPTH=2", "HEADS=2"],
    "dino": ["DIM=16", "DEPTH=4", "HEADS=2"],
    "swav": ["TRUNK=@encoders.ResNet()", "ResNet.dim=4", "ResNet.depths=(1, 1)"],
    "local_mim": ["DIM=16", "DEPTH=2", "HEADS=2", "LOW=1", "MIDDLE=1", "HIGH=1"],
    "deepcluster": ["ResNet.dim=4", "ResNet.depths=(1, 1, 1)", "CLUSTERS=4"],
}
MORE = {"probe/deepcluster": ["Readout.tap=2", "Readout.cells=(2, 2)"]}  # the toy is no AlexNet
FEW = ["DATA=@data.Digits", "data.Digits.length=40"]
CLIPS = ("mae_video", "mae_st", "sigma")


def method_of(recipe):
    stem = Path(recipe).stem
    return OF.get(stem, stem)


def layered(recipe):
    """The configuration of a paper's full recipe, and its evaluation behind that."""
    return [f"recipe/{method_of(recipe)}.gin", recipe]


def told(text):
    """The bindings that a header names."""
    header = text.split("from __gin__")[0]
    return [
        quoted or word.rstrip(".,;")
        for quoted, word in re.findall(r'-b (?:"([^"]+)"|([A-Z]\S+))', header)
    ]


@pytest.mark.parametrize("recipe", WHOLE)
def test_every_recipe_tunes_a_run_by_its_own_words(recipe, tmp_path, capfd):
    """By the command of its header; of a toy's sizes and two steps."""
    text = (GIN / recipe).read_text()
    (command,) = re.findall(
        r"^#   python -m pymim\.run (.*)$", text.replace(" \\\n#    ", ""), re.M
    )
    assert command.split()[-1] == f"gin/{recipe}"
    paper, run = method_of(recipe), tmp_path / "RUN"
    clips = paper in CLIPS
    sizes = SMALL.get(paper, SMALL[""]) + ([] if clips else FEW) + ["BATCH=8", "STEPS=1"]
    still = ["train.Trainer.evaluate=None", "train.Trainer.draw=None"]
    words = config.flags([f"gin/{paper}.gin", *sizes])
    assert (
        main([*words, *(part for word in still for part in ("-b", word)), "--workdir", str(run)])
        == 0
    )
    quick = ["TUNE_STEPS=2", "TUNE_BATCH=8", "tune.Tuning.test_images=12"]
    quick += [
        f"tune/probes.{word}"
        for word in MORE.get(recipe.removesuffix(".gin").removeprefix("recipe/"), [])
    ]
    given = [word.replace("RUN", str(run)) for word in command.split()]
    assert main([*given, *(part for word in quick for part in ("-b", word))]) == 0
    if options := told(text):
        assert main([*given, *(part for word in (*quick, *options) for part in ("-b", word))]) == 0
    (found,) = (run / "evaluation").glob("*-step-00000001.json")
    result = json.loads(found.read_text())
    assert 0 <= result["top1"] <= result["top5"] <= 1 and result["tested"] == 12
    assert (
        f"{found.name.split('-')[0]} of step 1: top-1 {result['top1']:.1%}"
        in capfd.readouterr().err
    )


TAKEN = {  # what an evaluation takes from the run that it is of: its data, and the size of its pictures
    "tune.Tuning": {"source", "channels", "clip", "seed"},
    "data.Loader": {"source", "channels", "clip", "workers"},
}


@pytest.mark.parametrize("recipe", WHOLE)
def test_nothing_of_a_pre_training_gets_into_an_evaluation(recipe):
    config.load(layered(recipe), ["DATA=somewhere"])
    leaked = []
    for use, arguments in reads("train.Trainer").uses.items():
        for argument, found in arguments.items() if use.scope == "tune" else ():
            if not found.scope and argument not in TAKEN.get(
                use.selector.removeprefix("pymim."), ()
            ):
                leaked.append(f"{use.selector}.{argument}")
    assert not leaked


@pytest.mark.parametrize("recipe", WHOLE)
def test_every_value_of_a_recipe_has_a_source_or_a_reason(recipe):
    """Each number behind the imports is marked, or the comment on it says why it is what it is."""
    bare = [
        line
        for line in (GIN / recipe).read_text().split("from __gin__")[1].splitlines()
        if re.search(r"= *[(']?-?\d", line) and "#" not in line
    ]
    allowed = {"start = 0.0", "truncate = 1.0", "warmup = 0", "std = 0.01", "count = 100"}
    assert not [line for line in bare if line.strip() not in allowed]


RATES = {  # at the end of the warm-up, in the head, as each release computes it
    "recipe/finetune/mae.gin": (0.05, 5e-4 * 1024 / 256),
    "recipe/finetune/mae_large.gin": (0.1, 1e-3 * 1024 / 256),
    "recipe/finetune/simmim.gin": (0.2, 1.25e-3 * 2048 / 512),
    "recipe/finetune/local_mim.gin": (0.2, 2e-3),
    "recipe/finetune/hpm.gin": (0.05, 5e-4 * 384 / 256),
    "recipe/finetune/mae_video.gin": (0.05, 1e-3 * 512 / 256),
    "recipe/probe/mae.gin": (0.1111, 6.4),
    "recipe/probe/hpm.gin": (0.1, 1e-3 * 2048 / 256),
    "recipe/probe/dino.gin": (0.0, 1e-3 * 1024 / 256),
    "recipe/probe/swav.gin": (0.0, 0.3),
    "recipe/probe/deepcluster.gin": (0.0, 0.01),
}
ENDS = {
    "recipe/finetune/mae.gin": 1e-6,
    "recipe/finetune/simmim.gin": 2.5e-7 * 4,
    "recipe/finetune/local_mim.gin": 1e-5,
    "recipe/finetune/hpm.gin": 1e-6,
    "recipe/finetune/mae_video.gin": 1e-6 * 2,
    "recipe/probe/mae.gin": 0.0,
}


@pytest.mark.parametrize("recipe", RATES)
def test_rates_are_the_releases(recipe):
    config.load(layered(recipe), ["DATA=digits"])
    made = build("train.Trainer", "evaluate")
    rate = made.learning.optimizer.schedule(made.batch)
    warm, peak = RATES[recipe]
    assert rate(round(warm * 9000), 9000) == pytest.approx(peak, rel=1e-3)
    if recipe in ENDS:
        assert rate(9000, 9000) == pytest.approx(ENDS[recipe], rel=2e-3, abs=1e-12)
    assert made.frozen == recipe.startswith("recipe/probe")


def digits(split):
    return data.Digits(split, length=60)


def tuning(**options):
    center, loader = views.Center(32, statistics="half"), views.Pretrain(32, statistics="half")
    options = {
        "source": digits,
        "view": center,
        "batch": 12,
        "steps": 4,
        "test_images": 30,
    } | options
    options.setdefault("data", lambda **given: Loader(views=(loader,), **given))
    options.setdefault("learning", Learning(AdamW(Constant(1e-3), weight_decay=0.0)))
    return tune.Tuning(**options)


class Run:
    """What an evaluation asks of a trainer."""

    def __init__(self):
        torch.manual_seed(0)
        self.method = torch.nn.Module()
        self.method.encoder = ViT(16, 2, 2, image=32, patch=8)
        self.encoder = self.method.encoder


def result(folder, name="finetune"):
    return json.loads((folder / "evaluation" / f"{name}-step-00000007.json").read_text())


def saved(folder):
    (path,) = (folder / "finetune" / "checkpoints").iterdir()
    return path


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, capfd, monkeypatch):
    learning = Learning(AdamW(Constant(1e-3)), mixing=Mixing(), average=0.5)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole, stopped = Folder(tmp_path / "whole"), Folder(tmp_path / "stopped")
    tuning(learning=learning, drop_path=0.2)(Run(), whole, 7)
    original = tune.Lesson.step

    def step(self, images, labels, number, steps):
        if number == 2:
            raise KeyboardInterrupt
        return original(self, images, labels, number, steps)

    monkeypatch.setattr(tune.Lesson, "step", step)
    with pytest.raises(KeyboardInterrupt):
        tuning(learning=learning, drop_path=0.2, save_every=0.2)(Run(), stopped, 7)
    monkeypatch.undo()
    assert saved(stopped.path).name == "step-00000002"
    tuning(learning=learning, drop_path=0.2, save_every=0.2)(Run(), stopped, 7)
    assert "is of another encoder or of other settings" not in capfd.readouterr().err
    states = [
        (saved(folder.path) / "state.safetensors").read_bytes() for folder in (whole, stopped)
    ]
    assert states[0] == states[1]
    assert result(whole.path)["top1"] == result(stopped.path)["top1"]


def test_what_was_saved_by_other_settings_is_not_gone_on_with(tmp_path, capfd):
    folder = Folder(tmp_path)
    tuning()(Run(), folder, 7)
    tuning()(Run(), folder, 7)
    assert "finetune: goes on from step 4" in capfd.readouterr().err
    tuning(learning=Learning(AdamW(Constant(2e-3))))(Run(), folder, 7)
    assert "is of another encoder or of other settings: begins again" in capfd.readouterr().err
    assert result(tmp_path)["settings"]["learning"]["optimizer"]["groups"][0]["rate"] == {
        "is": "Constant",
        "value": 2e-3,
    }


def test_accuracy_is_counted_one_by_one(tmp_path, monkeypatch):
    models, learn = [], tune.Tuning._learn
    monkeypatch.setattr(
        tune.Tuning, "_learn", lambda self, *given: models.append(learn(self, *given)) or models[0]
    )
    tuning(test_images=None)(Run(), Folder(tmp_path), 7)
    test = digits("test")
    right = five = 0
    for number in range(len(test)):
        image = views.Center(32, statistics="half")(test[number].image[None])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            order = models[0](image).float()[0].argsort(descending=True).tolist()
        right += order[0] == test[number].label
        five += test[number].label in order[:5]
    found = result(tmp_path)
    assert found["tested"] == len(test)
    assert found["top1"] == pytest.approx(right / len(test), abs=1.01 / len(test))
    assert found["top5"] == pytest.approx(five / len(test), abs=1.01 / len(test))


def test_the_runs_encoder_stays_and_the_momentum_copy_can_be_tuned(tmp_path):
    run, found = Run(), {}
    run.method.teacher = Momentum(run.method.encoder, 0.5, 10)
    with torch.no_grad():
        for parameter in run.method.teacher.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in run.method.parameters()]
    for start in ("run", "momentum"):
        found[start] = tuning(start=start)._encoder(run)
        tuning(start=start, name=start)(run, Folder(tmp_path), 7)
    assert found["run"] is run.encoder and found["momentum"] is run.method.teacher.module
    assert all(map(torch.equal, before, run.method.parameters()))
    assert all(p.grad is None for p in run.method.parameters())
    with pytest.raises(
        ConfigError, match="Tuning: start: expected a method with a momentum copy of its encoder"
    ):
        tuning(start="momentum")(Run(), Folder(tmp_path), 7)


def test_a_linear_probe_learns(tmp_path):
    probe = tuning(
        frozen=True,
        name="linear",
        steps=200,
        source=lambda split: data.Digits("train", length=60),
        learning=Learning(AdamW(Constant(3e-2), weight_decay=0.0)),
        readout=Readout("class", norm="batch", std=0.01),
        data=lambda **given: Loader(views=(views.Center(32, statistics="half"),), **given),
    )
    probe(Run(), Folder(tmp_path), 7)
    assert result(tmp_path, "linear")["top1"] > 0.6  # it is tested on what it learnt


def unlabelled(split):
    source = digits(split)
    source.labels = source.labels * 0 - 1
    return source


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"source": unlabelled},
            DataError,
            "Tuning: source: expected labelled pictures in both splits, got: no pict",
        ),
        (
            {"start": "teacher"},
            ConfigError,
            "Tuning: start: expected one of run, momentum, got 'teacher'",
        ),
        ({"batch": 0}, ConfigError, "Tuning: batch: expected a whole number, 1 or more, got 0"),
        (
            {"readout": Readout("class", layers=3)},
            ConfigError,
            "Readout: layers: expected at most 2, the blocks of ViT",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_training(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        tuning(**options).before_run(Run())
