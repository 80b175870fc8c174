"""Decide which slots take a constructor, @X, and which take an object, @X().

gin calls @X() at once, and hands on @X to be called later. The annotation of the slot decides; each
alternative of a union is one way to fill it.

- `type[X]` takes a constructor. So does a callable that makes an object: `Callable[...,
  nn.Module]`, `Callable[[Encoder], X]`, `Callable[..., Any]`.
- A callable that computes takes a callable object. It computes if it takes a tensor or a number, or
  returns a tensor, a number, None, a container or a record: `Callable[[Tensor, Tensor], Tensor]`,
  `Schedule`. Write `@losses.MSE()`, or `@mine.loss` for a plain function.
- A protocol whose only member is `__call__` follows the signature of `__call__`.
- Everything else takes an object: a class, a protocol with further members, a container, `Any`.
- A slot without an annotation, or with one that cannot be resolved, takes both.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from gin import config as gin_config

from pymim.config.hints import PLAIN, UNKNOWN, bare, elements, hint, is_value, options
from pymim.config.references import macro_name, macro_value, written

Kind = Literal["constructor", "callable", "object", "literal", "either"]


def complaint(value: Any, annotation: Any) -> str | None:
    """Say which reference has the wrong brackets and how to write it; None if all are right."""
    return next(_complaints(value, annotation, ""), None)


def _complaints(value: Any, annotation: Any, macro: str) -> Iterator[str]:
    if (name := macro_name(value)) is not None:
        yield from _complaints(macro_value(name), annotation, name)
    elif isinstance(value, gin_config.ConfigurableReference):
        if value.configurable.selector.startswith("gin.") or _fits(value, kinds(annotation)):
            return
        given = f"{written(value, value.evaluate)}{f' (by {macro})' if macro else ''}"
        wanted, got = (
            ("a constructor", "an object") if value.evaluate else ("an object", "a constructor")
        )
        yield f"expected {wanted}, got {got}, {given}; write {written(value, not value.evaluate)}"
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _complaints(item, elements(annotation), macro)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _complaints(item, elements(annotation), macro)


def _fits(reference: Any, wanted: set[Kind]) -> bool:
    made_by = reference.configurable.wrapped
    if "either" in wanted:
        return True
    if inspect.isclass(made_by):
        return _class_fits(made_by, reference.evaluate, wanted)
    gives = _given(hint(made_by, "return"))
    if reference.evaluate:  # what the function gives fills the slot
        return bool(wanted & {"object", "literal"}) or "either" in gives or bool(wanted & gives)
    return "constructor" in wanted or ("callable" in wanted and "callable" not in gives)


def _class_fits(made_by: type, evaluated: bool, wanted: set[Kind]) -> bool:
    if not evaluated:
        return "constructor" in wanted
    is_factory = "__call__" in _own(made_by) and _kind_of_call(made_by.__call__) == "constructor"
    return bool(wanted & {"object", "callable"}) or is_factory


def _given(result: Any) -> set[Kind]:
    """Give the kinds of slot that a function's result fills."""
    if result is UNKNOWN:
        return {"either"}
    made = [
        option
        for option in options(result)
        if isinstance(option, type) and "__call__" in _own(option)
    ]
    return kinds(result) | {_kind_of_call(each.__call__) for each in made}


def kinds(annotation: Any) -> set[Kind]:
    """Give the kinds of value that a slot with this annotation takes."""
    annotation = bare(annotation)
    if annotation is UNKNOWN or isinstance(annotation, typing.TypeVar):
        return {"either"}
    if len(ways := options(annotation)) > 1:
        return set().union(*map(kinds, ways))
    if annotation is type(None):
        return set()
    origin = typing.get_origin(annotation) or annotation
    if origin is type:
        return {"constructor"}
    if origin is collections.abc.Callable:
        return {_kind_of_signature(*(typing.get_args(annotation) or (..., Any)))}
    if annotation is Any:
        return {"object", "callable"}
    if getattr(origin, "_is_protocol", False) and "__call__" in vars(origin):
        return {"object" if _has_members(origin) else _kind_of_call(vars(origin)["__call__"])}
    return {"literal"} if origin in PLAIN or origin is Literal else {"object"}


def _kind_of_call(function: Any) -> Kind:
    names = [
        name for name in getattr(function, "__annotations__", {}) if name not in ("self", "return")
    ]
    return _kind_of_signature([hint(function, name) for name in names], hint(function, "return"))


def _kind_of_signature(arguments: Any, result: Any) -> Kind:
    takes = arguments if isinstance(arguments, Sequence) else ()  # an ellipsis says nothing
    computes = result is UNKNOWN or is_value(result) or any(is_value(each) for each in takes)
    return "callable" if computes else "constructor"


def _has_members(protocol: type) -> bool:
    """Say whether a protocol has public members besides `__call__`."""
    names = {*vars(protocol), *vars(protocol).get("__annotations__", {})}
    return any(not name.startswith("_") for name in names)


def _own(made_by: type) -> set[str]:
    """Give the names a class defines outside torch: every torch module has a `__call__`."""
    bases = [
        base
        for base in made_by.__mro__
        if base.__module__.split(".")[0] not in ("torch", "builtins")
    ]
    return {name for base in bases for name in vars(base)}
