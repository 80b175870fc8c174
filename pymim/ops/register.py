"""Registering an op with torch: a schema read off the annotations, one body for every device, a fake one.

torch.library.custom_op does this too, with checks that cost 9 us a call; the ops that take less than that
themselves are registered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])
_library = torch.library.Library("pymim", "FRAGMENT")


def op(fake: Callable[..., Any]) -> Callable[[F], F]:
    """Makes torch.ops.pymim.<name> of a function; `fake`, of the same arguments, only allocates its outputs."""

    def register(body: F) -> F:
        name = body.__name__
        _library.define(name + torch.library.infer_schema(body, mutates_args=()))
        for device in ("CPU", "CUDA"):
            _library.impl(name, body, device)
        torch.library.register_fake(f"pymim::{name}", fake, lib=_library)
        return getattr(torch.ops.pymim, name).default  # type: ignore[no-any-return]

    return register
