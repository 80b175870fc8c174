"""What a component was given, as plain values: what a figure was measured by, and what it may be compared with."""

from __future__ import annotations

import numbers
import re
from typing import Any

from torch import Tensor


def settings(value: Any) -> Any:
    """Write a component as {"is": its class, and its attributes by name}, its parts likewise; for JSON.

    Tensors are lists, regular expressions their text, functions and what else has no attributes their names.
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
    return {"is": type(value).__name__, **{key: settings(each) for key, each in vars(value).items()}}
