"""Iterate over data in chunks of rows, as often as needed, whether or not it fits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pymim.ops.kinds import tensor_fault
from pymim.ops.kmeans.steps import check_rows, check_weights

Data = Tensor | np.ndarray[Any, Any] | Iterable[Any]


class Chunks:
    """Yield (points [b D], weights [b] or None) on `device`, from the start in every iteration.

    `data` is a tensor or array (one chunk), a np.memmap (copied `rows` rows at a time), or an
    iterable of chunks that can be iterated again, such as a DataLoader: tensors, arrays, or
    (points, weights) pairs of them.
    """

    def __init__(self, data: Data, weights: Any, rows: int, device: torch.device | str | None):
        if isinstance(data, Iterator):
            raise ValueError(
                "KMeans: data: expected an array or an iterable that starts afresh each time, "
                f"got a one-shot {type(data).__name__}; pass the object it was made from"
            )
        if not isinstance(data, Iterable):
            raise TypeError(f"KMeans: data: {tensor_fault(data)}")
        self.data, self.weights = data, weights
        self.rows, self.device = rows, device
        self._array = isinstance(data, (Tensor, np.ndarray))
        if self._array:
            _check("data", data)
        self.whole = self._array and not isinstance(data, np.memmap)
        if weights is not None and not self._array:
            raise ValueError(
                "KMeans: weights: expected None beside an iterable, got an array; "
                "yield (points, weights) instead"
            )
        if weights is not None:
            _check("weights", weights)
            rows_of_data = len(data)  # type: ignore[arg-type]
            if len(weights) != rows_of_data:
                raise ValueError(
                    f"KMeans: weights: expected {rows_of_data} (the rows of data), "
                    f"got {len(weights)}; pass one weight per row"
                )

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        for points, weights in self._pairs():
            ready = self._ready("data", points)
            if ready.dim() != 2:
                raise ValueError(f"KMeans: data: expected 2 axes, got {ready.dim()}; reshape it")
            if len(ready):
                yield ready, None if weights is None else self._ready("weights", weights)

    @contextmanager
    def rows_named(self) -> Iterator[None]:
        """Let errors inside name the row of the data, counted through all chunks."""
        try:
            yield
        except ValueError:
            first = 0
            for points, weights in self:
                check_rows("KMeans", "data", points, first)
                if weights is not None:
                    check_weights("KMeans", weights, first)
                first += len(points)
            raise

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        if not self._array:
            for chunk in self.data:
                points, weights = chunk if isinstance(chunk, (tuple, list)) else (chunk, None)
                yield points, weights
            return
        data: Any = self.data
        step = max(len(data), 1) if self.whole else self.rows
        for first in range(0, len(data), step):
            part = slice(first, first + step)
            yield data[part], None if self.weights is None else self.weights[part]

    def _ready(self, name: str, rows: Any) -> Tensor:
        _check(name, rows)
        if isinstance(rows, np.memmap):
            rows = np.array(rows)
        if isinstance(rows, np.ndarray):
            rows = torch.from_numpy(np.require(rows, requirements=["C", "W"]))
        tensor: Tensor = rows.detach()
        return tensor if self.device is None else tensor.to(self.device)


def _check(name: str, rows: Any) -> None:
    """Refuse anything but a dense array of numbers."""
    if fault := tensor_fault(rows):
        raise TypeError(f"KMeans: {name}: {fault}")
