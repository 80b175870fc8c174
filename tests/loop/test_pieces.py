"""A batch in pieces: gradients are those of the whole batch, or the run says what is not."""

import copy
import functools
import re
from pathlib import Path

import pytest
import torch

from pymim import clusters, config, encoders, losses, masks, predictors, targets
from pymim.contracts import OverBatch
from pymim.loop import pieces
from pymim.method import Method
from pymim.objective import Objective
from pymim.run import build, main
from pymim.train import Trainer
from tests.launch import BARE

ROOT = Path(__file__).parent.parent.parent
# Their labels come from a pass over the data.
SURVEYED = {"deepcluster", "deepcluster_v2", "clusterfit", "scan"}
PAPERS = sorted(
    path.stem for path in (ROOT / "gin").glob("*.gin") if path.stem not in {"base", *SURVEYED}
)
SMALL = [
    "DIM=24",
    "DEPTH=2",
    "HEADS=2",
    "BATCH=8",
    "STEPS=2",
    "DATA=@data.Digits",
    "data.Digits.length=32",
    *BARE,
]
PARTS = {  # by the component that a file uses
    "predictors.Transformer": ["predictors.Transformer.dim=24", "predictors.Transformer.heads=2"],
    "predictors.Cross": ["predictors.Cross.depth=1"],
    "tap = %LOW": ["LOW=1", "MIDDLE=1", "HIGH=1"],
    "data/digits_moving.gin": ["DATA=@data.MovingDigits", "data.MovingDigits.length=32"],
    "predictors.Pyramid": ["ResNet.dim=4", "ResNet.depths=(1, 1, 1, 1)", "Pyramid.dim=16"],
    "predictors.Convolved": ["ConvNeXt.dim=4", "ConvNeXt.depths=(1, 1, 1)", "Convolved.dim=16"],
}
REPLACED = {"predictors.Convolved": "predictors.Pyramid"}  # of a file by one that includes it


def whole(path):
    text = path.read_text()
    return text + "".join(
        whole(ROOT / "gin" / name) for name in re.findall(r"^include '(.*)'", text, re.M)
    )


def small(paper):
    """The trainer of a paper's file, made small."""
    text = whole(ROOT / f"gin/{paper}.gin")
    replaced = {part for name, part in REPLACED.items() if name in text}
    more = {
        b.split("=")[0]: b
        for name, bindings in PARTS.items()
        if name in text and name not in replaced
        for b in bindings
    }
    if "digits_moving" in text:
        more["data.Digits.length"] = "data.MovingDigits.length=32"
    bindings = {binding.split("=")[0]: binding for binding in SMALL} | more
    for macro in ("DIM", "DEPTH", "HEADS"):
        if f"%{macro}" not in text:
            del bindings[macro]
    config.load([str(ROOT / f"gin/{paper}.gin")], list(bindings.values()))
    return build()


def gradients(method, parts, total):
    method = copy.deepcopy(method)
    for part in parts:
        (method(part, 1).loss * (len(part.index) / total)).backward()
    return torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])


@pytest.mark.parametrize("paper", PAPERS)
def test_pieces_change_exactly_the_methods_that_say_so(paper):
    trainer = small(paper)
    batch = next(trainer.loader.batches(0, 1))
    one = gradients(trainer.method, [batch], 8)
    two = gradients(trainer.method, batch.split(4), 8)
    change = float((one - two).norm() / one.norm())
    clauses = pieces.over_batch(trainer.method)
    assert (change > 1e-3) == bool(clauses), (change, clauses)
    assert change > 1e-3 or change < 1e-4


TINY = functools.partial(predictors.Transformer, dim=12, depth=1, heads=2)
POOLED = {"on": "pooled", "source": 0, "to": 1}


def vit(**options):
    return encoders.ViT(12, 1, 2, image=16, patch=4, **options)


def method_of(name):
    """A method of each kind that reduces over a batch, and some that do not."""
    pixels = Objective(targets.Pixels, TINY, losses.MSE())
    predicted = functools.partial(targets.Predicted, width=5)
    online = functools.partial(
        targets.Online,
        teacher=encoders.Momentum,
        transport=clusters.Transport(by="position"),
        clusters=5,
    )
    confident = functools.partial(targets.Confident, clusters=5, of="first")
    resnet = encoders.ResNet((1, 1), dim=4, stem="small", image=16)
    of_group = Objective(targets.Pixels, TINY, losses.MSE(), group=1)
    first = Objective(predicted, predictors.Heads, losses.Agreement(), name="first", **POOLED)
    hide = masks.Uniform(0.5)
    return {
        "pixels": lambda: Method(vit(), [pixels], hide),
        "a group": lambda: Method(vit(), [of_group], hide),
        "ragged": lambda: Method(
            vit(hidden="token"), [pixels], masks.ByView([masks.RaggedBlock(0.5, area=(2, None))])
        ),
        "transport": lambda: Method(vit(), [Objective(online, TINY, losses.CrossEntropy())], hide),
        "batch norm": lambda: Method(
            resnet, [Objective(predicted, predictors.Heads, losses.Agreement(), **POOLED)]
        ),
        "contrast": lambda: Method(
            vit(), [Objective(predicted, predictors.Heads, losses.Contrast(), **POOLED)]
        ),
        "a part of a sum": lambda: Method(
            vit(),
            [
                Objective(
                    predicted,
                    predictors.Heads,
                    losses.Sum((losses.Agreement(), losses.MeanEntropy()), (1.0, -1.0)),
                    **POOLED,
                )
            ],
        ),
        "confident": lambda: Method(
            vit(),
            [
                first,
                Objective(confident, "first", losses.CrossEntropy(), on="pooled", source=0, to=1),
            ],
        ),
        "agreement": lambda: Method(
            vit(), [Objective(predicted, predictors.Heads, losses.Agreement(), **POOLED)]
        ),
        "swapped": lambda: Method(
            vit(), [Objective(targets.Pixels, TINY, losses.Swapped(5))], hide
        ),
    }[name]()


CLAUSES = {
    "pixels": [],
    "agreement": [],
    "a group": ["patches of a group are averaged over {}"],
    "ragged": ["hidden patches are averaged over {}"],
    "transport": ["transport is balanced over {}"],
    "swapped": ["transport is balanced over {}"],
    "batch norm": ["BatchNorm sees {} at a time"],
    "contrast": ["each is compared with all others in {}"],
    "a part of a sum": ["the mean of predictions is over {}"],
    "confident": ["labels weigh by their number among {}"],
}


@pytest.mark.parametrize("name", CLAUSES)
def test_reductions_over_a_batch_are_found(name):
    assert pieces.over_batch(method_of(name)) == CLAUSES[name]


def test_frozen_batch_norms_do_not_count():
    """A teacher's are in evaluation mode."""
    resnet = encoders.ResNet((1, 1), dim=4, stem="small", image=16)
    method = method_of("pixels")
    method.teacher = encoders.Momentum(resnet)
    assert pieces.over_batch(method) == []


def test_a_users_loss_of_the_whole_batch_is_named():
    class Mine:
        together = True

        def __call__(self, prediction, target):
            return prediction.mean()

    method = method_of("agreement")
    method.objectives[0].loss = Mine()
    assert pieces.over_batch(method) == ["Mine reduces {} at once"]
    assert not isinstance(Mine(), OverBatch)


def run_of(name, **options):
    """A trainer of a batch of 24."""

    class Loader:
        views, steps_per_epoch = [None] * 2, 1

        def __init__(self, **_):
            pass

    return Trainer(method_of(name), Loader, 1, 24, **options)


@pytest.mark.parametrize(
    ("name", "micro", "words"),
    [
        (
            "transport",
            12,
            "micro-batches of 12: transport is balanced over 12 images; "
            "set train.Trainer.micro = None to use the whole batch",
        ),
        (
            "batch norm",
            6,
            "micro-batches of 6: BatchNorm sees 6 images at a time; set train.Trainer.micro = None",
        ),
        ("transport", None, None),
        ("transport", 24, None),
        ("pixels", 12, None),
    ],
)
def test_the_run_says_what_its_pieces_change(name, micro, words):
    found = pieces.changes(run_of(name, micro=micro))
    assert found is None if words is None else found.startswith(words)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "pixels",
            {},
            "lower train.Trainer.micro, or set train.Trainer.recompute = True, "
            "or take a smaller DIM",
        ),
        ("pixels", {"micro": 1, "recompute": True}, "take a smaller DIM, or a smaller BATCH"),
        (
            "transport",
            {},
            "set train.Trainer.recompute = True, or take a smaller DIM, or a smaller BATCH",
        ),
        (
            "batch norm",
            {},
            "set train.Trainer.recompute = True, or take a smaller DIM, or a smaller BATCH",
        ),
        ("batch norm", {"compile": True}, "take a smaller DIM, or a smaller BATCH"),
    ],
)
def test_out_of_memory_first_advises_what_keeps_the_result(name, options, words):
    assert pieces.advice(run_of(name, **options)).startswith(f"out of memory; {words}")


def test_a_run_prints_what_pieces_change(tmp_path, capsys):
    small = [
        "DIM=12",
        "DEPTH=1",
        "HEADS=2",
        "BATCH=8",
        "STEPS=1",
        "DATA=@data.Digits",
        "data.Digits.length=16",
    ]
    words = config.flags(
        ["gin/capi.gin", *small, "predictors.Cross.depth=1", "train.Trainer.micro=2", *BARE]
    )
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().err.splitlines()
    assert (
        sum("micro-batches of 2: transport is balanced over 2 images;" in line for line in printed)
        == 1
    )


def test_recomputing_what_has_no_blocks_is_refused_before_there_is_a_folder(tmp_path, capsys):
    small = [
        "encoders.Stacked.layers=((8, 3, 2, 1), (8, 3, 2, 1))",
        "TRUNK=@encoders.Stacked()",
        "STEPS=1",
    ]
    words = config.flags(
        ["gin/deepcluster.gin", *small, "gin/model/alexnet.gin", "TRUNK_CHANNELS=2", *BARE]
    )
    assert (
        main([*words, "-b", "train.Trainer.recompute=True", "--workdir", str(tmp_path / "run")])
        == 2
    )
    assert (
        "recompute: expected False, as Projected has no blocks to recompute"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run/config.gin").exists()
