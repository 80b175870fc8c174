"""Define how a run can fail: each error has the exit code of the process."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator


def printable(text: object) -> str:
    """Escape what a terminal would obey or hide: control characters, line ends, text direction.

    File names come from other people; every message and line that holds one goes through here.
    """
    return "".join(
        letter
        if letter.isprintable() or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )


class PymimError(Exception):
    """End a run with one clear line and `exit_code`; the line is made printable."""

    exit_code = 1
    together = False  # whether every process raises it at once, so that only the first prints it

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(PymimError, ValueError):
    """The command line, a gin file or an argument is wrong."""

    exit_code = 2


class Diverged(PymimError):
    """The loss or the gradients are not finite."""

    exit_code = 3


class DataError(PymimError):
    """There is nothing to read, or too much of it is broken."""

    exit_code = 4


class Stopped(PymimError):
    """A signal asked the run to stop, and it saved first: start it again (EX_TEMPFAIL)."""

    exit_code = 75


class Interrupted(Stopped):
    """Ctrl-C asked the run to stop, and it saved first."""

    exit_code = 130


class Unwritable(PymimError):
    """A file cannot be written: the disk is full, the folder is gone. Earlier saves are whole."""

    exit_code = 6


class Lost(PymimError):
    """Another process of the run is gone, stopped or late; earlier saves are complete."""

    exit_code = 7


class OutOfMemory(PymimError):
    """A part of a run found no memory; the message names the setting to lower."""

    exit_code = 5


def is_memory(error: BaseException) -> bool:
    """Say whether an error means that a CPU or GPU ran out of memory."""
    words = ("out of memory", "can't allocate memory", "bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


@contextlib.contextmanager
def memory_of(part: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory inside into OutOfMemory, naming the part and the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        raise OutOfMemory(f"{part}: out of memory; {remedy}") from error


def is_refusal(error: BaseException) -> bool:
    """Say whether an error refuses a value, `who: what: expected ..., got ...`, and is no bug."""
    return re.match(r"[^:\n]+: [^:\n]+: expected ", str(error)) is not None
