"""A part that runs out of memory names its own setting to lower, and the exit code is 5."""

import json
import shutil
import time
from types import SimpleNamespace

import pytest
import torch

from pymim import config, endings, probes
from pymim.clusters import Survey
from pymim.data import maker
from pymim.draw import Pictures
from pymim.errors import OutOfMemory, memory_of
from pymim.io.metrics import read
from pymim.probes.reading import Reading
from pymim.run import main
from pymim.targets import neighbours
from pymim.targets.epochwise import Epochwise
from pymim.train import Trainer
from tests.test_run import bare, command

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("std::bad_alloc"),
]
FEWER = "evaluate.Evaluation.train_images and test_images"


def fail(error=ERRORS[0]):
    raise error


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_names_the_part(error):
    with (
        pytest.raises(OutOfMemory, match="Part: out of memory; lower its knob") as raised,
        memory_of("Part", "lower its knob"),
    ):
        fail(error)
    assert endings.of(raised.value) == endings.Ending(5, "Part: out of memory; lower its knob")


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("no"), OutOfMemory("an inner part")]
)
def test_other_errors_and_named_ones_pass_unchanged(error):
    with pytest.raises(type(error)) as raised, memory_of("Part", "lower its knob"):
        fail(error)
    assert raised.value is error


def small(gin, folder, *more):
    """A run of a method of clusters, at the smallest size."""
    words = [
        "Evaluation.train_images=40",
        "Evaluation.test_images=20",
        "BATCH=8",
        "STEPS=2",
        "WORKERS=0",
    ]
    return [*config.flags([gin, *words, *more]), "--workdir", str(folder)]


PARTS = {
    "pictures": (maker, "read", f"Evaluation: pictures: out of memory; lower {FEWER}"),
    "reading": (
        Reading,
        "all",
        "Evaluation: reading of the encoder: out of memory; "
        f"lower evaluate.Evaluation.batch (250) or {FEWER}",
    ),
    "knn": (probes.KNN, "__call__", f"probe knn: out of memory; lower probes.KNN.chunk or {FEWER}"),
    "linear": (
        probes.Linear,
        "__call__",
        f"Evaluation: probe linear: out of memory; lower {FEWER}",
    ),
    "drawing": (Pictures, "_draw", "Pictures: out of memory; lower draw.Pictures.images (4)"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(command(folder, "-b", "STEPS=1", "-b", "WORKERS=0")) == 0
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_callbacks_name_their_own_settings(part, finished, tmp_path, capsys, monkeypatch):
    where, name, said = PARTS[part]
    folder = shutil.copytree(finished, tmp_path / "run")
    monkeypatch.setattr(where, name, lambda *_, **__: fail())
    assert main(["--mode", "draw" if part == "drawing" else "eval", "--workdir", str(folder)]) == 5
    printed = capsys.readouterr().err
    assert said in printed and "micro" not in printed and "Traceback" not in printed


CLUSTERING = {
    "survey": (
        Survey,
        "_tables",
        "Survey: features of every picture: out of memory; lower clusters.Survey.batch,",
    ),
    "k-means": (
        Epochwise,
        "recluster",
        "Epochwise: clustering: out of memory; lower targets.Epochwise.clusters (",
    ),
}


@pytest.mark.parametrize("part", CLUSTERING)
def test_clustering_names_its_own_setting(part, tmp_path, capsys, monkeypatch):
    where, name, said = CLUSTERING[part]
    monkeypatch.setattr(where, name, lambda *_, **__: fail())
    digits = ["DATA=@data.Digits", "data.Digits.length=40", "STATISTICS=half"]
    assert main(small("gin/deepcluster.gin", tmp_path / "run", *digits)) == 5
    printed = capsys.readouterr().err
    assert said in printed and "micro" not in printed
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert status["exit_code"] == 5 and said in status["reason"]


def test_the_search_for_neighbours_names_its_own_setting(monkeypatch):
    monkeypatch.setattr(neighbours, "nearest", lambda *_: fail())
    part = SimpleNamespace(survey=lambda _: [None], count=20)
    run = SimpleNamespace(
        step=0, world=SimpleNamespace(device=torch.device("cpu"), heed=lambda: None)
    )
    with pytest.raises(
        OutOfMemory, match=r"Neighbours: search: .*lower targets.Neighbours.count \(20\)"
    ):
        neighbours.Neighbours.before_run(part, run)


def test_the_speed_does_not_count_the_time_of_callbacks(tmp_path, monkeypatch):
    """With a slow callback every second step, images per second are those of the steps alone."""
    clock, learn = [0.0], Trainer.learn

    def takes(seconds, then=lambda *_: None):
        def during(*given):
            clock[0] += seconds
            return then(*given)

        return during

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(Trainer, "learn", takes(2, learn))
    monkeypatch.setattr(Pictures, "__call__", takes(100))
    folder = tmp_path / "run"
    words = [
        "train.Trainer.draw=@draw.Pictures()",
        "train.Trainer.draw_every=2",
        "WORKERS=0",
        "STEPS=4",
    ]
    assert main(bare(folder, *config.flags(words))) == 0
    assert [row["images_per_second"] for row in read(folder / "metrics.jsonl")] == [
        4.0
    ] * 4  # 8 images in 2 s
