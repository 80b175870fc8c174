"""Check the numbers that constructors take, so that each refusal names the argument and the remedy.

Each check takes the asking object (for its class's name) or a name, and the values by argument
name. A sequence is checked item by item. Schedules pass: their values are known only at a step. Use
`given` for arguments that may be None.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pymim.errors import ConfigError

MOST = 2**31 - 1  # largest size or count
Check = Callable[[Any], bool]


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not None, to be checked."""
    return {name: value for name, value in values.items() if value is not None}


def whole(of: object, least: int, most: int = MOST, /, **values: Any) -> None:
    """Refuse a value that is not a whole number from `least` to `most`. Raises: ConfigError."""
    for name, value in _items(values):
        if not _is_whole(value) or not least <= value <= most:
            small = most == MOST and not (_is_number(value) and value > most)
            wanted = f"{least} or more" if small else f"from {least} to {most}"
            _refuse(of, name, f"a whole number, {wanted}", value, _rounded(value, least))


def seed(of: object, /, **values: Any) -> None:
    """Refuse a value that is not a whole number from 0 to 2^63 - 1. Raises: ConfigError."""
    whole(of, 0, 2**63 - 1, **values)


def finite(of: object, least: float = -math.inf, /, **values: Any) -> None:
    """Refuse a value that is not a finite number of at least `least`. Raises: ConfigError."""
    wanted = "a number" if least == -math.inf else f"a number from {least:g} on"
    _check(of, values, wanted, lambda value: value >= least)


def positive(of: object, /, **values: Any) -> None:
    """Refuse a value that is not a finite number above 0. Raises: ConfigError."""
    _check(of, values, "a number above 0", lambda value: value > 0)


def share(of: object, bounds: str = "from 0 to 1", /, **values: Any) -> None:
    """Refuse a value outside `bounds`, one of BOUNDS.

    Raises: ConfigError; it suggests the share if the value looks like per cent.
    """
    _check(of, values, f"a share {bounds}", BOUNDS[bounds], _as_share)


BOUNDS: dict[str, Check] = {
    "from 0 to 1": lambda value: 0 <= value <= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
    "above 0, to 1": lambda value: 0 < value <= 1,
}


def ascending(of: object, check: Callable[..., None], /, *bounds: Any, **values: Any) -> None:
    """Refuse a value that is not two ascending numbers, each accepted by `check`.

    Raises: ConfigError.
    """
    for name, pair in values.items():
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            _refuse(of, name, "two numbers", pair, "give the least and the greatest")
        check(of, *bounds, **{name: [each for each in pair if each is not None]})
        if None not in pair and pair[0] > pair[1]:
            _refuse(of, name, "two ascending numbers", pair, "swap them")


def _check(
    of: object,
    values: dict[str, Any],
    wanted: str,
    check: Check,
    remedy: Callable[[Any], str] | None = None,
) -> None:
    for name, value in _items(values):
        if not _is_number(value) or not math.isfinite(value) or not check(value):
            _refuse(of, name, wanted, value, remedy(value) if remedy else "change it")


def _items(values: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        parts = value if isinstance(value, tuple | list) else (value,)
        found += [(name, part) for part in parts if not callable(part)]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _rounded(value: Any, least: int) -> str:
    fits = _is_number(value) and math.isfinite(value) and least <= value <= MOST
    return f"write {math.floor(value)}" if fits else "change it"


def _as_share(value: Any) -> str:
    percent = _is_number(value) and 1 < value <= 100
    return f"did you mean {value / 100:g}?" if percent else "change it"


def _refuse(of: object, name: str, wanted: str, value: Any, remedy: str) -> NoReturn:
    asking = of if isinstance(of, str) else type(of).__name__
    raise ConfigError(f"{asking}: {name}: expected {wanted}, got {value!r}; {remedy}")
