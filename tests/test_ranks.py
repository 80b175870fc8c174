"""Several processes of a run end together.

If one is killed, stopped or missing, the others end with a line that names it. If one is asked to
stop, all stop at the same place and save.
"""

import json
import re
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from pymim.config import flags
from tests.crew import Crew, appears

SMALL = [
    *(
        "DATA=@data.Digits",
        "data.Digits.length=48",
        "IMAGE=16",
        "BATCH=16",
        "STEPS=6",
        "CLUSTERS=6",
    ),
    *(
        "encoders.ResNet.dim=4",
        "encoders.ResNet.depths=(1, 1)",
        "clusters.Survey.batch=2",
        "WORKERS=0",
    ),
    *(
        "Trainer.log_every=1",
        "Trainer.save_every=6",
        "Trainer.draw=None",
        "Trainer.evaluate_every=4",
    ),
    "Trainer.patience=8",
]
EVALUATED = ["Trainer.evaluate=@evaluate.Evaluation()", "evaluate.Evaluation.probes=()"]
# Where both are when one of them is signalled: what slows a run there, and how many steps are done.
PLACES = {
    "a step": (
        "slowly(train.Trainer, 'learn', 0.5, lambda run, forward, batch, step, folder: step >= 3)",
        4,
    ),
    "a survey": (
        "run_of = []\n"
        "slowly(targets.Epochwise, 'before_epoch', 0, lambda target, run: run_of.append(run))\n"
        "from pymim.world import World\n"
        "slowly(World, 'heed', 0.3, lambda world: run_of[-1].step == 3)",
        3,
    ),
    "k-means": (
        "steps = []\n"
        "slowly(targets.Epochwise, 'before_epoch', 0, lambda target, run: steps.append(run.step))\n"
        "from pymim.ops.kmeans import KMeans\n"
        "slowly(KMeans, '_pass', 1, lambda *_: steps[-1] == 3)",
        3,
    ),
    "an evaluation": (
        "slowly(evaluate.Evaluation, '__call__', 60, lambda look, run, folder, step: step == 4)",
        4,
    ),
}


@pytest.fixture(scope="module")
def crew():
    made = Crew()
    yield made
    made.close()


@pytest.fixture
def ranks(crew):
    yield crew
    crew.dismiss()


def command(folder, *more):
    more = more or ["Trainer.evaluate=None"]
    return [*flags(["gin/deepcluster.gin", *SMALL, *more]), "--workdir", str(folder / "run")]


def saved(folder):
    return [
        int(path.parent.name[-8:])
        for path in sorted((folder / "run").glob("checkpoints/step-*/meta.json"))
    ]


def weights(folder):
    return load_file(folder / "run/checkpoints/step-00000006/state.safetensors")


@pytest.fixture(scope="module")
def whole(crew, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    crew.start(folder, command(folder))
    assert crew.ends(0, 1) == ([0, 0], [[], []])
    return weights(folder)


def started(ranks, folder, place):
    """Start a run that becomes slow at a place, and wait until it is there."""
    more = EVALUATED if place == "an evaluation" else ["Trainer.evaluate=None"]
    ranks.start(folder, command(folder, *more), PLACES[place][0])
    appears(folder / "place")


def stopped(ranks, folder, place, asked):
    """Ask these ranks to stop where the run is slow, and see how all end."""
    started(ranks, folder, place)
    began = time.monotonic()
    ranks.signal(signal.SIGTERM, *asked)
    codes, lines = ranks.ends(0, 1)
    assert time.monotonic() - began < 10
    step = PLACES[place][1]
    line = f"pymim: stopped by SIGTERM after step {step}, which is saved; "
    line += "--resume auto continues the run"
    assert (codes, lines, saved(folder)) == ([75, 75], [[line], []], [step])
    assert json.loads((folder / "run/status.json").read_text()) == {
        "exit_code": 75, "reason": line.removeprefix("pymim: ")
    }  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_signal_to_one_stops_all_and_a_resumed_run_has_the_same_bits(
    place, ranks, whole, tmp_path
):
    stopped(ranks, tmp_path, place, [1])
    ranks.start(tmp_path, [*command(tmp_path), "--resume", "auto"])
    assert ranks.ends(0, 1)[0] == [0, 0]
    assert all(torch.equal(value, weights(tmp_path)[name]) for name, value in whole.items())


@pytest.mark.parametrize(("place", "asked"), [("k-means", [0]), ("an evaluation", [0, 1])])
def test_a_signal_to_the_first_or_to_all_stops_all(place, asked, ranks, tmp_path):
    stopped(ranks, tmp_path, place, asked)


LOST = {signal.SIGKILL: "gone", signal.SIGSTOP: "stopped by a signal"}


@pytest.mark.parametrize(
    ("number", "place", "lost"),
    [
        (signal.SIGKILL, "a step", 1),
        (signal.SIGKILL, "an evaluation", 0),
        (signal.SIGSTOP, "k-means", 1),
        (signal.SIGSTOP, "an evaluation", 0),
    ],
)
def test_the_others_end_in_a_line_that_names_the_one_that_is_lost(
    number, place, lost, ranks, tmp_path
):
    started(ranks, tmp_path, place)
    process = ranks.ranks[lost]
    ranks.signal(number, lost)
    codes, lines = ranks.ends(1 - lost)
    assert codes == [7]
    assert len(lines[0]) == 1 and lines[0][0].startswith(
        f"pymim: rank {lost} (process {process} on "
    )
    assert (
        f" is {LOST[number]} (before a step was saved; the same command starts again)"
        in lines[0][0]
    )


def test_an_error_of_one_ends_the_others_with_its_message_and_code(ranks, tmp_path):
    fails = """
from pymim.errors import DataError
kept = train.Trainer.learn
def fail(run, forward, batch, step, folder):
    if run.world.rank == 1 and step == 2:
        raise DataError("no more pictures")
    return kept(run, forward, batch, step, folder)
train.Trainer.learn = fail
"""
    ranks.start(tmp_path, command(tmp_path), fails)
    codes, lines = ranks.ends(0, 1)
    assert (codes, lines) == (
        [4, 4],
        [["pymim: rank 1 ended: no more pictures"], ["pymim: no more pictures"]],
    )


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (
            1,
            r"pymim: rank 1: expected to start within 2 s of the others, got nothing; "
            r"start WORLD_SIZE = 2 proc",
        ),
        (
            0,
            r"pymim: rank 0: expected an answer at 127.0.0.1:\d+ within 2 s, got none; "
            r"start rank 0, set MASTER_ADDR and",
        ),
    ],
)
def test_one_that_never_starts_is_named(missing, line, ranks, tmp_path):
    words = command(tmp_path, "Trainer.evaluate=None")
    words[words.index("Trainer.patience=8")] = "Trainer.patience=2"
    ranks.start(tmp_path, words, ranks=[1 - missing])
    (code,), ((printed,),) = ranks.ends(1 - missing)
    assert code == 7 and re.match(line, printed), printed


def test_one_that_waits_for_another_to_start_is_stopped_by_a_signal(ranks, tmp_path):
    """Rank 1, which looks for the first one in a loop."""
    from_now_on = "from pymim import meeting\nslowly(meeting, '_address', 0)"
    ranks.start(tmp_path, command(tmp_path), from_now_on, ranks=[1])
    appears(tmp_path / "place")
    ranks.signal(signal.SIGTERM, 1)
    assert ranks.ends(1) == ([75], [["pymim: stopped by SIGTERM"]])
