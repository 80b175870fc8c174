"""Register ops with torch: a schema from the annotations, a body for every device, and a fake.

torch.library.custom_op does this too, with checks that cost 9 us a call; some ops take 50 us.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from pymim.ops.arrays import accepts_numpy

F = TypeVar("F", bound=Callable[..., Any])
_library = torch.library.Library("pymim", "FRAGMENT")


def op(
    name: str, fake: Callable[..., Any], *, mutates: Sequence[str] = (), public: bool = False
) -> Callable[[F], F]:
    """Make torch.ops.pymim.<name> of a function.

    Args:
        name: the op's name.
        fake: takes the same arguments, and only allocates the outputs.
        mutates: names of the arguments that are written to; the op then returns nothing.
        public: give a function that takes arrays too and explains errors, with the op as its `.op`.
    """

    def register(body: F) -> F:
        _library.define(name + torch.library.infer_schema(body, mutates_args=mutates))
        for device in ("CPU", "CUDA"):
            _library.impl(name, body, device)
        torch.library.register_fake(f"pymim::{name}", fake, lib=_library)
        made = getattr(torch.ops.pymim, name).default
        return _at_the_door(body, made) if public else made

    return register


def _at_the_door(body: F, made: Any) -> F:
    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        return made(*args, **kwargs)

    call.op = made  # type: ignore[attr-defined]
    return accepts_numpy(call)  # type: ignore[return-value]


def differentiate(name: str, backward: Callable[..., Any], setup: Callable[..., None]) -> None:
    """Give an op its gradient, as torch.library.register_autograd takes it."""
    torch.library.register_autograd(f"pymim::{name}", backward, setup_context=setup, lib=_library)
