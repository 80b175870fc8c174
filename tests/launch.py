"""Start small runs without probes, in two processes, and one process among two."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import torch.distributed as dist

from pymim.world import World

# Probes and pictures are most of the time of a small run.
BARE = ["train.Trainer.evaluate=None", "train.Trainer.draw=None"]


@contextlib.contextmanager
def asked_once_it_learns(metrics):
    """Inside, this process is sent SIGTERM as soon as the file has a row of metrics."""
    over = threading.Event()

    def ask():
        while not metrics.exists() or not metrics.read_text():
            if over.wait(0.02):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def by_torchrun(command):
    """Run `python -m pymim.run` with the words of `command`, in two processes on a free port."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launcher, "-m", "pymim.run", *command], check=True, capture_output=True, env=environment
    )


def in_two_processes(command):
    """Do the same in torchrun's environment, but without torchrun, which starts slowly."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    started = []
    for rank in range(2):
        settings = {"OMP_NUM_THREADS": 1, "RANK": rank, "LOCAL_RANK": rank, **common}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        words = [sys.executable, "-m", "pymim.run", *command]
        started.append(
            subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
            )
        )
    try:
        shown = [process.communicate(timeout=300)[1].decode() for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], shown


@contextlib.contextmanager
def one_of_two(rank, folder):
    """Process `rank` of two that meet in a file of this folder."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    yield
    World.leave()
