"""Resolve the annotations of a component, including names imported under TYPE_CHECKING."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import functools
import importlib
import inspect
import pathlib
import re
import sys
import types
import typing
from typing import Any

UNKNOWN = inspect.Parameter.empty
PLAIN = (int, float, complex, str, bytes, bool, pathlib.Path)
CONTAINERS = (tuple, list, dict, set, frozenset)


def hint(component: Any, argument: str) -> Any:
    """Give the annotation of an argument of a constructor or function ("return": its result).

    UNKNOWN if there is none, or if it names something that cannot be imported.
    """
    for owner in _annotated(component):
        annotation = getattr(owner, "__annotations__", {}).get(argument, UNKNOWN)
        if annotation is not UNKNOWN:
            return _evaluated(annotation, sys.modules.get(owner.__module__))
    return UNKNOWN


def is_value(annotation: Any) -> bool:
    """Say whether an annotation is a value to compute with, rather than a component.

    Values are numbers, text, tensors, None, containers, records, and unions of them.
    """
    annotation = bare(annotation)
    if _is_union(annotation):
        filled = [option for option in options(annotation) if option is not type(None)]
        return bool(filled) and all(map(is_value, filled))
    origin = typing.get_origin(annotation) or annotation
    if not isinstance(origin, type) or origin in (collections.abc.Callable, type):
        return origin is None
    if (
        origin in (type(None), *PLAIN)
        or issubclass(origin, CONTAINERS)
        or dataclasses.is_dataclass(origin)
    ):
        return True
    if issubclass(origin, collections.abc.Iterable) and typing.get_args(annotation):
        return True
    return any(base.__name__ in ("Tensor", "ndarray", "AbstractArray") for base in origin.__mro__)


def elements(annotation: Any) -> Any:
    """Give the annotation of a container's items; UNKNOWN if it has none."""
    annotation = bare(annotation)
    if _is_union(annotation):
        found = [elements(option) for option in typing.get_args(annotation)]
        return next((each for each in found if each is not UNKNOWN), UNKNOWN)
    if annotation is Any:
        return Any
    origin, inner = (
        typing.get_origin(annotation),
        [i for i in typing.get_args(annotation) if i is not ...],
    )
    if not (isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and inner):
        return UNKNOWN
    return inner[-1] if issubclass(origin, collections.abc.Mapping) else typing.Union[tuple(inner)]  # noqa: UP007


def bare(annotation: Any) -> Any:
    """Strip Annotated, Final and ClassVar, and resolve a type alias."""
    while typing.get_origin(annotation) in (typing.Annotated, typing.Final, typing.ClassVar):
        annotation = typing.get_args(annotation)[0]
    return getattr(annotation, "__value__", annotation)


def options(annotation: Any) -> tuple[Any, ...]:
    """Give the alternatives of a union, or the annotation itself if it is no union."""
    return typing.get_args(annotation) if _is_union(annotation) else (annotation,)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _annotated(component: Any) -> list[Any]:
    """List what holds the annotations: a constructor, or the classes of a named tuple."""
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
    holder = types.SimpleNamespace(__annotations__={"one": annotation})
    try:
        return typing.get_type_hints(holder, vars(module) if module else {}, local)["one"]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return UNKNOWN


@functools.cache
def _hidden_imports(module: str) -> dict[str, tuple[str, str | None]]:
    """Map each name imported under TYPE_CHECKING to its module and its name in that module."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # no source: an interactive or compiled module
        return {}
    blocks = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    found: dict[str, tuple[str, str | None]] = {}
    for statement in (statement for block in blocks for statement in block.body):
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found |= {
                alias.asname or alias.name: (statement.module, alias.name)
                for alias in statement.names
            }
        elif isinstance(statement, ast.Import):
            found |= {alias.asname: (alias.name, None) for alias in statement.names if alias.asname}
    return found


def _imported(module: str, name: str | None) -> Any:
    try:
        found = importlib.import_module(module)
        return (
            found
            if name is None
            else getattr(found, name, None) or importlib.import_module(f"{module}.{name}")
        )
    except ImportError:
        return None
