"""Write what a run measures: one JSON object a line in metrics.jsonl, and TensorBoard."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pymim.errors import ConfigError, Unwritable
from pymim.io.disk import write_whole, writing


class Metrics:
    """Append rows to metrics.jsonl, and to the TensorBoard writer that `board` makes.

    Rows of steps that a resumed run repeats are dropped first.
    """

    def __init__(self, path: Path, first_step: int = 0, board: Any = None) -> None:
        self.path = path
        write_rows(path, [row for row in read(path) if row["step"] <= first_step])
        self._file = path.open("ab", buffering=0)
        # Hide points of later steps: they are repeated, or belong to an abandoned branch.
        self._board = board and board(str(path.parent / "tensorboard"), purge_step=first_step + 1)

    def write(self, step: int, **values: Any) -> None:
        """Write one row, which survives the process once this returns.

        Raises: Unwritable if the disk is full, without leaving a part of the row; or if the file is
        gone.
        """
        self._append((json.dumps({"step": step, **values}) + "\n").encode())
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, step)

    def _append(self, row: bytes) -> None:
        mine = os.fstat(self._file.fileno())
        if mine.st_nlink == 0 or not self.path.exists():
            raise Unwritable(
                f"{self.path}: is gone; "
                "was the run's folder deleted or renamed while the run went on?"
            )
        with writing(self.path, len(row)):
            try:
                written = 0
                while written < len(row):
                    written += self._file.write(row[written:])
            except OSError:
                os.ftruncate(self._file.fileno(), mine.st_size)
                raise

    def close(self) -> None:
        """Close the file and the TensorBoard writer."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file of rows completely."""
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of metrics.jsonl; skip lines that are damaged or cut short."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def tensorboard() -> Any:
    """Return the class that writes for TensorBoard, for Metrics' `board`.

    Raises: ConfigError if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "tensorboard: expected the package, got none; pip install 'pymim[tensorboard]'"
        ) from None
    return SummaryWriter
