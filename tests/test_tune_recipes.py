"""Recipes of fine-tuning and probes: each tunes a run, and its values have sources."""

import json
import re
from pathlib import Path

import pytest

from pymim import config
from pymim.config.parse import build
from pymim.config.reads import reads
from pymim.run import main

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


def bindings_in(text):
    """The bindings that a header names."""
    header = text.split("from __gin__")[0]
    return [
        quoted or word.rstrip(".,;")
        for quoted, word in re.findall(r'-b (?:"([^"]+)"|([A-Z]\S+))', header)
    ]


@pytest.mark.parametrize("recipe", WHOLE)
def test_every_recipe_tunes_a_run_as_its_header_says(recipe, tmp_path, capfd):
    """By the command of its header; of a toy's sizes and two steps."""
    text = (GIN / recipe).read_text()
    joined = text.replace(" \\\n#    ", "")
    (command,) = re.findall(r"^#   python -m pymim\.run (.*)$", joined, re.M)
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
    if options := bindings_in(text):
        assert main([*given, *(part for word in (*quick, *options) for part in ("-b", word))]) == 0
    (found,) = (run / "evaluation").glob("*-step-00000001.json")
    result = json.loads(found.read_text())
    assert 0 <= result["top1"] <= result["top5"] <= 1 and result["tested"] == 12
    assert (
        f"{found.name.split('-')[0]} of step 1: top-1 {result['top1']:.1%}"
        in capfd.readouterr().err
    )


TAKEN = {  # what an evaluation takes from its run: the data, and the size of the pictures
    "tune.Tuning": {"source", "channels", "clip", "seed"},
    "data.Loader": {"source", "channels", "clip", "workers"},
}


@pytest.mark.parametrize("recipe", WHOLE)
def test_an_evaluation_takes_no_other_setting_of_the_pre_training(recipe):
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
