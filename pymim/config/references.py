"""What a bound value refers to: macros (%X), constructors (@X) and objects (@X()), however deep it holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gin import config as gin_config

MACRO = "gin.macro"


def macro_name(value: Any) -> str | None:
    """Give X of %X; None for any other value."""
    if isinstance(value, gin_config.ConfigurableReference) and value.configurable.selector == MACRO:
        return "/".join(value.scopes)
    return None


def macro_value(name: str) -> Any:
    """Give what the macro is bound to, itself perhaps a macro."""
    return gin_config._CONFIG[(name, MACRO)]["value"]


def resolved(value: Any) -> Any:
    """Follow macros to a value that is none; what it holds may be macros still."""
    while (name := macro_name(value)) is not None:
        value = macro_value(name)
    return value


def unfolded(value: Any) -> Any:
    """Follow macros as `resolved` does, in what a container holds too."""
    value = resolved(value)
    if isinstance(value, dict):
        return {key: unfolded(item) for key, item in value.items()}
    return type(value)(map(unfolded, value)) if isinstance(value, tuple | list) else value


def references(value: Any) -> Iterator[Any]:
    """Yield every reference that stands in `value`, macros included and not followed."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, gin_config.ConfigurableReference))


def leaves(value: Any) -> Iterator[Any]:
    """Yield what stands in `value`, however deep, keys included."""
    if isinstance(value, dict):
        for item in (*value.keys(), *value.values()):
            yield from leaves(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def followed(value: Any, scope: str) -> Iterator[tuple[Any, str]]:
    """Yield every component that `value` refers to, through macros too, and the scope that surrounds it.

    gin takes what stands in macro X into scope X: an object there inherits that scope.
    """
    for reference in references(value):
        name = macro_name(reference)
        if name is not None:
            yield from followed(macro_value(name), name)
        elif reference.configurable.selector != "gin.constant":
            yield reference, scope


def macros(value: Any) -> Iterator[str]:
    """Yield every macro that `value` reads, through other macros too."""
    for reference in references(value):
        name = macro_name(reference)
        if name is not None:
            yield name
            yield from macros(macro_value(name))


def written(reference: Any, brackets: bool) -> str:
    """Write a reference as a gin file would, with or without brackets."""
    name = reference.configurable.selector.removeprefix("pymim.")
    return "@" + "/".join([*reference.scopes, name]) + "()" * brackets
