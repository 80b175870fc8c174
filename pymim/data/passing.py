"""Pass batches from one process to another: pickled, with the tensors in shared memory.

The shared file has no name and is in no folder, so the size of /dev/shm, 64 MB in a container by
default, is no limit. On a system without such files a temporary file is used.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from pymim.errors import DataError

_ALIGNED = 64  # a tensor begins at a multiple of this many bytes
# Map all pages at once if the system can, rather than one page fault each.
_SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


class Place(NamedTuple):
    """Say where a tensor is in the shared memory: its first byte, type and shape."""

    first: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class Parcel:
    """Pack a value to be sent; its tensors are dense and on the CPU.

    Raises: DataError if there is no room for the tensors.
    """

    def __init__(self, value: Any):
        stream = io.BytesIO()
        packed = _Packed(stream)
        packed.dump(value)
        self.text, self.size = stream.getvalue(), packed.size
        self.file = _unnamed() if packed.size else None
        if self.file is not None:
            _fill(self.file, packed)

    def send(self, connection: Connection) -> None:
        """Send the value once, to be received by `receive`."""
        connection.send_bytes(self.text)
        connection.send_bytes(self.size.to_bytes(8, "little"))
        if self.file is not None:
            with self.file:
                reduction.send_handle(connection, self.file.fileno(), None)


def _fill(file: BinaryIO, packed: _Packed) -> None:
    try:
        packed.write(file)
    except OSError as error:
        file.close()
        raise DataError(
            f"Loader: workers: expected room for a batch of {packed.size:,} bytes, got: "
            f"{error.strerror}; lower data.Loader.prefetch, set TMPDIR to a folder with room, or "
            "set data.Loader.workers = 0"
        ) from error


def receive(connection: Connection) -> Any:
    """Receive a Parcel's value; its tensors stay in the memory that the other process wrote."""
    stream = io.BytesIO(connection.recv_bytes())
    size = int.from_bytes(connection.recv_bytes(), "little")
    if not size:
        return pickle.load(stream)
    handle = reduction.recv_handle(connection)
    try:
        memory = mmap.mmap(handle, size, flags=_SHARED)
    finally:
        os.close(handle)
    return _Unpacked(stream, memory).load()


def _unnamed() -> BinaryIO:
    try:
        return os.fdopen(os.memfd_create("batch"), "wb")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


class _Packed(pickle.Pickler):
    """Pickle a value without its tensors, and keep each tensor once, to be written later."""

    def __init__(self, stream: BinaryIO):
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.size = 0
        self._tensors: dict[int, tuple[Tensor, Place]] = {}

    def persistent_id(self, value: Any) -> Place | None:
        if not isinstance(value, Tensor):
            return None
        if id(value) not in self._tensors:
            place = Place(self.size, value.dtype, tuple(value.shape))
            self._tensors[id(value)] = value, place
            self.size += -(-value.numel() * value.element_size() // _ALIGNED) * _ALIGNED
        return self._tensors[id(value)][1]

    def write(self, file: BinaryIO) -> None:
        for tensor, place in self._tensors.values():
            file.seek(place.first)
            file.write(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        file.truncate(self.size)
        file.flush()


class _Unpacked(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, memory: mmap.mmap):
        super().__init__(stream)
        self._memory = memory

    def persistent_load(self, place: Place) -> Tensor:
        count = torch.Size(place.shape).numel()
        if not count:
            return torch.empty(place.shape, dtype=place.dtype)
        flat = torch.frombuffer(self._memory, dtype=place.dtype, count=count, offset=place.first)
        return flat.view(place.shape)
