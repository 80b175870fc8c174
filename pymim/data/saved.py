"""Read numpy's files: faults become one line, and nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymim.errors import DataError

BROKEN = (
    *(
        OSError,
        ValueError,
        EOFError,
        KeyError,
        SyntaxError,
        ArithmeticError,
        MemoryError,
        NotImplementedError,
    ),
    *(zipfile.BadZipFile, zlib.error),
)


def is_archive(file: Path) -> bool:
    """Say whether a file is an .npz, which holds several named arrays."""
    return file.suffix.lower() == ".npz"


def loaded(file: Path, mapped: bool = False) -> NDArray[Any]:
    """Read or map the array of an .npy file. Raises: DataError."""
    found = _load(file, "r" if mapped else None)
    if not isinstance(found, np.ndarray):
        raise DataError(
            f"Array: path: expected one array in {file}, got several; rename the file to .npz"
        )
    return found


def archive(file: Path) -> Any:
    """Open an .npz file. Raises: DataError."""
    found = _load(file)
    if isinstance(found, np.ndarray):
        raise DataError(
            f"Array: path: expected named arrays in {file}, got one; rename the file to .npy"
        )
    return found


def _load(file: Path, mode: Literal["r"] | None = None) -> Any:
    """Load with numpy without unpickling. Raises: DataError with the fault in one line."""
    try:
        if not file.stat().st_size:
            raise EOFError("it is empty")
        with file.open("rb") as stream:
            if stream.read(2) == b"PK":
                zipfile.ZipFile(stream).close()  # numpy leaves open what it cannot read
        with np.errstate(over="raise"):
            return np.load(file, mmap_mode=mode, allow_pickle=False)
    except BROKEN as error:
        raise _broken(file, error) from None


def member(file: Path, arrays: Any, name: str) -> NDArray[Any]:
    """Read an array of an opened .npz file. Raises: DataError."""
    try:
        found = arrays[name]
    except BROKEN as error:
        raise _broken(file / name, error) from None
    if not isinstance(found, np.ndarray):  # bytes that are no array's
        raise _broken(file / name, ValueError("it is not a numpy array"))
    return found


def _broken(file: Path, error: Exception) -> DataError:
    """Write the fault in our words: numpy advises to unpickle, which would run the file's code."""
    words = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        words = "its header claims more than the memory holds"
    elif "pickle" in words or "Python objects" in words:
        words = "it holds neither numbers nor text, or is not a numpy file"
    elif "mmap" in words or "reshape" in words or "EOF" in words:
        words = "it is cut short"
    return DataError(
        f"Array: path: expected an array in {file}, got a file that cannot be read: {words}; save "
        "it again"
    )
