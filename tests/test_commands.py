"""How each command ends: a table of commands and of the failures that each may meet."""

import errno
import os
import shutil
import signal
import time

import pytest

from pymim import compare
from pymim.clusters.survey import Survey
from pymim.config import flags
from pymim.errors import DataError
from pymim.method import Method
from pymim.ops.kmeans import KMeans
from pymim.run import main

SMALL = [
    *(
        "DATA=@data.Digits",
        "data.Digits.length=48",
        "IMAGE=16",
        "BATCH=16",
        "STEPS=1",
        "CLUSTERS=6",
    ),
    *("encoders.ResNet.dim=4", "encoders.ResNet.depths=(1, 1)", "WORKERS=0"),
    *("Trainer.evaluate_every=0", "Trainer.draw_every=0"),
]
GIN = "gin/deepcluster.gin"


def compared(folder):
    try:
        compare.main([f"one: {GIN}", "--workdir", str(folder / "compared"), "--seeds", "1"])
    except SystemExit as ends:
        return ends.code
    return 0


def trained(folder):
    bare = ["Trainer.evaluate=None", "Trainer.draw=None"]
    return main([*flags([GIN, *SMALL, *bare]), "--workdir", str(folder / "new")])


# What is called, and the function in whose midst it is met.
COMMANDS = {
    "training": (trained, Method, "before_epoch"),
    "a survey": (trained, Survey, "__call__"),
    "k-means": (trained, KMeans, "_pass"),
    "evaluation": (
        lambda at: main(["--mode", "eval", "--workdir", str(at)]),
        "pymim.probes.reading.Reading.all",
    ),
    "drawing": (
        lambda at: main(["--mode", "draw", "--workdir", str(at)]),
        "pymim.draw.pictures.features.draw",
    ),
    "export": (
        lambda at: main(["export", str(at), "--to", str(at / "to")]),
        "pymim.io.export.written",
    ),
    "comparing": (compared, compare, "_checked"),
}
ENDINGS = {
    "SIGTERM": (signal.SIGTERM, 75, "stopped by SIGTERM"),
    "Ctrl-C": (signal.SIGINT, 130, "interrupted"),
    "data": (DataError("no more pictures"), 4, "no more pictures"),
    "memory": (MemoryError(), 5, "out of memory"),
    "disk": (
        OSError(errno.ENOSPC, "No space left on device", "a.file"),
        6,
        "a.file: could not be written",
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands") / "run"
    looks = ["evaluate.Evaluation.probes=(@probes.KNN(),)"]
    looks += [
        "evaluate.Evaluation.train_images=20",
        "evaluate.Evaluation.test_images=10",
        "draw.Pictures.images=2",
    ]
    assert main([*flags([GIN, *SMALL, *looks]), "--workdir", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_ends_in_a_line_and_with_its_code(
    name, ending, finished, tmp_path, monkeypatch, capfd
):
    what, code, words = ENDINGS[ending]

    def befall(*_, **__):
        if isinstance(what, Exception):
            raise what
        os.kill(os.getpid(), what)
        time.sleep(30)

    command, *place = COMMANDS[name]
    monkeypatch.setattr(*place, befall)
    folder = shutil.copytree(finished, tmp_path / "run")
    began = time.monotonic()
    assert command(folder) == code
    assert time.monotonic() - began < 10
    printed = capfd.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith("pymim: ")]
    assert len(lines) == 1 and words in lines[0] and "Traceback" not in printed


TRUSTED = {
    "training": ["--gin", "{file}", "--workdir", "{folder}/new"],
    "evaluation": ["--mode", "eval", "--workdir", "{folder}"],
    "drawing": ["--mode", "draw", "--workdir", "{folder}"],
    "export": ["export", "{folder}", "--to", "{folder}/to"],
}


@pytest.mark.parametrize("name", TRUSTED)
def test_no_command_runs_untrusted_code(name, finished, tmp_path, capfd):
    folder = shutil.copytree(finished, tmp_path / "run")
    made, file = tmp_path / "made", folder / "config.gin"
    evil = f"import os\nM = @os.mkdir()\nos.mkdir.path = {str(made)!r}\n"
    evil += "survey/data.Loader.workers = %M\n"
    file.write_text(file.read_text() + evil)
    words = [word.format(file=file, folder=folder) for word in TRUSTED[name]]
    assert main(words) == 2
    assert (
        not made.exists()
        and not (folder / "new/checkpoints").exists()
        and not (folder / "to").exists()
    )
    assert "import os: expected a module" in capfd.readouterr().err
