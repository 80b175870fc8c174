"""Each knob of a gin file and each number of a component is right, or is refused in one line."""

import inspect
import json
import math
import re
import types
from pathlib import Path

import pytest
import torch

from pymim import (
    clusters,
    config,
    data,
    draw,
    encoders,
    evaluate,
    loop,
    losses,
    masks,
    optim,
    predictors,
    probes,
    schedule,
    targets,
    views,
)
from pymim.config.hints import hint, options
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.run import main
from tests.launch import BARE

GIN = Path(__file__).parent.parent / "gin"
SIZES = ["DEPTH", "DIM", "HEADS", "PATCH", "RATIO", "IMAGE", "CHANNELS"]
KNOBS = {  # a paper's file that has it
    "mae": [*SIZES, "BATCH", "STEPS", "SEED", "WORKERS"],
    "scan": ["CLUSTERS", "NEIGHBOURS", "SETS", "SWITCH"],
    "mfm": ["RADIUS", "LOW"],
    "local_mim": ["HIGH", "LOW", "MIDDLE"],
    "mae_video": ["FRAMES", "STRIDE", "TUBELET", "PATCH"],
    "capi": ["RATIO", "CLUSTERS"],
    "deepcluster": ["CLUSTERS", "TRUNK_CHANNELS"],
}
VALUES = [
    "0",
    "-1",
    "75",
    "1e999",
    "99999999999999999999",
    "many",
    "None",
    "True",
    "(1, 2, 3, 4, 5)",
]
TINY = {"mae": ["predictors.Transformer.dim=12", "DATA=@data.Digits", "data.Digits.length=8"]}
# What is right: a number of steps, a place beyond a short run, and what is no share.
RIGHT = {
    *(
        (knob, "75")
        for knob in ("CLUSTERS", "NEIGHBOURS", "SETS", "SWITCH", "RADIUS", "STEPS", "SEED", "BATCH")
    ),
    *((knob, "75") for knob in ("DEPTH", "CHANNELS", "STRIDE", "WORKERS")),
    ("SEED", "0"),
    *(("WORKERS", value) for value in ("0", "None")),
    *(("SWITCH", value) for value in ("0", "99999999999999999999")),
    ("RADIUS", "99999999999999999999"),  # wider than any picture: all frequencies are low
    ("LOW", "0"),
}


def build(paper, binding):
    """Build a paper's method without its weights; where a trainer takes the knob, the trainer."""
    with torch.device("meta"):
        config.load([f"gin/{paper}.gin"], [binding, *TINY.get(paper, [])])
        config.parts("data.Loader", "views")
        config.build("train.Trainer", "method")
    knob = binding.partition("=")[0]
    if knob in ("BATCH", "STEPS", "SEED", "WORKERS"):
        config.load([f"gin/{paper}.gin"], [binding, "DIM=12", "DEPTH=1", *TINY.get(paper, [])])
        config.build("train.Trainer")


@pytest.mark.parametrize(
    ("paper", "knob"), [(paper, knob) for paper, knobs in KNOBS.items() for knob in knobs]
)
def test_a_knob_is_right_or_refused_in_one_line(paper, knob):
    for value in VALUES:
        try:
            build(paper, f"{knob}={value}")
        except ConfigError as error:
            words = config.own_text(error)
            assert "expected" in words and "\n" not in words and "; " in words, (value, words)
            assert (knob, value) not in RIGHT or paper == "local_mim", (value, words)
        else:
            assert (knob, value) in RIGHT, f"{knob}={value} was built"


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (
            ["RATIO=1"],
            "Uniform: ratio: expected one that leaves some of 64 patches visible, got 1, which "
            "hides all",
        ),
        (["RATIO=0.999"], "got 0.999, which hides all; lower it"),
        (["RATIO=0"], "expected patches to predict, got none, as Uniform hides nothing"),
        (["RATIO=75"], "Uniform: ratio: expected a share from 0 to 1, got 75; did you mean 0.75?"),
        (["DEPTH=-1"], "ViT: depth: expected a whole number, 1 or more"),
        (["HEADS=0"], "ViT: heads: expected a whole number, 1 or more"),
        (["BATCH=0"], "Trainer: batch: expected a whole number, 1 or more"),
        (["optim.AdamW.rate=-1"], "AdamW: rate: expected a number from 0 on, got -1"),
        (
            ["CHANNELS=4", "STATISTICS=cifar10"],
            "ViT: view: expected 4 channels, got 3",
        ),  # at the first step
    ],
)
def test_a_wrong_value_ends_a_run_in_one_line(bindings, message, tmp_path, capsys):
    small = ["DIM=12", "DEPTH=1", "BATCH=4", "STEPS=1", *TINY["mae"], "WORKERS=0"]
    taken = {word.partition("=")[0] for word in bindings}
    small = [word for word in small if word.partition("=")[0] not in taken]
    words = config.flags(["gin/mae.gin", *small, *BARE, *bindings])
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("pymim: ") and message in last
    status = tmp_path / "run" / "status.json"
    assert not status.exists() or json.loads(status.read_text())["exit_code"] == 2


WITH_RATIO = [
    path.stem
    for path in sorted(GIN.glob("*.gin"))
    if re.search("^RATIO = ", path.read_text(), re.M)
]


@pytest.mark.parametrize("ratio", ["0", "1"])
@pytest.mark.parametrize("paper", WITH_RATIO)
def test_a_mask_that_hides_nothing_or_everything_is_refused_in_every_paper(paper, ratio):
    message = {"0": "hides nothing of a grid", "1": "got 1, which hides all; lower it"}[ratio]
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        config.load([f"gin/{paper}.gin"], [f"RATIO={ratio}"])
        config.build("train.Trainer", "method")


def test_a_bug_keeps_its_traceback(tmp_path, monkeypatch):
    """A bug is not hidden behind one line."""

    def broken(*_):
        raise ValueError("too many values to unpack")

    monkeypatch.setattr("pymim.train.Trainer.learn", broken)
    small = [
        "DIM=12",
        "DEPTH=1",
        "BATCH=4",
        "STEPS=1",
        "DATA=@data.Digits",
        "data.Digits.length=8",
        "WORKERS=0",
    ]
    with pytest.raises(ValueError, match="too many values"):
        main([*config.flags(["gin/mae.gin", *small, *BARE]), "--workdir", str(tmp_path / "run")])


def test_a_scheduled_ratio_is_refused_at_the_step_that_hides_all():
    policy = masks.Uniform(schedule.Ramp(0.5, 1.0), steps=10)
    index = torch.arange(2)
    assert policy(index, (4, 4), Draw(0, 0)).visible.shape == (2, 8)
    with pytest.raises(
        ConfigError, match="Uniform: ratio: expected one that leaves some of 16 patches visible"
    ):
        policy(index, (4, 4), Draw(0, 10))


# What a component needs to be made, by the argument's name.
def encoder():
    return encoders.ViT(8, 1, 2, image=8, patch=4)


GIVEN = {
    "encoder": encoder,
    "trunk": encoder,
    "width": lambda: 4,
    "clusters": lambda: 4,
    "dim": lambda: 8,
    "depth": lambda: 1,
    "heads": lambda: 2,
    "image": lambda: 8,
    "patch": lambda: 4,
    "layers": lambda: (8,),
    "teacher": lambda: encoders.Momentum,
    "survey": clusters.Survey,
    "policy": masks.Uniform,
    "parts": lambda: (losses.MSE(),),
    "views": lambda: [views.Center()],
    "counts": lambda: (1,),
    "view": views.Center,
    "source": lambda: "digits",
    "names": lambda: "",
    "value": lambda: 1.0,
    "peak": lambda: 1.0,
    "start": lambda: 1.0,
    "end": lambda: 1.0,
    "until": lambda: 0.5,
    "schedule": lambda: schedule.Constant(1.0),
    "count": lambda: 2,
    "values": lambda: (0.0, 1.0),
    "at": lambda: (0.5,),
}
PACKAGES = (
    clusters,
    draw,
    encoders,
    losses,
    loop,
    masks,
    optim,
    predictors,
    probes,
    targets,
    views,
)
MAPS = encoders.ResNet((1, 1), dim=4, stem="small", image=8, hidden="sparse")
SPECIAL = {
    predictors.Convolved: {"encoder": MAPS},
    predictors.Pyramid: {"encoder": MAPS, "width": 12},
    predictors.Regressor: {"heads": 2},
    encoders.Momentum: {"source": torch.nn.Linear(1, 1)},
    encoders.Stacked: {"layers": ((4, 3, 1, 1),)},
}
# Any number, or any whole one, has a meaning there.
ANY = {"weight", "weights", "judge", "value", "values", "peak", "start", "end", "fill", "threshold"}
ELSEWHERE = {
    "source",
    "to",
    "steps",
    "group",
    "like",
    "seed",
    "statistics",
    "columns",
    "channels",
    "at",
}


def components():
    """Every class that is offered and can be made of GIVEN, with its arguments that are numbers."""
    offered = [
        getattr(package, name)
        for package in PACKAGES
        for name in getattr(package, "__all__", dir(package))
    ]
    offered += [evaluate.Evaluation, data.Clip, data.Loader, *vars(schedule).values()]
    for kind in dict.fromkeys(filter(inspect.isclass, offered)):
        if not kind.__module__.startswith("pymim"):
            continue
        taken = inspect.signature(kind).parameters
        needed = [
            name
            for name, one in taken.items()
            if one.default is one.empty and one.kind is not one.VAR_KEYWORD
        ]
        for name in taken if set(needed) <= GIVEN.keys() else ():
            if {int, float} & set(options(hint(kind, name))):
                yield pytest.param(kind, needed, name, id=f"{kind.__name__}-{name}")


@pytest.mark.parametrize(("kind", "needed", "name"), list(components()))
def test_an_invalid_number_is_refused_by_its_argument(kind, needed, name):
    if name in ELSEWHERE - ({"at"} if kind is not encoders.ResNet else set()) or name == "width":
        pytest.skip("checked where it is used")
    given = {each: GIVEN[each]() for each in needed} | SPECIAL.get(kind, {})
    kind(**given)
    absent = () if types.NoneType in options(hint(kind, name)) else (None,)
    for value in (
        math.nan,
        math.inf,
        -math.inf,
        "many",
        *absent,
        *(() if name in ANY else (-1e9, -7)),
    ):
        if isinstance(value, str) and str in options(hint(kind, name)):
            continue
        with pytest.raises(ValueError, match=f": {name}: expected .*, got .*; "):
            kind(**{**given, name: value})
