"""The benchmark: `python -m pymim.bench` compares each op with torch and its best peer on this
machine.

A module pymim/bench/<stem>.py says what is compared: `cases() -> list[Case]`, and, for the plot of
cost against size, `scaling() -> list[Scaling]`. Modules are found by name. Each contender runs in
its own process and imports its library there, so such a module imports nothing heavier than numpy
at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Thunk = Callable[[], Any]
Prepare = Callable[[Any], Thunk | tuple[Thunk, Callable[[Any], Any]]]


class Work(NamedTuple):
    """The least work of one call, to compare with what the machine can do per second."""

    amount: float  # bytes read, or floating-point operations
    kind: Literal["bytes", "float32", "bfloat16"]  # memory reads, float32 products, or either type
    held: float | None = None  # bytes read repeatedly, which may stay in a cache; None: too many


@dataclass(frozen=True)
class Case:
    """One row of the table: an op at a shape, and its contenders.

    Args:
        op: name of the op in the table.
        shape: shape in the table.
        inputs: makes the inputs, numpy arrays from a fixed seed, in each process.
        contenders: name -> prepare(inputs) -> thunk. The thunk is timed, and its answer compared.
            If comparing needs untimed work, prepare returns (thunk, read), and read(answer) is
            compared. "pymim" comes first; "torch" is torch at its best; the others are peers, shown
            as absent if their library is not installed (prepare raised ModuleNotFoundError).
        agree: agree(ours, theirs) raises AssertionError if answers differ; called before timing,
            with numpy arrays in place of tensors.
        bars: contender -> how many times faster pymim has to be.
        work: least work of a call, to show the share of the machine's limit; None: not shown.
        items: number of images, points... in one call, and their name, to show a rate.
        between: also time pymim between torch operators.
        rounds: timed rounds.
    """

    op: str
    shape: str
    inputs: Callable[[], Any]
    contenders: Mapping[str, Prepare]
    agree: Callable[[Any, Any], None]
    bars: Mapping[str, float] = field(default_factory=dict)
    work: Work | None = None
    items: tuple[int, str] | None = None
    between: bool = True
    rounds: int = 9


@dataclass(frozen=True)
class Scaling:
    """One panel of the plot: case(size) for each of the sizes of one axis (N, K, B...)."""

    op: str
    axis: str
    sizes: Sequence[int]
    case: Callable[[int], Case]
