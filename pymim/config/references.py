"""Follow the references in a bound value: macros (%X), constructors (@X), objects (@X())."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gin import config as gin_config

MACRO = "gin.macro"


def macro_name(value: Any) -> str | None:
    """Give the name X of a macro %X; None for any other value."""
    if isinstance(value, gin_config.ConfigurableReference) and value.configurable.selector == MACRO:
        return "/".join(value.scopes)
    return None


def macro_value(name: str) -> Any:
    """Give the value of a macro, which may be another macro."""
    return gin_config._CONFIG[(name, MACRO)]["value"]


def resolved(value: Any) -> Any:
    """Follow macros until the value is not a macro; its items may still be macros."""
    while (name := macro_name(value)) is not None:
        value = macro_value(name)
    return value


def unfolded(value: Any) -> Any:
    """Follow macros as `resolved` does, inside containers too."""
    value = resolved(value)
    if isinstance(value, dict):
        return {key: unfolded(item) for key, item in value.items()}
    return type(value)(map(unfolded, value)) if isinstance(value, tuple | list) else value


def references(value: Any) -> Iterator[Any]:
    """Yield every reference in `value`; macros are yielded and not followed."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, gin_config.ConfigurableReference))


def leaves(value: Any) -> Iterator[Any]:
    """Yield the items of nested containers, dictionary keys included."""
    if isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from leaves(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def followed(value: Any, scope: str) -> Iterator[tuple[Any, str]]:
    """Yield each component that `value` refers to, also through macros, and its scope.

    gin evaluates the value of macro X in scope X, so an object in it inherits that scope.
    """
    for reference in references(value):
        name = macro_name(reference)
        if name is not None:
            yield from followed(macro_value(name), name)
        elif reference.configurable.selector != "gin.constant":
            yield reference, scope


def macros(value: Any) -> Iterator[str]:
    """Yield every macro that `value` reads, also through other macros."""
    for reference in references(value):
        name = macro_name(reference)
        if name is not None:
            yield name
            yield from macros(macro_value(name))


def written(reference: Any, brackets: bool) -> str:
    """Write a reference as gin files do, with or without brackets."""
    name = reference.configurable.selector.removeprefix("pymim.")
    return "@" + "/".join([*reference.scopes, name]) + "()" * brackets
