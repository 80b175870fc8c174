"""Exchange messages between a run's processes: that they live, should stop, or why they left.

A thread of each process writes to and reads from a store of torch.distributed. It is needed since a
process that waits in a collective runs no signal handler, and a process that is gone says nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from pymim import children, signals
from pymim.errors import Interrupted, Lost, PymimError, Stopped

EVERY = 0.5  # seconds between two heartbeats
HEARING = 6 * EVERY  # seconds without a heartbeat after which a process counts as silent
LINGER = 5.0  # seconds that the store's host waits at its end for the others to read the reason
_HINDRANCES = {"X": "gone", "Z": "gone", "T": "stopped by a signal", "t": "traced"}
_ASKED = {Stopped.exit_code: Stopped, Interrupted.exit_code: Interrupted}


class Peers:
    """Represent one process among `size`, which talks to the others through `store`.

    patience: seconds that another process may be silent or late. hosts: whether the store ends with
        this process.
    """

    def __init__(self, store: Any, rank: int, size: int, patience: float, hosts: bool):
        self.store, self.rank = store, rank
        self.size, self.patience = size, patience
        self.hosts = hosts
        self.others = [other for other in range(size) if other != rank]
        self.places: dict[int, list[Any]] = {}  # the host and the process of each rank
        self.words: dict[str, str] = {}  # the last value read under each key
        self.changed: dict[str, float] = {}  # when that value last changed
        self.answered = time.monotonic()  # when the store last answered
        self.silent: list[int] = []  # ranks that were found to be lost
        self.broken = False  # whether a collective failed
        self.turns = 0  # how many actions the first process did while the others waited
        self._wanted = {"stop"}
        self._unsaid: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._over = False
        self._ear, self._bell = os.pipe()
        self._thread = threading.Thread(target=self._attend, daemon=True)

    def begin(self) -> None:
        """Announce this process, and start to listen; a signal wakes the thread at any time."""
        self.say(f"who/{self.rank}", json.dumps([socket.gethostname(), os.getpid()]))
        os.set_blocking(self._bell, False)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        self._thread.start()

    def end(self, code: int, reason: str) -> None:
        """Announce how this process ends; if it hosts the store, let the others read that first."""
        self.say(f"left/{self.rank}", json.dumps([code, reason]))
        readers = [rank for rank in self.others if rank not in self.silent]
        notes = self._want("left", readers) if self.hosts else []
        self._within(
            LINGER, lambda: self._unsaid.empty() and all(note in self.words for note in notes)
        )
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
        self._over = True
        self._ring()
        self._thread.join(1)
        if self._is_deaf():  # do not wait for a thread that hangs on a stopped store
            os.close(self._ear)
            os.close(self._bell)

    def say(self, key: str, word: str) -> None:
        """Queue a value to be written to the store."""
        self._unsaid.put((key, word))
        self._ring()

    def meet(self) -> None:
        """Wait for every process.

        Raises: Lost, naming those that are not there within `patience` seconds.
        """
        keys, began = self._want("who", range(self.size)), time.monotonic()
        reminder = 60.0
        while missing := [rank for rank, key in enumerate(keys) if key not in self.words]:
            self._ring()
            waited, names = time.monotonic() - began, _named(missing)
            if waited >= self.patience or self._is_deaf():
                raise Lost(
                    f"{names}: expected to start within {self.patience:g} s of the others, got "
                    f"nothing; start WORLD_SIZE = {self.size} processes, or raise "
                    "train.Trainer.patience"
                )
            if waited >= reminder:
                reminder += 60
                print(f"waited {waited:.0f} s for {names} to start", file=sys.stderr)  # noqa: T201
            time.sleep(0.1)
        self.places = {rank: json.loads(self.words[key]) for rank, key in enumerate(keys)}

    def follow(self, key: str) -> str:
        """Wait for the first process's value under `key`, however long that takes.

        Raises: Lost if it is silent for longer than `patience`; if it failed, an error with its
        message and exit code; Asked if it ignores a request to stop.
        """
        alive, left = self._want("alive", [0])[0], self._want("left", [0])[0]
        self._wanted.add(key)
        began = time.monotonic()
        while key not in self.words:
            signals.check(2 * signals.PATIENCE)
            heard = min(self.answered, max(began, self.changed.get(alive, 0.0)))
            if left in self.words or self._is_deaf() or time.monotonic() - heard > self.patience:
                raise self.explained(f"rank 0 was silent for {self.patience:g} s")
            self._ring()
            time.sleep(0.1)
        self._wanted.discard(key)
        return self.words[key]

    def explained(self, error: object) -> BaseException:
        """Find why a collective failed: a stop, another process's ending, or a lost process."""
        self.broken, began = True, time.monotonic()
        alive, left = self._want("alive", self.others), self._want("left", self.others)
        self._within(
            HEARING, lambda: bool(signals.requested()) or any(key in self.words for key in left)
        )
        if signals.requested():
            return signals.asked()
        for rank, key in zip(self.others, left, strict=True):
            if key in self.words:
                return _ended(rank, *json.loads(self.words[key]))
        quiet = time.monotonic() - 4 * EVERY
        silent = [
            rank
            for rank, key in zip(self.others, alive, strict=True)
            if self.changed.get(key, 0.0) < max(quiet, began)
        ]
        # Without the store, heartbeats say nothing: its host (rank 0 or the launcher) is lost.
        if self._is_deaf() or self.answered < quiet:
            silent = [
                rank for rank in silent if self._state(rank) in ("gone", "stopped by a signal")
            ] or [0]
        self.silent = silent
        if silent:
            return Lost("; ".join(f"rank {rank} {self._described(rank)}" for rank in silent))
        return Lost(
            "every rank is alive, but one did not reach the others at a collective within "
            f"{self.patience:g} s; raise train.Trainer.patience, or find what slows it "
            f"({' '.join(str(error).split())})"
        )

    def _described(self, rank: int) -> str:
        host, process = self.places.get(rank, ["", 0])
        where = f"(process {process} on {host})" if host else ""
        state = self._state(rank) or "silent: its machine or the network may be down"
        return f"{where} is {state}".strip()

    def _state(self, rank: int) -> str:
        """Return what hinders a process on this machine, by the system; "" for other machines."""
        host, process = self.places.get(rank, ["", 0])
        return _HINDRANCES.get(children.state(process), "") if host == socket.gethostname() else ""

    def _want(self, name: str, ranks: Sequence[int]) -> list[str]:
        keys = [f"{name}/{rank}" for rank in ranks]
        self._wanted = {*self._wanted, *keys}
        return keys

    def _is_deaf(self) -> bool:
        """Say whether the store is gone."""
        return not self._thread.is_alive()

    def _within(self, seconds: float, true: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while not true() and time.monotonic() < until and not self._is_deaf():
            time.sleep(0.02)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe wakes the thread anyway
            os.write(self._bell, b"\0")

    def _attend(self) -> None:
        beats = 0
        with contextlib.suppress(RuntimeError):  # the store is gone
            while not self._over:
                ready = select.select([self._ear], [], [], EVERY)[0]
                for number in os.read(self._ear, 4096) if ready else b"":
                    if number in signals.SIGNALS and signals.listens():
                        self._unsaid.put(("stop", f"{number} {self.rank}"))
                beats += 1
                self.store.set(f"alive/{self.rank}", str(beats))
                self._talk()

    def _talk(self) -> None:
        while not self._unsaid.empty():
            self.store.set(*self._unsaid.get())
        for key in tuple(self._wanted):
            if self.store.check([key]):
                self._hear(key, self.store.get(key).decode())
        self.answered = time.monotonic()

    def _hear(self, key: str, word: str) -> None:
        if self.words.get(key) == word:
            return
        self.words[key], self.changed[key] = word, time.monotonic()
        if key == "stop":
            number, rank = map(int, word.split())
            if rank != self.rank:
                signals.hand_on(number)


def _named(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def _ended(rank: int, code: int, reason: str) -> PymimError:
    """Return the error for another process's end; if that one lost a process, its reason."""
    if code == Lost.exit_code:
        return Lost(reason)
    if code in _ASKED:
        return _ASKED[code](reason)
    error = PymimError(f"rank {rank} ended: {reason}")
    error.exit_code = code
    return error
