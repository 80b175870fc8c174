"""The benchmark: `python -m pymim.bench` compares each op with torch and with its best peer, on this machine.

A module pymim/bench/<stem>.py describes what is compared: `cases() -> list[Case]`, and, for the plot of cost
against size, `scaling() -> list[Scaling]`. They are found by name. Each contender runs in a process of its own and
imports its library there, so such a module imports nothing heavier than numpy at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Thunk = Callable[[], Any]
Prepare = Callable[[Any], Thunk | tuple[Thunk, Callable[[Any], Any]]]


class Work(NamedTuple):
    """What one call must at least do, to be held against what the machine can do of it per second."""

    amount: float  # bytes read, or floating-point operations
    kind: Literal["bytes", "float32", "bfloat16"]  # memory reads, or products in float32, or in either type
    held: float | None = None  # bytes that are read again and again, and may stay in a cache; None: in none


@dataclass(frozen=True)
class Case:
    """One row of the table: an op at a shape, and who competes.

    op, shape: what the table shows.
    inputs: makes the inputs, numpy arrays from a fixed seed, in each process again.
    contenders: name -> prepare(inputs) -> thunk. The thunk is what is timed; its answer is what agrees. Where the
        answer needs work that is not to be timed, prepare returns (thunk, read) and read(answer) is compared.
        "pymim" comes first; "torch" is torch at its best; the others are peers, shown as absent where their
        library is not installed (prepare raised ModuleNotFoundError).
    agree: agree(ours, theirs) raises AssertionError where the answers differ; called before anything is timed.
        Tensors arrive as numpy arrays.
    bars: contender -> how many times faster than it ours has to be.
    items: how many images, points... one call handles, and their name, for a rate in the table.
    between: whether to time ours between torch operators too.
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
