"""Check what gin does not check on parsing: undefined macros, unset values, types, brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gin import config as gin_config

from pymim.config.brackets import complaint
from pymim.config.fits import fits, in_words
from pymim.config.hints import hint
from pymim.config.messages import nearest
from pymim.config.names import shown
from pymim.config.references import MACRO, macro_name, macro_value, references, unfolded
from pymim.errors import ConfigError


def defined() -> list[str]:
    """List the macros that are defined."""
    return sorted(name for name, selector in gin_config._CONFIG if selector == MACRO)


def check_names(bindings: Sequence[str], known: Sequence[str]) -> None:
    """Refuse NAME=VALUE if no file defines the macro and no bound value refers to it.

    known: the macros that the files define.
    """
    read = {macro_name(reference) for _, value in _bound() for reference in references(value)}
    for binding in bindings:
        name = binding.partition("=")[0].strip()
        if (name, MACRO) in gin_config._CONFIG and name not in read and name not in known:
            remedy = (
                "; a macro has no scope: bind the argument that reads it in that scope"
                if "/" in name
                else ""
            )
            raise ConfigError(
                f"-b {binding!r}: no macro is called {name}{remedy or nearest(name, known)}"
            )


def check_macros() -> None:
    """Refuse %X if no macro X is defined, or if X refers to itself through other macros."""
    known = defined()
    for place, value in _bound():
        for name in filter(None, map(macro_name, references(value))):
            if name not in known:
                raise ConfigError(f"{place}: no macro is called {name}{nearest(name, known)}")
    for name in known:
        if _leads_back(name):
            raise ConfigError(
                f"{name}: expected a value, got a macro that refers to itself; give it a value"
            )


def _leads_back(name: str, above: tuple[str, ...] = ()) -> bool:
    """Say whether a macro refers to itself, directly or through other macros."""
    inner = filter(None, map(macro_name, references(macro_value(name))))
    return name in above or any(_leads_back(each, (*above, name)) for each in inner)


def check_required() -> None:
    """Refuse an argument that is still %gin.REQUIRED."""
    for place, value in _bound():
        if getattr(value, "scoped_selector", "") == "gin.REQUIRED/gin.constant":
            raise ConfigError(
                f"{place} is not set; set it in a gin file or with -b '{place} = ...'"
            )


def check_types() -> None:
    """Refuse a literal of the wrong type, and a reference with the wrong brackets."""
    for (_, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items() if selector != MACRO else ():
            expected = hint(gin_config._REGISTRY[selector].wrapped, argument)
            if wrong := _wrong(value, expected):
                raise ConfigError(f"{shown(selector)}.{argument}: {wrong}")


def _bound() -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of every binding, without its scope."""
    for (scope, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items():
            yield scope if selector == MACRO else f"{shown(selector)}.{argument}", value


def _wrong(value: Any, expected: Any) -> str | None:
    if found := complaint(value, expected):
        return found
    value = unfolded(value)
    if fits(value, expected, _is_reference):
        return None
    whole = isinstance(value, float) and value.is_integer() and fits(int(value), expected)
    remedy = f"write {value:.0f}" if whole else "check the value (strings need quotes in gin files)"
    return f"expected {in_words(expected)}, got {value!r}; {remedy}"


def _is_reference(value: Any) -> bool:
    return isinstance(value, gin_config.ConfigurableReference)
