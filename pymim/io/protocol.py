"""Describe what a figure was measured with, as JSON: settings of parts, checksums of data."""

from __future__ import annotations

import inspect
import numbers
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pymim import __version__
from pymim.io.seal import checksum

Protocol = dict[str, Any]


def settings(part: Any) -> Any:
    """Write a part for JSON: {"is": its class, and its public attributes by name}.

    Small tensors become lists, larger ones their shape and a checksum, regular expressions their
    text, functions and classes their names.
    """
    if part is None or isinstance(part, bool | str):
        return part
    if isinstance(part, Tensor):
        return part.tolist() if part.numel() <= 8 else f"{list(part.shape)} {digest([part])}"
    if isinstance(part, numbers.Number):
        return part.item() if hasattr(part, "item") else part
    if isinstance(part, tuple | list | set):
        return [settings(each) for each in part]
    if isinstance(part, dict):
        return {str(key): settings(value) for key, value in part.items()}
    if isinstance(part, Path):
        return str(part)
    if isinstance(part, re.Pattern):
        return part.pattern
    if inspect.isroutine(part) or inspect.isclass(part):
        return f"{part.__module__}.{part.__qualname__}"
    own = {name: value for name, value in getattr(part, "__dict__", {}).items() if name[0] != "_"}
    return {"is": type(part).__name__, **settings(own)}


def digest(tensors: Iterable[Tensor]) -> str:
    """Return a checksum of the numbers in these tensors, in order."""
    found = [checksum(_flat(tensor).view(torch.uint8).numpy().data) for tensor in tensors]
    return checksum(" ".join(found).encode())


def weights(module: nn.Module) -> str:
    """Return a checksum of all tensors of a module."""
    return digest(value for value in module.state_dict().values() if isinstance(value, Tensor))


def split(images: Tensor, labels: Tensor) -> Protocol:
    """Describe a split: pictures, classes, and a checksum of pixels and labels."""
    return {
        "count": len(labels),
        "classes": len(labels.unique()),
        "checksum": digest([images, labels]),
    }


def versions() -> Protocol:
    """Return the versions of the software that measures."""
    return {"pymim": __version__, "torch": torch.__version__}


def difference(then: Mapping[Any, Any], now: Mapping[Any, Any]) -> str:
    """Name the first difference between two protocols; "" if there is none."""
    for name in {**now, **then}:
        old, new = then.get(name), now.get(name)
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            old, new = (dict(enumerate(each, 1)) for each in (old, new))
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := difference(old, new):
                return f"{name}: {inner}"
        elif old != new:
            return f"{name} {_written(old)} then, {_written(new)} now"
    return ""


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1)


def _written(value: Any) -> str:
    return "none" if value is None else str(value)
