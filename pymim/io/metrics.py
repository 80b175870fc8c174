"""What a run measures: one JSON object a line in metrics.jsonl, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pymim.errors import ConfigError
from pymim.io.folder import write_whole


class Metrics:
    """Appends rows to metrics.jsonl, and to what `board` writes. Rows of steps that a resumed run takes again are
    dropped first."""

    def __init__(self, path: Path, first_step: int = 0, board: Any = None) -> None:
        self.path = path
        kept = [json.dumps(row) + "\n" for row in read(path) if row["step"] <= first_step]
        write_whole(path, "".join(kept))
        self._file = path.open("a")
        self._board = board and board(str(path.parent / "tensorboard"))

    def write(self, step: int, **values: Any) -> None:
        """One row, on disk when this returns."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def tensorboard() -> Any:
    """The class that writes for TensorBoard: Metrics' `board`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("tensorboard: expected the package, got none; pip install 'pymim[tensorboard]'") from None
    return SummaryWriter
