"""Find the annotation of the arguments that a name on the command line sets."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from gin import config as gin_config

from pymim.config.hints import elements, hint
from pymim.config.names import importable
from pymim.config.references import MACRO, macro_name, references


def expected_by(name: str) -> list[Any]:
    """Give the annotations of every argument that NAME, an argument or macro, sets.

    The list is empty if none is known.
    """
    place, dot, argument = name.rpartition(".")
    if not dot:
        return _of_macro(name, ())
    component = _component(place.rpartition("/")[2])
    return [] if component is None else [hint(component, argument)]


def _of_macro(name: str, above: tuple[str, ...]) -> list[Any]:
    found: list[Any] = []
    for (scope, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items():
            if all(macro_name(each) != name for each in references(value)):
                continue
            if selector == MACRO:
                outer = [] if scope in above else _of_macro(scope, (*above, name))
            else:
                outer = [hint(gin_config._REGISTRY[selector].wrapped, argument)]
            found += [inner for each in outer for inner in _inside(value, each, name)]
    return found


def _inside(value: Any, annotation: Any, name: str) -> Iterator[Any]:
    """Yield the annotation at each place in a nested value that holds the macro `name`."""
    if macro_name(value) == name:
        yield annotation
    elif isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _inside(item, elements(annotation), name)


def _component(name: str) -> Any:
    registered = gin_config._REGISTRY.matching_selectors(name)
    if len(registered) == 1:
        return gin_config._REGISTRY[registered[0]].wrapped
    package, _, kind = name.rpartition(".")
    if package not in importable():
        return None
    return getattr(importlib.import_module(f"pymim.{package}"), kind, None)
