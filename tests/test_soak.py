"""A run that is killed and damaged at random moments ends with the bits of one that was left alone.

PYMIM_SOAK is the number of kills, 4 by default; PYMIM_SOAK_SEED draws others.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from pymim.io import checkpoint
from pymim.io.metrics import read
from tests.io.test_damage import DAMAGES
from tests.test_run import bare

STEPS, KILLS, SEED = (
    60,
    int(os.environ.get("PYMIM_SOAK", 4)),
    int(os.environ.get("PYMIM_SOAK_SEED", 1)),
)
# Starts each run from a process that has imported everything: a fork takes no seconds.
NURSERY = """
import json, os, sys
from pymim import config, run, train
for line in sys.stdin:
    if (child := os.fork()) == 0:
        os._exit(run.main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    def __init__(self):
        words = [sys.executable, "-c", NURSERY]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, command, number=0, after=0.0):
        """The exit code of a run that is sent a signal some seconds after its start."""
        print(json.dumps(command), file=self.process.stdin, flush=True)
        child = int(self.process.stdout.readline())
        if number:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def nursery():
    made = Nursery()
    yield made
    made.close()


def command(folder):
    more = [f"STEPS={STEPS}", "WORKERS=0", "train.Trainer.save_every=3", "train.Trainer.keep=3"]
    return bare(folder, *(word for each in more for word in ("-b", each)), "--resume", "auto")


def damage_the_newest(folder, dice):
    """Damages the last checkpoint in some way, where it is not the only one."""
    found = checkpoint.steps(folder / "checkpoints")
    name, damage, _ = DAMAGES[
        dice.choice(("flipped", "cut", "empty", "missing", "meta cut", "meta missing"))
    ]
    if len(found) > 1:
        damage(found[-1] / name)


@pytest.mark.slow
def test_kills_and_damages_at_random_moments_change_no_bit(nursery, tmp_path):
    began = time.monotonic()
    assert nursery.run(command(tmp_path / "whole")) == 0
    lasts, dice = time.monotonic() - began, random.Random(SEED)
    folder, codes = tmp_path / "killed", []
    for kill in range(KILLS):
        number = dice.choice((signal.SIGKILL, signal.SIGTERM))
        codes.append(nursery.run(command(folder), number, dice.uniform(0.1, 0.5) * lasts))
        assert codes[-1] in (0, 75, -number), codes
        if kill % 2:
            damage_the_newest(folder, dice)
    assert nursery.run(command(folder)) == 0
    assert any(codes), "no run was stopped"
    both = (tmp_path / "whole", folder)
    first, second = (load_file(checkpoint.newest(path) / "state.safetensors") for path in both)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    rows = [[(row["step"], row["loss"]) for row in read(path / "metrics.jsonl")] for path in both]
    assert rows[0] == rows[1] and len(rows[0]) == STEPS
    left = [path.name for path in folder.rglob(".*")] + [path.name for path in folder.glob("aside")]
    assert left == []
