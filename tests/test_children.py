"""Children end with their parent, whatever ends it, and each signal reaches them once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pymim import children
from pymim.errors import Stopped

# A child that writes what it gets, and needs a moment to end.
CHILD = """
import os, signal, sys, time
from pathlib import Path
from pymim import children
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: got.append(number))
children.follow_parent()
Path(sys.argv[1], "began").write_text(str(os.getpid()))
while not got: time.sleep(0.01)
time.sleep(0.3)
Path(sys.argv[1], "got").write_text(" ".join(signal.Signals(number).name for number in got))
sys.exit(75)
"""
PARENT = """
import sys
from pymim import children
from pymim.errors import PymimError
try:
    children.call([sys.executable, "-c", sys.argv[1], sys.argv[2]], "here; again")
except PymimError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def appears(path, seconds=20):
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"no {path}"
        time.sleep(0.02)
    return path.read_text()


def gone(number, seconds=20):
    until = time.monotonic() + seconds
    while (
        Path(f"/proc/{number}").exists()
        and "Z" not in Path(f"/proc/{number}/stat").read_text().split()[2]
    ):
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path):
    words = [sys.executable, "-c", PARENT, CHILD, str(tmp_path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        yield parent, int(appears(tmp_path / "began"))
        parent.kill()


@pytest.mark.parametrize(
    ("number", "code"), [("SIGTERM", 75), ("SIGHUP", 75), ("SIGUSR1", 75), ("SIGINT", 130)]
)
def test_a_request_is_handed_on_once_and_the_child_is_waited_for(number, code, started, tmp_path):
    parent, child = started
    os.killpg(parent.pid, signal.Signals[number])  # as a terminal does: to the whole group
    printed, _ = parent.communicate(timeout=20)
    said = "interrupted" if number == "SIGINT" else f"stopped by {number}"
    assert (parent.returncode, printed) == (code, f"{said} here; again\n")
    assert (tmp_path / "got").read_text() == "SIGTERM"  # it had time to end
    gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child")
def test_a_child_ends_when_its_parent_is_killed(started, tmp_path):
    parent, child = started
    parent.kill()
    assert appears(tmp_path / "got") == "SIGTERM"
    gone(child)


def test_a_child_that_begins_after_its_parents_end_ends(monkeypatch):
    monkeypatch.setenv("PYMIM_PARENT", str(os.getppid() + 1))
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        children.follow_parent()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got == [signal.SIGTERM] and "PYMIM_PARENT" not in os.environ


def test_a_command_without_a_parent_keeps_running():
    before = dict(os.environ)
    children.follow_parent()
    assert dict(os.environ) == before


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_code_of_a_command_that_ended_by_itself(script, code):
    before = signal.getsignal(signal.SIGTERM)
    assert children.call(["sh", "-c", script], "again") == code
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("code", [75, 130])
def test_a_command_that_a_signal_stopped_stops_this_one(code):
    with pytest.raises(Stopped, match=r"^stopped by a signal here; again$") as stopped:
        children.call(["sh", "-c", f"exit {code}"], "here; again")
    assert stopped.value.exit_code == code
