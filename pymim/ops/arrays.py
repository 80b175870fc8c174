"""Convert arrays for the core: numpy in, numpy out; tensors stay on their device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from pymim.ops.door import RAISED, name_of, refuse

Array = Tensor | np.ndarray[Any, Any]
P = ParamSpec("P")
R = TypeVar("R")


def stream(tensor: Tensor) -> int:
    """Give the handle of the current CUDA stream of `tensor`'s device; 0 on the CPU."""
    return torch.cuda.current_stream(tensor.device).cuda_stream if tensor.is_cuda else 0


def fill(tensor: Tensor, value: float | Tensor) -> None:
    """Set all of a contiguous float tensor.

    On the CPU this avoids torch's threads: one late thread delays the call.
    """
    if tensor.is_cuda:
        tensor.copy_(torch.as_tensor(value, dtype=tensor.dtype))
    else:
        tensor.numpy()[...] = value.numpy() if isinstance(value, Tensor) else value


def accepts_numpy(function: Callable[P, R]) -> Callable[P, R]:
    """Let `function`, written for tensors, take numpy arrays too; then its tensors come back as
    arrays.

    Errors name the op (see `door`).
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            for value in (*args, *kwargs.values()):
                if isinstance(value, np.ndarray):
                    break
            else:  # nothing to convert; a loop is a microsecond faster than any() of a generator
                return function(*args, **kwargs)
            tensors = [_to_tensor(value) for value in args]
            named = {name: _to_tensor(value) for name, value in kwargs.items()}
            return cast(R, _to_numpy(function(*tensors, **named)))  # type: ignore[arg-type]
        except RAISED as error:
            refuse(name_of(function), function, args, kwargs, error)

    return wrapper


def _to_tensor(value: object) -> object:
    if isinstance(value, tuple):
        return _rebuild(value, _to_tensor)
    if not isinstance(value, np.ndarray):
        return value
    return torch.from_numpy(np.require(value, requirements=["C", "W"]))


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    return _rebuild(value, _to_numpy) if isinstance(value, tuple) else value


def _rebuild(value: tuple[Any, ...], convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Give the same tuple, named or not, with every item converted."""
    items = (convert(item) for item in value)
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
