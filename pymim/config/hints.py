"""What a component's arguments are annotated with, resolved where only type checkers import the names too."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import sys
import typing
from types import SimpleNamespace
from typing import Any

UNKNOWN = inspect.Parameter.empty


def hint(component: Any, argument: str) -> Any:
    """Give the annotation of one argument ("return": of the result) of a class's constructor or of a function.

    UNKNOWN where there is none, or where it names what cannot be imported.
    """
    for owner in _annotated(component):
        annotation = getattr(owner, "__annotations__", {}).get(argument, UNKNOWN)
        if annotation is not UNKNOWN:
            return _evaluated(annotation, sys.modules.get(owner.__module__))
    return UNKNOWN


def _annotated(component: Any) -> list[Any]:
    """The constructor, or, of tuples with names, the classes themselves: what bears the annotations."""
    if not inspect.isclass(component):
        return [inspect.unwrap(component)]
    made_by = inspect.unwrap(component.__init__)
    return [made_by] if inspect.isfunction(made_by) else list(component.__mro__)


def _evaluated(annotation: Any, module: Any) -> Any:
    local = {}
    if isinstance(annotation, str):
        hidden = _hidden_imports(module.__name__) if module else {}
        names = set(re.findall(r"[A-Za-z_]\w*", annotation)) & hidden.keys()
        local = {name: found for name in names if (found := _imported(*hidden[name])) is not None}
    bearer = SimpleNamespace(__annotations__={"one": annotation})
    try:
        return typing.get_type_hints(bearer, vars(module) if module else {}, local)["one"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return UNKNOWN


@functools.cache
def _hidden_imports(module: str) -> dict[str, tuple[str, str | None]]:
    """Names that a module imports under TYPE_CHECKING: each one's module, and its name there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # typed in, or compiled
        return {}
    blocks = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    found: dict[str, tuple[str, str | None]] = {}
    for statement in (statement for block in blocks for statement in block.body):
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found |= {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
        elif isinstance(statement, ast.Import):
            found |= {alias.asname: (alias.name, None) for alias in statement.names if alias.asname}
    return found


def _imported(module: str, name: str | None) -> Any:
    try:
        found = importlib.import_module(module)
        return found if name is None else getattr(found, name, None) or importlib.import_module(f"{module}.{name}")
    except ImportError:
        return None
