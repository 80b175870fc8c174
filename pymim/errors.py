"""What a run can end with, other than well: each error knows the exit code of the process."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator


def printable(text: object) -> str:
    """Write as escapes what a terminal would obey or hide: control characters, line ends, changes of direction.

    Names of files come from whoever made them; every message and line that holds one goes through here.
    """
    return "".join(
        letter
        if letter.isprintable() or unicodedata.category(letter) == "Zs"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )


class PymimError(Exception):
    """Ends a run with one clear line and `exit_code`; what a terminal would obey is written as escapes."""

    exit_code = 1
    together = False  # whether every process of the run raises it at once: then the first one says it

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(PymimError, ValueError):
    """The command line, a gin file or an argument is wrong."""

    exit_code = 2


class Diverged(PymimError):
    """The loss or the gradients are not finite."""

    exit_code = 3


class DataError(PymimError):
    """Nothing to read, or too much of it broken."""

    exit_code = 4


class Stopped(PymimError):
    """A signal asked the run to stop, and it saved first: start it again to go on (EX_TEMPFAIL)."""

    exit_code = 75


class Interrupted(Stopped):
    """Ctrl-C asked the run to stop, and it saved first."""

    exit_code = 130


class Unwritable(PymimError):
    """A file cannot be written: the disk is full, the folder is gone; what was saved before is whole."""

    exit_code = 6


class Lost(PymimError):
    """Another process of the run is gone, stopped, or did not come in time; what was saved before is whole."""

    exit_code = 7


class OutOfMemory(PymimError):
    """A part of a run found no memory; the message names the knob of that part."""

    exit_code = 5


def is_memory(error: BaseException) -> bool:
    """Say whether an error is that of a processor or a GPU without memory for what is asked of it."""
    words = ("out of memory", "can't allocate memory", "bad_alloc")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


@contextlib.contextmanager
def memory_of(part: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory inside into OutOfMemory, which names this part of a run and what helps there."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        raise OutOfMemory(f"{part}: out of memory; {remedy}") from error


def is_refusal(error: BaseException) -> bool:
    """Say whether an error is one of ours that refuses a value, and no bug: `who: what: expected ..., got ...`."""
    return re.match(r"[^:\n]+: [^:\n]+: expected ", str(error)) is not None
