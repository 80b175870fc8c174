"""What a configuration reads: the components that its root refers to, however deep, and the macros they need.

The references say what is reached. What has been built says more, and is asked first: which arguments its caller
gave (a binding of them has no effect), and in which scope a constructor was called.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gin import config as gin_config

from pymim.config.references import followed, macros, written


class Use(NamedTuple):
    """A component in the scope that it is called in."""

    scope: str
    selector: str


class Bound(NamedTuple):
    """The binding that an argument takes its value from: its scope, and the value."""

    scope: str
    value: Any


@dataclass
class Reads:
    """Everything that a configuration reads."""

    uses: dict[Use, dict[str, Bound]] = field(default_factory=dict)
    macros: set[str] = field(default_factory=set)
    below: dict[Use, list[tuple[str, Use]]] = field(default_factory=dict)  # what each argument refers to
    outside: dict[Use, str] = field(
        default_factory=dict
    )  # a scope that was not inherited, and what does inherit it


def root_of(selector: str) -> Use:
    """Give the use that a build begins with."""
    return Use("", gin_config._REGISTRY.get_match(selector).selector)


def reads(selector: str) -> Reads:
    """Follow all references from `selector`, and from whatever has been built already."""
    found = Reads()
    _visit(root_of(selector), found)
    for scope, name in list(gin_config._OPERATIVE_CONFIG):
        if name not in ("gin.macro", "gin.constant"):
            _visit(Use(scope, name), found)
    return found


def _visit(use: Use, found: Reads) -> None:
    if use in found.uses:
        return
    found.uses[use], found.below[use] = bound(use), []
    for argument, (_, value) in found.uses[use].items():
        found.macros |= set(macros(value))
        for reference, scope in followed(value, use.scope):
            selector, scopes = reference.configurable.selector, inherited(reference, scope, use)
            if use.scope not in scopes and not reference.scopes:
                found.outside[Use(use.scope, selector)] = _remedy(reference, use.scope)
            for inner in scopes:
                found.below[use].append((argument, Use(inner, selector)))
                _visit(Use(inner, selector), found)


def _remedy(reference: Any, scope: str) -> str:
    what = "what a macro holds" if reference.evaluate else "a constructor"
    return f"{what} does not inherit the scope; write @{scope}/{written(reference, reference.evaluate)[1:]}"


def bound(use: Use) -> dict[str, Bound]:
    """Give the arguments that `use` takes from bindings: of several, the one with the innermost scope wins."""
    parts = use.scope.split("/") if use.scope else []
    won: dict[str, Bound] = {}
    for depth in range(len(parts) + 1):
        scope = "/".join(parts[:depth])
        values = gin_config._CONFIG.get((scope, use.selector), {})
        won |= {argument: Bound(scope, value) for argument, value in values.items()}
    return {argument: value for argument, value in won.items() if takes(use, argument)}


def takes(use: Use, argument: str) -> bool:
    """Say whether a binding may set the argument: its caller did not give it, once it was called."""
    if use in gin_config._OPERATIVE_CONFIG:
        return argument in gin_config._OPERATIVE_CONFIG[use]
    parameters = inspect.signature(gin_config._REGISTRY[use.selector].wrapped).parameters
    return argument in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def inherited(reference: Any, scope: str, by: Use) -> list[str]:
    """Give the scopes that a reference of `by` may be called in; `scope` is the one that surrounds it.

    A scope of its own replaces any other. An object inherits the scope that surrounds it. A constructor is called
    later, by whoever holds it then: where `by` was built, what was built in its scope decides; before, the first
    given is gin's rule for a call from outside.
    """
    if reference.scopes:
        return ["/".join(reference.scopes)]
    if reference.evaluate:
        return [scope]
    if by in gin_config._OPERATIVE_CONFIG:
        called = (by.scope, reference.configurable.selector) in gin_config._OPERATIVE_CONFIG
        return [by.scope if called else ""]
    return list(dict.fromkeys(["", by.scope]))
