"""Map what a command raised to its exit code and its last line, as docs/runs.md lists them."""

from __future__ import annotations

import errno
import os
import sys
from typing import NamedTuple, NoReturn

from pymim.errors import (
    ConfigError,
    Interrupted,
    OutOfMemory,
    PymimError,
    Unwritable,
    is_memory,
    is_refusal,
)
from pymim.signals import Asked

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# For a run that trains, loop.pieces gives better advice.
_MEMORY = "out of memory; take a smaller DIM, or a smaller BATCH"


class Ending(NamedTuple):
    """How a command ends.

    known: whether the reason says everything; a bug needs its traceback too.
    """

    exit_code: int
    reason: str
    known: bool = True


DONE = Ending(0, "done")


def of(error: BaseException) -> Ending:
    """Return the ending for an error."""
    if isinstance(error, PymimError):
        return Ending(error.exit_code, str(error))
    if isinstance(error, Asked):
        return Ending(error.exit_code, str(error))
    if isinstance(error, KeyboardInterrupt):
        return Ending(Interrupted.exit_code, "interrupted")
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or "a file"
        return Ending(
            Unwritable.exit_code, f"{where}: could not be written ({error.strerror}); make room"
        )
    if is_memory(error):
        return Ending(OutOfMemory.exit_code, _MEMORY)
    # Some values are refused only at the first step, when parts first meet.
    if isinstance(error, ValueError) and is_refusal(error):
        return Ending(ConfigError.exit_code, str(error).partition("\n")[0])
    words = " ".join(str(error).split())
    return Ending(1, f"{type(error).__name__}: {words}", known=False)


def at_once(code: int) -> NoReturn:
    """End this process without waiting for any thread."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def quiet_torch() -> None:
    """Stop torch from printing its stack when another process is gone; call before importing it."""
    if "RANK" in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
