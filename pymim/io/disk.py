"""Write files that are complete or not there: written under a temporary name, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pymim.endings import FULL
from pymim.errors import Unwritable

# Errors of file systems that cannot sync a folder.
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a small file. A kill, a power cut or a full disk leaves the previous file.

    Raises: Unwritable; nothing half-written stays.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.writing")
    with writing(path, len(data)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_synced(beside, data)
            beside.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Sync a folder's list of names to the disk, if its file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def publish(beside: Path, final: Path) -> None:
    """Rename a written folder to its final name.

    Its content is on the disk before the rename, and the name when this returns.
    """
    sync_folder(beside)
    shutil.rmtree(final, ignore_errors=True)
    beside.rename(final)
    sync_folder(final.parent)


@contextlib.contextmanager
def writing(path: Path, wanted: int) -> Iterator[None]:
    """Turn an OSError while `path` is written into Unwritable, with the file's name and sizes."""
    try:
        yield
    except OSError as error:
        raise Unwritable(
            f"{path}: could not be written ({reason(path, wanted, error)}); {_remedy(error)}"
        ) from error


def reason(path: Path, wanted: int, error: OSError) -> str:
    """Say why a file of `wanted` bytes could not be written, and how many bytes are free."""
    there = next(place for place in path.resolve().parents if place.is_dir())
    free = _size(shutil.disk_usage(there).free)
    return f"{error.strerror or error}: {_size(wanted)} wanted, {free} free"


def _remedy(error: OSError) -> str:
    return "make room" if error.errno in FULL else "look at its folder"


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 1_000_000 else f"{count / 1e6:,.1f} MB"
