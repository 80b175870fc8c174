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
AUTO = "auto"
# A processor without AVX-512 emulates bf16: measured, a training step takes 20 to 40 times as long.
EMULATED = (
    "this processor emulates bf16, many times slower than float32; "
    "set train.Trainer.precision = 'auto' or 'float32'"
)
_CURRENT: ContextVar[str] = ContextVar("precision", default=AUTO)


def check(of: object, precision: str) -> None:
    """Refuse an unknown precision. Raises: ConfigError."""
    if precision not in (AUTO, *WORDS):
        known, asking = ", ".join((AUTO, *WORDS)), type(of).__name__
        raise ConfigError(
            f"{asking}: precision: expected one of {known}, got {precision!r}; name one of them"
        )


def current() -> str:
    """Return the precision of the surrounding run; "auto" outside of runs."""
    return _CURRENT.get()


def emulates(device: torch.device) -> bool:
    """Tell whether this device computes bf16 products by way of float32: a CPU without AVX-512."""
    return device.type == "cpu" and "AVX512" not in torch.backends.cpu.get_cpu_capability()


def chosen(precision: str, device: torch.device) -> str:
    """Turn "auto" into "bf16", or into "float32" on a processor that emulates bf16."""
    if precision != AUTO:
        return precision
    return "float32" if emulates(device) else "bf16"


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

    "bf16" computes matrix products in bf16; "auto" does so where the device can. Call the backward
    pass outside, within `computing`: inside, it would round the gradients of what the forward pass
    computes in float32.
    """
    wanted = chosen(current() if precision is None else precision, device)
    with computing(wanted), torch.autocast(device.type, torch.bfloat16, enabled=wanted == "bf16"):
        yield
