"""A component's settings as plain values, to tell which results may be compared."""

from __future__ import annotations

import numbers
import re
from typing import Any

from torch import Tensor


def settings(value: Any) -> Any:
    """Write a component as {"is": its class, and its attributes by name}, with parts in the same
    form, for JSON.

    Tensors become lists, regular expressions their text; functions and other values without
    attributes become their names.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Number):
        return value.item() if hasattr(value, "item") else value
    if isinstance(value, dict):
        return {str(key): settings(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [settings(each) for each in value]
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, re.Pattern):
        return value.pattern
    if not hasattr(value, "__dict__") or hasattr(value, "__qualname__"):
        return getattr(value, "__qualname__", type(value).__name__)
    return {
        "is": type(value).__name__,
        **{key: settings(each) for key, each in vars(value).items()},
    }
