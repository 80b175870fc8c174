"""Say what is wrong with an argument that is not of its annotated kind."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

DTYPES = {
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.bool, torch.uint8),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
}


def fault_of(value: Any, kind: str) -> str | None:
    """Say what is wrong with a value of this annotation; None if nothing, or if unknown."""
    if "None" in kind.split(" | ") and value is None:
        return None
    kinds = [each for each in kind.split(" | ") if each != "None"]
    check = _name_fault if kind.startswith("Literal[") else CHECKS.get(" | ".join(kinds))
    return check(value) if check else None


def tensor_fault(value: Any) -> str | None:
    """Say what is wrong with a value that should be a dense tensor with values; None if nothing."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biuf" and value.dtype.isnative:
            return None if value.ndim else "expected axes, got a scalar; reshape it"
        return f"expected an array of numbers, got dtype {value.dtype}; convert it first"
    if not isinstance(value, Tensor):
        return f"expected a tensor or array, got {type(value).__name__}; convert it first"
    faults = {
        "a nested one; pad it": value.is_nested,
        f"{value.layout}; call .to_dense()": not value.is_nested
        and value.layout is not torch.strided,
        "a quantised one; call .dequantize()": value.is_quantized,
        f"dtype {value.dtype}; convert it": value.dtype not in DTYPES,
        "one on the meta device, without values; make it on another": value.is_meta,
        "a scalar; reshape it": not value.is_nested and value.dim() == 0,
    }
    got = next((fault for fault, found in faults.items() if found), None)
    return got and f"expected a dense tensor with axes, got {got}"


def _record_fault(value: Any, name: str) -> str | None:
    if type(value).__name__ != name:
        return f"expected {name}, got {_shown(value)}; pass what the op before gave"
    return next((fault for each in value if (fault := tensor_fault(each))), None)


def _potentials_fault(value: Any) -> str | None:
    return (
        _record_fault(value, "Potentials")
        if not isinstance(value, tuple)
        else _record_fault(value[:2], "tuple")
    )


def _scores_fault(value: Any) -> str | None:
    return _record_fault(value, "Product") if isinstance(value, tuple) else tensor_fault(value)


def _whole_fault(value: Any) -> str | None:
    try:
        fits = -(2**63) <= operator.index(value) < 2**63 and not isinstance(value, Tensor)
    except TypeError:
        fits = False
    return None if fits else f"expected a whole number below 2^63, got {_shown(value)}; pass an int"


def _number_fault(value: Any) -> str | None:
    known = isinstance(value, (int, float, np.number)) and not isinstance(value, np.complexfloating)
    if known and abs(value) < 1e300:
        return None
    return f"expected a finite number, got {_shown(value)}; pass a float"


def _sizes_fault(value: Any) -> str | None:
    return None if not _whole_fault(value) else _sequence_fault(value, _whole_fault)


def _sequence_fault(
    value: Any, check: Callable[[Any], str | None], length: int | None = None
) -> str | None:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return f"expected a tuple of numbers, got {_shown(value)}; pass a tuple"
    if length is not None and len(value) != length:
        return f"expected {length} numbers, got {len(value)}; pass a tuple of {length}"
    return next((fault for each in value if (fault := check(each))), None)


def _flag_fault(value: Any) -> str | None:
    known = isinstance(value, (bool, np.bool_))
    return None if known else f"expected True or False, got {_shown(value)}; pass a bool"


def _name_fault(value: Any) -> str | None:
    return None if isinstance(value, str) else f"expected a name, got {_shown(value)}; pass a str"


def _shown(value: Any) -> str:
    return (
        f"a {type(value).__name__}"
        if isinstance(value, (Tensor, np.ndarray))
        else ascii(value)[:40]
    )


def _pair(check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    return lambda value: _sequence_fault(value, check, 2)


CHECKS: dict[str, Callable[[Any], str | None]] = {
    "Tensor": tensor_fault,
    "Tensor | Product": _scores_fault,
    "Assignment": lambda value: _record_fault(value, "Assignment"),
    "Statistics": lambda value: _record_fault(value, "Statistics"),
    "Potentials": _potentials_fault,
    "int": _whole_fault,
    "float": _number_fault,
    "bool": _flag_fault,
    "Metric": _name_fault,
    "Empty": _name_fault,
    "Side": _name_fault,
    "Domain": _name_fault,
    "Grid": _sizes_fault,
    "Sequence[Grid]": lambda value: _sequence_fault(value, _sizes_fault),
    "float | Sequence[float]": lambda value: (
        _number_fault(value) and _sequence_fault(value, _number_fault)
    ),
    "Range": _pair(_number_fault),
    "tuple[float, float]": _pair(_number_fault),
    "tuple[float, float | None]": _pair(
        lambda value: None if value is None else _number_fault(value)
    ),
    "tuple[int, int]": _pair(_whole_fault),
}
