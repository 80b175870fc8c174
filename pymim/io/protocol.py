"""Describe what a figure was measured with, as JSON: settings as text, data as checksums."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pymim import __version__
from pymim.io.seal import checksum

Protocol = dict[str, Any]


def described(part: Any) -> str:
    """Write a part with its settings, such as KNN(k=20); functions and classes by name only."""
    if part is None or isinstance(part, bool | int | float | str | Path):
        return str(part) if isinstance(part, Path) else repr(part)
    if isinstance(part, Tensor):
        return str(part.tolist()) if part.numel() <= 8 else f"{list(part.shape)} {digest([part])}"
    if isinstance(part, tuple | list):
        return f"({', '.join(map(described, part))})"
    if isinstance(part, dict):
        return f"{{{', '.join(f'{key}: {described(value)}' for key, value in part.items())}}}"
    if inspect.isroutine(part) or inspect.isclass(part):
        return f"{part.__module__}.{part.__qualname__}"
    settings = {
        name: value for name, value in getattr(part, "__dict__", {}).items() if name[0] != "_"
    }
    written = ", ".join(f"{name}={described(value)}" for name, value in settings.items())
    return f"{type(part).__name__}({written})"


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


def difference(then: Protocol, now: Protocol) -> str:
    """Name the first difference between two protocols; "" if there is none."""
    for name in {**now, **then}:
        old, new = then.get(name), now.get(name)
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
