"""One process trains in a folder: a second is refused, but a dead one keeps nobody out."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from pymim.errors import ConfigError
from pymim.io.lock import Lock

HOLD = """
import os, sys, time
from pathlib import Path
from pymim.io.lock import Lock
with Lock(Path(sys.argv[1])):
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def held(folder, *more):
    """A process that has the lock."""
    words = [sys.executable, "-c", HOLD, str(folder), *more]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path):
    """A data worker of the first, forked from it, may outlive it: it has no part in the lock."""
    first = held(tmp_path, "fork")
    try:
        with pytest.raises(ConfigError) as refused, Lock(tmp_path):
            pass
        said = str(refused.value)
        assert f"process {first.pid} on {os.uname().nodename}, since 2" in said and "\n" not in said
        assert json.loads((tmp_path / ".lock").read_text())["process"] == first.pid
        first.kill()
        first.wait()
        with Lock(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
        assert not (tmp_path / ".lock").exists()
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        first.stdout.close()


def test_a_folder_that_stays_empty_is_not_left(tmp_path):
    with Lock(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()
    with Lock(tmp_path / "run"):
        (tmp_path / "run/config.gin").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.gin"]


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with Lock(tmp_path):
        assert (
            "has no locks ([Errno 37] No locks available): start only one run in the folder"
            in caplog.text
        )


def test_a_removed_lock_file_does_not_count(tmp_path, monkeypatch):
    """The first ends, and removes the file, between the second's opening and locking it."""
    lock, opened = fcntl.lockf, []

    def late(handle, *more):
        if not opened:
            (tmp_path / ".lock").unlink()
        opened.append(handle)
        return lock(handle, *more)

    monkeypatch.setattr(fcntl, "lockf", late)
    with Lock(tmp_path):
        assert len(opened) == 2 and (tmp_path / ".lock").exists()


def test_a_folder_that_cannot_be_made_is_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="expected a folder that can be written"),
        Lock(tmp_path / "file/run"),
    ):
        pass
