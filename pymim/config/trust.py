"""Limit what a gin file may name without `--trust`: pymim's components and torch.nn's classes.

gin imports any module and calls anything in it, so a gin file is a program. A run's folder and its
gin file may come from other people, and are read as data. An import is checked before it is made,
and a name before it is registered.
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

_NOTHING = object()  # a name that leads nowhere
_CLOSED = object()  # a name inside a module that is not open
_GIN = "gin.config"  # gin itself imports this where its own components are used
_GINS = vars(gin_config._GinBuiltins())  # gin's own components, by name
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trusted: bool = True) -> Iterator[None]:
    """Let gin files import any module and name anything in it, if `trusted`, inside the block."""
    before = _trusted.set(trusted)
    try:
        yield
    finally:
        _trusted.reset(before)


def trust_flag() -> list[str]:
    """Give the option that passes the current trust on to another command."""
    return ["--trust"] * _trusted.get()


@contextmanager
def checked() -> Iterator[None]:
    """Check everything that gin parses inside the block; outside, gin is left as it is."""
    before = gin_config.ParseContext
    gin_config.ParseContext = _Checked
    try:
        yield
    finally:
        gin_config.ParseContext = before


class _Checked(gin_config.ParseContext):  # type: ignore[misc]
    """Import and resolve only what is allowed.

    Raises: ValueError, with the remedy, for anything else.
    """

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
        """Resolve a name through the open modules; leave unknown names to gin to refuse."""
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
    """Say whether an object is a component: a class of a package of parts, or a public function.

    A name that a module only imports belongs to another module. torch.nn offers its classes.
    """
    module, name = str(getattr(found, "__module__", "")), str(getattr(found, "__name__", ""))
    if getattr(sys.modules.get(module), name, None) is not found or name.startswith("_"):
        return False
    if inspect.isclass(found):
        return _is_part(module) or (
            module.startswith("torch.nn.") and getattr(sys.modules["torch.nn"], name, None) is found
        )
    package = sys.modules[".".join(module.split(".")[:2])]
    return (
        inspect.isfunction(found) and _is_part(module) and name in getattr(package, "__all__", ())
    )


def _is_open(module: str) -> bool:
    """Say whether a gin file may import a module: one with components, or one of torch.nn.

    A misspelt module of pymim counts as open, so that gin refuses it with its own message.
    """
    package, *inner = module.split(".")
    if package == "pymim":
        return not inner or inner[0] not in _present(*pymim.__path__) or inner[0] in offering()
    return module in ("torch", "torch.nn", _GIN) or f"{module}.".startswith("torch.nn.modules.")


@functools.cache
def _present(*folders: str) -> set[str]:
    """List a package's modules, cached since every name in a gin file is compared with them."""
    return {found.name for found in pkgutil.iter_modules(folders)}


def _is_part(module: str) -> bool:
    package, *inner = module.split(".")
    return package == "pymim" and bool(inner) and inner[0] in offering()


def _expected(what: str) -> str:
    remedy = "add --trust if you trust the file"
    return (
        f"expected a {what} of pymim or of torch.nn, got another, which can run any code; {remedy}"
    )
