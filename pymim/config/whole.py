"""Write a whole configuration, defaults included, without building it."""

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
    """Map `scope/component.argument` to its value as text, with macros replaced by their values."""
    found: dict[str, str] = {}
    for use, values in _used(selector):
        place = f"{use.scope}/" * bool(use.scope) + shown(use.selector)
        found |= {f"{place}.{argument}": _text(value) for argument, value in values.items()}
    return found


def paths(selector: str) -> list[Path]:
    """List the existing files and folders that the loaded configuration names, each once."""
    texts = {
        text
        for _, values in _used(selector)
        for value in values.values()
        for text in _strings(value)
    }
    return sorted(path for text in texts - {""} if (path := _present(text)) is not None)


def sources(selector: str) -> list[Path]:
    """List the source files of the components in the loaded configuration."""
    made_by = {gin_config._REGISTRY[use.selector].wrapped for use, _ in _used(selector)}
    files = {
        inspect.getsourcefile(each) for each in made_by if not each.__module__.startswith("torch.")
    }
    return sorted(Path(file) for file in files if file)


def _used(selector: str) -> Iterator[tuple[Use, dict[str, Any]]]:
    for use, bound in reads(selector).uses.items():
        parameters = inspect.signature(gin_config._REGISTRY[use.selector].wrapped).parameters
        defaults = {
            name: one.default for name, one in parameters.items() if one.default is not one.empty
        }
        yield use, defaults | {argument: resolved(value) for argument, (_, value) in bound.items()}


def _text(value: Any) -> str:
    value = resolved(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # a memory address changes on each run


def _strings(value: Any) -> Iterator[str]:
    return (str(leaf) for leaf in leaves(unfolded(value)) if isinstance(leaf, str | Path))


def _present(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    # Too long, a zero byte, or the home of an unknown user: this text is no path.
    except (OSError, ValueError, RuntimeError):
        return None
