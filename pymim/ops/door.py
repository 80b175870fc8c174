"""Explain a failed call of an op in one line that names the op and the argument.

A call that succeeds costs nothing. Only after a failure whose message does not name the op are the
arguments checked, for the first of a wrong kind.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, ParamSpec, TypedDict, TypeVar

from torch import Tensor

from pymim.ops.kinds import fault_of

P = ParamSpec("P")
R = TypeVar("R")

SPOKEN = re.compile(r"\w+: [\w ,.@^]+: expected .*")  # `op: argument: expected ...`
MEMORY = re.compile("alloc|out of memory|too large|overflow", re.IGNORECASE)
RAISED = (
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    RuntimeError,
)


def speaks(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let errors in a function name an op."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except RAISED as error:
                refuse(name, function, args, kwargs, error)

        return wrapper

    return decorate


def name_of(function: Callable[..., Any]) -> str:
    """Give the op that a function speaks for: "sinkhorn" for Sinkhorn's, except one; otherwise
    itself.
    """
    name = function.__name__
    return (
        "sinkhorn" if ".sinkhorn." in function.__module__ and name != "doubly_stochastic" else name
    )


def refuse(
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    error: Exception,
) -> NoReturn:
    """Raise the error of an op for these arguments; `error` itself if it names the op already."""
    said = str(error)
    if SPOKEN.fullmatch(said):
        raise error
    try:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:
        raise error from None  # missing or unexpected arguments: Python names the function
    for argument, value, kind in _arguments(function, given):
        if fault := fault_of(value, kind):
            refusal = ValueError if isinstance(value, (Tensor, int, float, tuple)) else TypeError
            raise refusal(f"{name}: {argument}: {fault}") from error
    first = said.splitlines()[0] if said else type(error).__name__
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and MEMORY.search(said)):
        raise MemoryError(
            f"{name}: arguments: expected sizes that memory holds, got {first}; ask for less"
        ) from error
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        raise error
    refusal = ValueError if isinstance(error, ValueError) else TypeError
    raise refusal(
        f"{name}: arguments: expected those documented, got {first}; compare them"
    ) from error


def _arguments(
    function: Callable[..., Any], given: Mapping[str, Any]
) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and annotation of each argument, including those within options."""
    kinds = inspect.get_annotations(inspect.unwrap(function))
    for argument, value in given.items():
        kind = str(kinds.get(argument, ""))
        if kind.startswith("Unpack["):
            options = _options(function, kind)
            yield from ((option, each, options.get(option, "")) for option, each in value.items())
        else:
            yield argument, value, kind


def _options(function: Callable[..., Any], kind: str) -> dict[str, str]:
    options: type[TypedDict] = inspect.unwrap(function).__globals__[kind[len("Unpack[") : -1]]  # type: ignore[valid-type]
    return {
        name: getattr(each, "__forward_arg__", str(each))
        for name, each in options.__annotations__.items()
    }
