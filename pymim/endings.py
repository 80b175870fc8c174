"""How a command ends: the exit code and the line of whatever it raised; what README lists."""

from __future__ import annotations

import errno
import os
import sys
from typing import NamedTuple, NoReturn

from pymim.errors import ConfigError, Interrupted, OutOfMemory, PymimError, Unwritable, is_memory, is_refusal
from pymim.signals import Asked

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_MEMORY = "out of memory; take a smaller DIM, or a smaller BATCH"  # of a run that trains, see loop.pieces


class Ending(NamedTuple):
    """known: whether the reason says all; a mistake of the program needs its traceback too."""

    exit_code: int
    reason: str
    known: bool = True


DONE = Ending(0, "done")


def of(error: BaseException) -> Ending:
    """The ending that an error makes."""
    if isinstance(error, PymimError):
        return Ending(error.exit_code, str(error))
    if isinstance(error, Asked):
        return Ending(error.exit_code, str(error))
    if isinstance(error, KeyboardInterrupt):
        return Ending(Interrupted.exit_code, "interrupted")
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or "a file"
        return Ending(Unwritable.exit_code, f"{where}: could not be written ({error.strerror}); make room")
    if is_memory(error):
        return Ending(OutOfMemory.exit_code, _MEMORY)
    if isinstance(error, ValueError) and is_refusal(error):  # at the first step, where parts first meet
        return Ending(ConfigError.exit_code, str(error).partition("\n")[0])
    words = " ".join(str(error).split())
    return Ending(1, f"{type(error).__name__}: {words}", known=False)


def at_once(code: int) -> NoReturn:
    """End this process without waiting for any thread."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def quiet_torch() -> None:
    """Before torch is imported: among several processes, keep it from showing its frames where one is gone."""
    if "RANK" in os.environ:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
