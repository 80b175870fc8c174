"""Lock a run's folder: one process trains in it at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from pymim.errors import ConfigError
from pymim.io.disk import writing
from pymim.io.folder import Folder

NAME = ".lock"
_HELD = {errno.EACCES, errno.EAGAIN}
log = logging.getLogger("pymim.io")


class Lock:
    """Make sure that, inside `with`, only this process trains in `folder`; make the folder.

    The lock is a POSIX lock on the file .lock. It ends with its process, however that ends, and
    forked processes do not inherit it. It holds across hosts if NFS supports locks. On a file
    system without locks a warning is logged and nothing is refused. A folder that was made here is
    removed at the end if it is empty.

    Raises: ConfigError if another process holds the lock, with its number, host and start; or if
    the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._handle, self._made = -1, False

    def __enter__(self) -> Lock:
        self._made = not self.folder.exists()
        Folder(self.folder).create()
        with writing(self.path, 0):
            self._handle = self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            if self._is_named():
                self.path.unlink()
            if self._made:
                self.folder.rmdir()
        os.close(self._handle)

    def _open(self) -> int:
        """Open and lock the file; try again if its last holder removed it in between."""
        while True:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _HELD:
                    raise self._refused() from None
                log.warning(
                    "%s: this file system has no locks (%s): start only one run in the folder",
                    self.path,
                    error,
                )
                return self._handle
            if self._is_named():
                with contextlib.suppress(OSError):  # a full disk only hides the holder's name
                    os.ftruncate(self._handle, 0)
                    os.pwrite(self._handle, json.dumps(_me()).encode(), 0)
                return self._handle
            os.close(self._handle)

    def _is_named(self) -> bool:
        """Say whether the open file is still the one at the path."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))  # noqa: PTH116
        except FileNotFoundError:
            return False

    def _refused(self) -> ConfigError:
        text = os.pread(self._handle, 4096, 0)
        os.close(self._handle)
        try:
            holder = "process {process} on {host}, since {since}".format(**json.loads(text))
        except (ValueError, KeyError, TypeError):  # the holder has not written its name yet
            holder = "another process"
        return ConfigError(
            f"workdir: {self.folder}: expected a folder that no process trains in, got one used by "
            f"{holder}; wait until it ends, or choose another --workdir"
        )


def _me() -> dict[str, str | int]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
