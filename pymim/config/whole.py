"""The whole of a configuration: every argument of every component that it reads, defaults included, unbuilt."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gin import config as gin_config

from pymim.config.names import shown
from pymim.config.reads import Use, reads
from pymim.config.references import leaves, resolved, unfolded


def whole(selector: str) -> dict[str, str]:
    """Give `scope/component.argument` and its value, as text, of what is loaded; macros are replaced by values."""
    found: dict[str, str] = {}
    for use, values in _used(selector):
        place = f"{use.scope}/" * bool(use.scope) + shown(use.selector)
        found |= {f"{place}.{argument}": _text(value) for argument, value in values.items()}
    return found


def paths(selector: str) -> list[Path]:
    """List the files and folders that the values of a loaded configuration name, once each."""
    texts = {text for _, values in _used(selector) for value in values.values() for text in _strings(value)}
    return sorted(path for text in texts - {""} if (path := _present(text)) is not None)


def sources(selector: str) -> list[Path]:
    """List the files that the components of a loaded configuration are written in."""
    made_by = {gin_config._REGISTRY[use.selector].wrapped for use, _ in _used(selector)}
    files = {inspect.getsourcefile(each) for each in made_by if not each.__module__.startswith("torch.")}
    return sorted(Path(file) for file in files if file)


def _used(selector: str) -> Iterator[tuple[Use, dict[str, Any]]]:
    for use, bound in reads(selector).uses.items():
        parameters = inspect.signature(gin_config._REGISTRY[use.selector].wrapped).parameters
        defaults = {name: one.default for name, one in parameters.items() if one.default is not one.empty}
        yield use, defaults | {argument: resolved(value) for argument, (_, value) in bound.items()}


def _text(value: Any) -> str:
    value = resolved(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # where an object is in memory says nothing of it


def _strings(value: Any) -> Iterator[str]:
    return (str(leaf) for leaf in leaves(unfolded(value)) if isinstance(leaf, str | Path))


def _present(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, nobody's home: text, and no path
        return None
