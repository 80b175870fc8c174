"""List what a configuration reads: all components below its root, and their macros.

References show what can be reached. What has been built already tells more and is used first: the
arguments that the caller gave (binding those has no effect), and the scope a constructor was called
in.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gin import config as gin_config

from pymim.config.references import followed, macros, written


class Use(NamedTuple):
    """Name a component and the scope it is called in."""

    scope: str
    selector: str


class Bound(NamedTuple):
    """Hold the binding that an argument takes its value from: its scope and its value."""

    scope: str
    value: Any


@dataclass
class Reads:
    """Hold everything that a configuration reads."""

    uses: dict[Use, dict[str, Bound]] = field(default_factory=dict)
    macros: set[str] = field(default_factory=set)
    # The arguments of each component, and the components they refer to.
    below: dict[Use, list[tuple[str, Use]]] = field(default_factory=dict)
    # Components that did not inherit the scope around them, and what to write so that they do.
    outside: dict[Use, str] = field(default_factory=dict)


def root_of(selector: str) -> Use:
    """Give the component that a build starts with."""
    return Use("", gin_config._REGISTRY.get_match(selector).selector)


def reads(selector: str) -> Reads:
    """Follow all references from `selector` and from everything that was built already."""
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
    remedy = f"write @{scope}/{written(reference, reference.evaluate)[1:]}"
    return f"{what} does not inherit the scope; {remedy}"


def bound(use: Use) -> dict[str, Bound]:
    """Give the bindings that set the arguments of `use`; the innermost scope wins."""
    parts = use.scope.split("/") if use.scope else []
    won: dict[str, Bound] = {}
    for depth in range(len(parts) + 1):
        scope = "/".join(parts[:depth])
        values = gin_config._CONFIG.get((scope, use.selector), {})
        won |= {argument: Bound(scope, value) for argument, value in values.items()}
    return {argument: value for argument, value in won.items() if takes(use, argument)}


def takes(use: Use, argument: str) -> bool:
    """Say whether a binding can set the argument, that is, its caller did not pass it."""
    if use in gin_config._OPERATIVE_CONFIG:
        return argument in gin_config._OPERATIVE_CONFIG[use]
    parameters = inspect.signature(gin_config._REGISTRY[use.selector].wrapped).parameters
    return argument in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def inherited(reference: Any, scope: str, by: Use) -> list[str]:
    """Give the scopes in which a reference held by `by` may be called.

    scope: the scope around the reference.

    A reference with its own scope replaces any other. An object inherits the scope around it. A
    constructor is called later. If `by` was built, the scope of what it built decides. If not, both
    are possible; the first one follows gin's rule for a call from outside.
    """
    if reference.scopes:
        return ["/".join(reference.scopes)]
    if reference.evaluate:
        return [scope]
    if by in gin_config._OPERATIVE_CONFIG:
        called = (by.scope, reference.configurable.selector) in gin_config._OPERATIVE_CONFIG
        return [by.scope if called else ""]
    return list(dict.fromkeys(["", by.scope]))
