from collections.abc import Sequence
from typing import Any

# out_and_stream: visible, hidden, boolean and the handle of a CUDA stream.

def uniform(
    index: Any,
    seed: int,
    step: int,
    view: int,
    grid: Sequence[int],
    unit: Sequence[int],
    *out_and_stream: Any,
) -> None: ...
def filtered(
    index: Any,
    seed: int,
    step: int,
    view: int,
    bank: Any,
    rows: int,
    columns: int,
    *out_and_stream: Any,
) -> None: ...
def weighted(
    index: Any,
    seed: int,
    step: int,
    view: int,
    weights: Any,
    draws_hidden: bool,
    *out_and_stream: Any,
) -> None: ...
def ranked(
    index: Any,
    seed: int,
    step: int,
    view: int,
    scores: Any,
    hard: int,
    lowest: bool,
    *out_and_stream: Any,
) -> None: ...
def priority(
    index: Any, seed: int, step: int, view: int, priority: Any, *out_and_stream: Any
) -> None: ...
def disjoint(
    index: Any, seed: int, step: int, view: int, covered: int, *out_and_stream: Any
) -> None: ...
def budget(
    index: Any,
    seed: int,
    step: int,
    view: int,
    sizes: Sequence[int],
    alpha: Sequence[float],
    *out_and_stream: Any,
) -> None: ...
def subset(
    index: Any, seed: int, step: int, view: int, ids: Any, out: Any, stream: int
) -> None: ...
def expand(coarse: Any, grid: Sequence[int], unit: Sequence[int], *out_and_stream: Any) -> None: ...
