"""Commands that run beside this process and end with it: stages, and the runs of a comparison.

A request to stop is handed on to a child once, and it is waited for; where this process is killed, Linux sends it
SIGTERM. It has a session of its own, so that Ctrl-C in a terminal does not reach it twice.
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

_PARENT = "PYMIM_PARENT"  # in a child's environment: the number of the process that it ends with
_PR_SET_PDEATHSIG = 1  # Linux: which signal a process gets when its parent ends
_ASKED = {Stopped.exit_code: Stopped, Interrupted.exit_code: Interrupted}


def call(
    command: Sequence[str], where: str, out: IO[Any] | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Run a command to its end and give its exit code, 128 + N where signal N ended it.

    where: what is said to have stopped, and what goes on with it. out: where its output goes.

    Raises: Stopped where a signal stopped this process or the command, Interrupted after Ctrl-C.
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
    """Give the letter by which Linux says what a process does: T where it is stopped, X where there is none of this
    number, nothing where the system does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X" if sys.platform == "linux" else ""


def follow_parent() -> None:
    """End as by SIGTERM when the process that called this command has ended; nothing where none called it."""
    parent = os.environ.pop(_PARENT, None)
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before that
        os.kill(os.getpid(), signal.SIGTERM)
