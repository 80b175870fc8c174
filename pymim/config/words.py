"""Names, and the ones that were probably meant."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import tokenize
from collections.abc import Iterable
from typing import Any

from gin import config as gin_config

import pymim
from pymim.errors import ConfigError

# The packages and modules a binding on the command line may name without importing them.
HEADER = "from __gin__ import dynamic_registration\n"

_ROOTS = ("train", "method", "evaluate")

_PACKAGES = (
    "clusters",
    "data",
    "draw",
    "encoders",
    "losses",
    "masks",
    "optim",
    "predictors",
    "probes",
    "rankers",
    "targets",
    "views",
)


def explain(error: Exception) -> str:
    """gin's message in one line, with the name that was probably meant."""
    if isinstance(error, tokenize.TokenError):
        return "a bracket or a quote is not closed"
    message = one_line(error)
    if match := re.search(r"Couldn't resolve selector (\S+?);.*?<module '([\w.]+)'", message):
        names = [name for name in dir(importlib.import_module(match[2])) if name[0].isupper()]
        return f"no component is called {match[1]}{nearest(match[1].split('.')[-1], names)}"
    if match := re.search(r"Configurable '(\S+)' doesn't have a parameter named '(\w+)'", message):
        return f"{match[1]} has no argument {match[2]}{nearest(match[2], _arguments(match[1]))}"
    if match := re.search(r"No configurable matching '(\S+?)'", message):
        return f"no component is called {match[1]}{nearest(match[1].split('.')[-1], _components())}"
    if match := re.search(r"Unable to open file: (\S+?)[.,]? ", message):
        return f"cannot include {match[1]}: no such file"
    return message


def unset(error: Exception) -> str | None:
    """What is missing, where the error is that a component was built without it."""
    match = re.search(r"(\w+)(?:\.__init__)?\(\) missing \d+ required \S+ arguments?: '(\w+)'", str(error))
    if match is None:
        return None
    return f"{match[1]}.{match[2]} is not set; set it in a gin file or with -b '{match[1]}.{match[2]} = ...'"


def nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def told(error: BaseException) -> str:
    """What an error said before gin added the calls that it went through."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(text).partition("\n  In call to configurable")[0]


def one_line(error: BaseException) -> str:
    return " ".join(told(error).split())


def short(selector: str) -> str:
    return selector.rsplit(".", 1)[-1]


def _arguments(selector: str) -> list[str]:
    return list(inspect.signature(gin_config._REGISTRY.get_match(selector).wrapped).parameters)


def _components() -> list[str]:
    """Every component's class name, of the packages a gin file is likely to use."""
    modules = [importlib.import_module(f"pymim.{name}") for name in importable()]
    return sorted({name for module in modules for name in dir(module) if name[0].isupper()})


def importable() -> list[str]:
    present = {module.name for module in pkgutil.iter_modules(pymim.__path__)}
    return [name for name in (*_ROOTS, *_PACKAGES) if name in present]


def imports() -> str:
    return HEADER + "".join(f"from pymim import {name}\n" for name in importable())


def quoted(binding: str) -> str:
    """A bare word or path where gin wants a quoted string is taken as the string."""
    name, equals, value = binding.partition("=")
    if not equals:
        raise ConfigError(f"-b {binding!r}: expected NAME=VALUE, got no '='; write it as -b 'NAME=VALUE'")
    value = value.strip()
    bare = re.fullmatch(r"[A-Za-z_.~/][\w./~+:-]*", value) and value not in ("True", "False", "None")
    return f"{name.strip()} = {value!r}" if bare else f"{name.strip()} = {value}"


def flags(words: Iterable[str]) -> list[str]:
    """Gin files and bindings, as they stand on the command line."""
    return [part for word in words for part in ("--gin" if word.endswith(".gin") else "-b", word)]


def resolved(value: Any) -> Any:
    """A macro's value, through as many macros as there are."""
    while isinstance(value, gin_config.ConfigurableReference) and value.configurable.selector == "gin.macro":
        value = gin_config._CONFIG[(value.scoped_selector.rpartition("/")[0], "gin.macro")]["value"]
    return value
