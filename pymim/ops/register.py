"""The one way to register an op with torch: a schema read off the annotations, a body for every device, a fake.

torch.library.custom_op does this too, with checks that cost 9 us a call, where some ops take 50 us.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])
_library = torch.library.Library("pymim", "FRAGMENT")


def op(name: str, fake: Callable[..., Any], *, mutates: Sequence[str] = ()) -> Callable[[F], F]:
    """Makes torch.ops.pymim.<name> of a function.

    Args:
        fake: takes the same arguments, and only allocates the outputs.
        mutates: names of the arguments that are written to; the op then returns nothing.
    """

    def register(body: F) -> F:
        _library.define(name + torch.library.infer_schema(body, mutates_args=mutates))
        for device in ("CPU", "CUDA"):
            _library.impl(name, body, device)
        torch.library.register_fake(f"pymim::{name}", fake, lib=_library)
        return getattr(torch.ops.pymim, name).default  # type: ignore[no-any-return]

    return register


def differentiate(name: str, backward: Callable[..., Any], setup: Callable[..., None]) -> None:
    """Gives an op its gradient, as torch.library.register_autograd takes it."""
    torch.library.register_autograd(f"pymim::{name}", backward, setup_context=setup, lib=_library)
