"""What a run can end with, other than well: each error knows the exit code of the process."""

from __future__ import annotations


class PymimError(Exception):
    """Ends a run with one clear line and `exit_code`."""

    exit_code = 1


class ConfigError(PymimError):
    """The command line or a gin file is wrong."""

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
    """The disk is full, or a folder cannot be written; what was saved before is whole."""


class OutOfMemory(PymimError):
    """A part of a run found no memory; the message names the knob of that part."""

    exit_code = 5
