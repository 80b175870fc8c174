"""Draw the tree of components that a configuration describes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gin import config as gin_config

import pymim
from pymim.config.reads import Use, bound, inherited, root_of
from pymim.config.references import followed, resolved

ROOT = Path(pymim.__path__[0]).parent


@dataclass(eq=False)
class Node:
    """Hold one component: its slot, its class, the file of the class, and its measured size."""

    role: str
    name: str
    file: str
    arguments: dict[str, Any]
    made_by: Any = None
    children: list[Node] = field(default_factory=list)
    shapes: str = ""
    parameters: int = 0
    flops: int = 0  # of a forward pass of the example
    memory: int = 0  # bytes, with a whole piece of the batch

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """Yield this node and all nodes below it, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def graph(selector: str) -> Node:
    """Build the tree of nodes below `selector` without building any component.

    A constructor without a scope is shown in the scope it was called in, if something was built
    before. Otherwise it is shown without a scope, as gin would call it.
    """
    return _node("run", root_of(selector))


def component(role: str, scope: str, target: Any, arguments: dict[str, Any]) -> Node:
    """Make the node of one gin reference."""
    try:
        file = Path(inspect.getsourcefile(target) or "")
        place = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name
    except TypeError:
        place = "built in"
    return Node(
        role, f"{scope}/{target.__name__}" if scope else target.__name__, place, arguments, target
    )


def _node(role: str, use: Use) -> Node:
    values = {name: value for name, (_, value) in bound(use).items()}
    below = {name: list(followed(value, use.scope)) for name, value in values.items()}
    plain = {name: resolved(value) for name, value in values.items() if not below[name]}
    made = component(role, use.scope, gin_config._REGISTRY[use.selector].wrapped, plain)
    for name, found in below.items():
        for reference, scope in found:
            inner = inherited(reference, scope, use)[0]
            made.children.append(_node(name, Use(inner, reference.configurable.selector)))
    return made
