"""What a gin file may name without `--trust`: the parts that pymim offers, and the classes of torch.nn.

gin imports any module and calls anything in it, so a gin file is a program. A run's folder and a gin file come from
other people; they are read as data. An import is checked before it is made, and a name before it is registered.
"""

from __future__ import annotations

import functools
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gin import config as gin_config
from gin import config_parser

import pymim
from pymim.config.names import offering

_NOTHING, _CLOSED = object(), object()  # where a name leads: nowhere, and behind what is open
_GIN = "gin.config"  # which gin writes where its own components are used
_GINS = vars(gin_config._GinBuiltins())  # its own components, by name
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trusted: bool = True) -> Iterator[None]:
    """Inside, gin files may import any module and name whatever is in it, where `trusted`."""
    before = _trusted.set(trusted)
    try:
        yield
    finally:
        _trusted.reset(before)


def trust_flag() -> list[str]:
    """Give the option that a command of the same trust has."""
    return ["--trust"] * _trusted.get()


@contextmanager
def checked() -> Iterator[None]:
    """Inside, whatever gin parses is checked; outside, gin serves others as it is."""
    before = gin_config.ParseContext
    gin_config.ParseContext = _Checked
    try:
        yield
    finally:
        gin_config.ParseContext = before


class _Checked(gin_config.ParseContext):  # type: ignore[misc]
    """Imports and resolves what is allowed. Raises: ValueError, with the remedy, for anything else."""

    def process_import(self, statement: config_parser.ImportStatement) -> None:
        module = statement.module
        if not (_trusted.get() or module.startswith("__gin__.") or _is_open(module)):
            raise ValueError(f"import {module}: {_expected('module')}")
        super().process_import(statement)

    def get_configurable(self, selector: str) -> Any:
        found = _NOTHING if _trusted.get() else self._named(selector)
        if found is not _NOTHING and found not in _GINS.values() and not offers(found):
            raise ValueError(f"{selector}: {_expected('component')}")
        return super().get_configurable(selector)

    def _named(self, selector: str) -> Any:
        """Follow a name through open modules, as far as they go. What is not there is left to gin to refuse."""
        if not self._dynamic_registration:
            found = gin_config._REGISTRY.get_match(selector)
            return found.wrapped if found else _NOTHING
        first, *rest = selector.split(".")
        value = self._symbol_table.get(first, _NOTHING)
        for name in rest:
            if value is _NOTHING:
                break
            if isinstance(value, gin_config._GinBuiltins):
                value = _GINS.get(name, _NOTHING)
            elif inspect.ismodule(value) and _is_open(value.__name__):
                value = getattr(value, name, _NOTHING)
            else:
                return _CLOSED
        return value


def offers(found: Any) -> bool:
    """Say whether it is a component: a class that a package of parts defines, or a function that it offers.

    What a module merely imports belongs to another one. Of torch, the classes that torch.nn offers.
    """
    module, name = str(getattr(found, "__module__", "")), str(getattr(found, "__name__", ""))
    if getattr(sys.modules.get(module), name, None) is not found or name.startswith("_"):
        return False
    if inspect.isclass(found):
        return _is_part(module) or (
            module.startswith("torch.nn.") and getattr(sys.modules["torch.nn"], name, None) is found
        )
    package = sys.modules[".".join(module.split(".")[:2])]
    return inspect.isfunction(found) and _is_part(module) and name in getattr(package, "__all__", ())


def _is_open(module: str) -> bool:
    """Whether a gin file may import the module: one of parts, or of torch.nn; a misspelt one is gin's to refuse."""
    package, *inner = module.split(".")
    if package == "pymim":
        return not inner or inner[0] not in _present(*pymim.__path__) or inner[0] in offering()
    return module in ("torch", "torch.nn", _GIN) or f"{module}.".startswith("torch.nn.modules.")


@functools.cache
def _present(*folders: str) -> set[str]:
    """The modules of a package: every name in a gin file is held against them."""
    return {found.name for found in pkgutil.iter_modules(folders)}


def _is_part(module: str) -> bool:
    package, *inner = module.split(".")
    return package == "pymim" and bool(inner) and inner[0] in offering()


def _expected(what: str) -> str:
    remedy = "add --trust if you trust the file"
    return f"expected a {what} of pymim or of torch.nn, got another, which can run any code; {remedy}"
