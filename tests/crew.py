"""Processes of a run that a test signals, stops and kills: forks of one with all imports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

# What a run is slowed by, so that a signal meets it there. PLACE is a file that says so.
SLOW = """
import os, time
from pathlib import Path
def here(step, count=None):
    Path(PLACE).write_text(f"{step} {os.getpid()}")
def slowly(owner, name, seconds, when=lambda: True):
    kept = getattr(owner, name)
    def slow(*arguments, **options):
        if when(*arguments):
            here(name)
            time.sleep(seconds)
        return kept(*arguments, **options)
    setattr(owner, name, slow)
"""
NURSERY = """
import json, os, sys, torch, sklearn.metrics, tqdm
from pymim import compare, config, evaluate, run, targets, train
torch.set_num_threads(1)
config.load(['gin/deepcluster.gin'])
for line in sys.stdin:
    task = json.loads(line)
    if task.get("wait"):
        print(os.waitstatus_to_exitcode(os.waitpid(task["wait"], 0)[1]), flush=True)
    elif (child := os.fork()) == 0:
        os.dup2(os.open(task["printed"], os.O_WRONLY | os.O_CREAT), 2)
        os.environ |= task["environment"]
        exec(task["first"])
        os._exit(run.main(task["command"]))
    else:
        print(child, flush=True)
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Crew:
    """Starts the ranks of a run, and waits for them."""

    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.ranks, self.printed = {}, {}

    def ask(self, **task):
        print(json.dumps(task), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def start(self, folder, command, first="", ranks=(0, 1), size=2):
        """Start these ranks of a run; each first executes `first`. PLACE in it is folder/place."""
        folder.mkdir(exist_ok=True)
        port, self.ranks = free_port(), {}
        for rank in ranks:
            environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            environment |= {"WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)}
            self.printed[rank] = folder / f"printed-{rank}"
            self.printed[rank].unlink(missing_ok=True)
            self.ranks[rank] = self.ask(
                printed=str(self.printed[rank]),
                environment=environment,
                first=f"PLACE = {str(folder / 'place')!r}\n{SLOW}\n{first}",
                command=command,
            )

    def signal(self, number, *ranks):
        for rank in ranks:
            os.kill(self.ranks[rank], number)

    def ends(self, *ranks):
        """The exit codes of these ranks, and the lines that they end with."""
        codes = [self.ask(wait=self.ranks.pop(rank)) for rank in ranks]
        shown = [self.printed[rank].read_text() for rank in ranks]
        lines = [
            [line for line in text.splitlines() if line.startswith(("pymim:", "Trace"))]
            for text in shown
        ]
        return codes, lines

    def dismiss(self):
        for rank, number in [*self.ranks.items()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            self.ask(wait=self.ranks.pop(rank))

    def close(self):
        self.dismiss()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def appears(path, seconds=120):
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"no {path}"
        time.sleep(0.02)
