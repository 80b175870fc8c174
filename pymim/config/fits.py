"""Check whether a literal of a gin file has the type that its argument is annotated with."""

from __future__ import annotations

import collections.abc
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Any

from pymim.config.hints import UNKNOWN, bare, options

PLAIN: dict[Any, Callable[[Any], bool]] = {
    types.NoneType: lambda value: value is None,
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    str: lambda value: isinstance(value, str),
    pathlib.Path: lambda value: isinstance(value, str),
}


def fits(value: Any, annotation: Any, is_open: Callable[[Any], bool] = lambda value: False) -> bool:
    """Say whether a literal has the annotated type; a class other than those in PLAIN takes none.

    is_open: marks parts of the value that are not known yet, such as references. They fit anything.
    """
    annotation = bare(annotation)
    if (
        is_open(value)
        or annotation in (UNKNOWN, Any, object)
        or isinstance(annotation, typing.TypeVar | str)
    ):
        return True
    if len(ways := options(annotation)) > 1:
        return any(fits(value, way, is_open) for way in ways)
    origin = typing.get_origin(annotation) or annotation
    if origin is typing.Literal:
        return any(
            type(value) is type(each) and value == each for each in typing.get_args(annotation)
        )
    if annotation is None or origin in PLAIN:
        return PLAIN[origin or types.NoneType](value)
    if isinstance(value, dict | tuple | list):
        return _holds(value, origin, typing.get_args(annotation), is_open)
    return False


def _holds(value: Any, origin: Any, inner: tuple[Any, ...], is_open: Callable[[Any], bool]) -> bool:
    if not isinstance(origin, type) or not issubclass(origin, collections.abc.Iterable):
        return False
    if isinstance(value, dict):
        values = inner[1] if len(inner) > 1 else Any
        return issubclass(dict, origin) and all(
            fits(each, values, is_open) for each in value.values()
        )
    if issubclass(origin, collections.abc.Mapping):
        return False
    if origin is tuple and inner and inner[-1] is not ...:
        return len(value) == len(inner) and all(map(lambda v, a: fits(v, a, is_open), value, inner))
    return all(fits(each, inner[0] if inner else Any, is_open) for each in value)


def in_words(annotation: Any) -> str:
    """Write an annotation as messages do: "int", "float or a component"."""
    names = [_name(bare(way)) for way in options(bare(annotation))]
    return " or ".join(dict.fromkeys(names))


def _name(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if annotation in (None, types.NoneType):
        return "None"
    if origin is typing.Literal:
        return ", ".join(map(repr, inner))
    if origin in PLAIN:
        return str(origin.__name__)
    if isinstance(origin, type) and issubclass(origin, dict):
        return "a dict"
    if origin is tuple and inner and inner[-1] is not ...:
        return f"a tuple of {len(inner)}"
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and inner:
        return f"a tuple of {in_words(inner[0])}"
    return "a component"
