"""Set the precision of a run in one place, for training, surveys and probes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch

from pymim.errors import ConfigError

WORDS = {
    "bf16": "bf16 (autocast; what stays in float32 is in full, without TF32)",
    "tf32": "float32 (products and convolutions in TF32 on GPUs)",
    "float32": "float32 (in full, without TF32)",
}
_CURRENT: ContextVar[str] = ContextVar("precision", default="bf16")


def check(of: object, precision: str) -> None:
    """Refuse an unknown precision. Raises: ConfigError."""
    if precision not in WORDS:
        known, asking = ", ".join(WORDS), type(of).__name__
        raise ConfigError(f"{asking}: precision: expected one of {known}, got {precision!r}; name one of them")


def current() -> str:
    """Return the precision of the surrounding run; "bf16" outside of runs."""
    return _CURRENT.get()


@contextlib.contextmanager
def computing(precision: str) -> Iterator[None]:
    """Compute everything inside, backward passes too, in this precision.

    TF32 rounds float32 products to ten bits on GPUs. By default torch allows it only for
    convolutions.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    token = _CURRENT.set(precision)
    products.allow_tf32 = convolutions.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
        _CURRENT.reset(token)


@contextlib.contextmanager
def autocast(device: torch.device, precision: str | None = None) -> Iterator[None]:
    """Compute a forward pass in this precision (None: the run's).

    "bf16" computes matrix products in bf16. Call the backward pass outside, within `computing`:
    inside, it would round the gradients of what the forward pass computes in float32.
    """
    wanted = current() if precision is None else precision
    with computing(wanted), torch.autocast(device.type, torch.bfloat16, enabled=wanted == "bf16"):
        yield
