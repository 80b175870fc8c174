"""Run commands as children that end with this process: stages, and the runs of a comparison.

A request to stop is passed on to a child once, then the child is waited for. If this process is
killed, Linux sends the child SIGTERM. A child has its own session, so that Ctrl-C in a terminal
does not reach it twice.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pymim import signals
from pymim.errors import Interrupted, Stopped

_PARENT = "PYMIM_PARENT"  # environment variable: the process number of the parent a child ends with
_PR_SET_PDEATHSIG = 1  # option of Linux's prctl: the signal a process gets when its parent ends
_ASKED = {Stopped.exit_code: Stopped, Interrupted.exit_code: Interrupted}


def call(
    command: Sequence[str],
    where: str,
    out: IO[Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command to its end; return its exit code, or 128 + N if signal N ended it.

    where: for the message: where it stopped and how to continue. out: the file for its output.

    Raises: Stopped if a signal stopped this process or the command, Interrupted after Ctrl-C.
    """
    environment = {**(os.environ if env is None else env), _PARENT: str(os.getpid())}
    try:
        code = signals.run(command, env=environment, stdout=out, start_new_session=True)
    except signals.Asked as asked:
        raise asked.error(where) from None
    if code in _ASKED:
        raise _ASKED[code](f"stopped by a signal {where}")
    return 128 - code if code < 0 else code


def state(process: int) -> str:
    """Return Linux's letter for the state of a process: T if stopped, X if there is none.

    Returns "" if the system does not say.
    """
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X" if sys.platform == "linux" else ""


def follow_parent() -> None:
    """End as by SIGTERM when the process that started this command has ended.

    Does nothing if no process of ours started it.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before that
        os.kill(os.getpid(), signal.SIGTERM)
