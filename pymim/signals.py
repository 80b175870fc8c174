"""Handle the signals that ask a process to stop: SIGTERM, SIGUSR1, SIGHUP and Ctrl-C.

Each raises `Asked` at once, unless the process is in a section that must finish first (`held`). A
Ctrl-C after that ends the process at once, without a message. A signal that is ignored from the
start, as SIGHUP under nohup, stays ignored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from pymim.errors import Interrupted, Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
SAME = 1.0  # seconds in which a second Ctrl-C counts as the first one, passed on by a launcher
PATIENCE = 5.0  # seconds to go on waiting after a request to stop


class Asked(BaseException):
    """A signal asks to stop. It is no Exception, so that `except Exception` lets it pass."""

    def __init__(self, number: int, together: bool = False):
        super().__init__(number)
        self.number = number
        self.together = together  # whether every process of the run raises it at the same place

    def __str__(self) -> str:
        return (
            "interrupted"
            if self.number == signal.SIGINT
            else f"stopped by {signal.Signals(self.number).name}"
        )

    @property
    def exit_code(self) -> int:
        """The exit code of a process that stops for this signal."""
        return (Interrupted if self.number == signal.SIGINT else Stopped).exit_code

    def error(self, where: str) -> Stopped:
        """Return the error that ends a run, saying where it stopped."""
        made = (Interrupted if self.number == signal.SIGINT else Stopped)(f"{self} {where}")
        made.together = self.together
        return made


class _State:
    """Keep what this process was asked, and whether it is in a section that must finish."""

    def __init__(self) -> None:
        self.handling = self.held = self.over = False
        self.forget()

    def forget(self) -> None:
        self.number, self.since = 0, 0.0
        self.raised = False
        self.last: Callable[[], None] | None = None


_state = _State()


def begin() -> None:
    """End the process with one line on a signal: for a command's start, before `handled`."""
    _install(_leave)


def end() -> None:
    """Ignore Ctrl-C: for a command's end, so that it does not change the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Raise Asked on a signal inside the block.

    Does nothing if already inside, or outside the main thread.
    """
    if _state.handling or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _install(_request)
    _state.handling = True
    _state.forget()
    try:
        yield
    finally:
        _state.handling, _state.over = False, True
        _state.forget()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held(hold: bool = True) -> Iterator[None]:
    """Finish the block even if a signal came; raise Asked at its end, if nothing did before."""
    before, _state.held = _state.held, hold
    try:
        if not hold:
            check()
        yield
    finally:
        _state.held = before
    if not (before or _state.raised):
        check()


def released(release: bool = True) -> contextlib.AbstractContextManager[None]:
    """Raise Asked at once within part of a held section, if `release`."""
    return held(not release) if release else contextlib.nullcontext()


def requested() -> int:
    """Return the signal that asked to stop, or 0."""
    return _state.number


def asked(together: bool = False) -> Asked:
    """Return what to raise if this or another process was asked to stop.

    together: all processes raise it here.
    """
    _state.raised = True
    return Asked(_state.number or signal.SIGTERM, together)


def listens() -> bool:
    """Say whether a signal asks this process to stop, rather than ending it."""
    return _state.handling


def hand_on(number: int) -> None:
    """Ask this process to stop from another thread, as another process was asked; only once."""
    if listens() and not requested():
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def run(command: Sequence[str], **options: Any) -> int:
    """Run a command to its end; return its exit code.

    A request to stop is passed on to the command, then raises Asked.
    """
    with handled(), held(), subprocess.Popen(command, **options) as process:
        handed_on = False
        while (code := process.poll()) is None:
            if requested() and not handed_on:
                process.send_signal(signal.SIGTERM)
                handed_on = True
            time.sleep(0.05)
    return code


def check(patience: float = 0.0) -> None:
    """Raise Asked if a stop was requested `patience` seconds ago or longer: for loops and waits."""
    if _state.number and time.monotonic() - _state.since >= patience:
        raise asked()


def at_once(action: Callable[[], None]) -> None:
    """Set a short action to do before a second Ctrl-C ends the process."""
    _state.last = action


def _install(handler: Any) -> dict[signal.Signals, Any]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    kept = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in kept:
        signal.signal(number, handler)
    return kept


def _request(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and _state.number and time.monotonic() - _state.since > SAME:
        if _state.last is not None:
            with contextlib.suppress(Exception):
                _state.last()
        os._exit(Interrupted.exit_code)
    if not _state.number:
        _state.number, _state.since = number, time.monotonic()
    if not _state.held and not _state.raised:
        raise asked()


def _leave(number: int, frame: FrameType | None) -> None:
    asked = Asked(number)
    if not _state.over:
        os.write(2, f"pymim: {asked} before it began\n".encode())
    os._exit(asked.exit_code)
