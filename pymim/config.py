"""Gin files: find them, parse them, and refuse what is wrong with one clear line.

gin binds anything anywhere and says nothing of a scope that no component has; this file puts a tree with one
root over it: every name and value is checked when it is parsed, and after the build every binding of the command
line and of the last file must have been used.
"""

from __future__ import annotations

import difflib
import importlib.util  # gin needs it imported and does not do so itself
import inspect
import pkgutil
import re
import tokenize
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gin
from gin import config as gin_config
from gin import config_parser

import pymim
from pymim.errors import ConfigError

# The packages and modules a binding on the command line may name without importing them.
_HEADER = "from __gin__ import dynamic_registration\n"
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


class Binding(NamedTuple):
    """One assignment somebody wrote: `scope/selector.argument = value`; a macro has no argument."""

    scope: str
    selector: str
    argument: str | None
    place: str

    def __str__(self) -> str:
        name = f"{self.scope}/{self.selector}" if self.scope else self.selector
        return f"{name}.{self.argument}" if self.argument else name


def folders() -> list[Path]:
    """Where shipped gin files are: the checkout's gin/ first, then the one in the installed package."""
    roots = [Path(entry) for entry in pymim.__path__]
    return [folder for root in roots for folder in (root.parent / "gin", root / "gin") if folder.is_dir()]


def find(name: str) -> Path:
    """The gin file called `name`: as a path, or as a shipped file with or without its folder and ending."""
    path = Path(name)
    names = {path, path.with_name(path.name + ".gin")}
    relative = [Path(*p.parts[1:]) if p.parts[:1] == ("gin",) and len(p.parts) > 1 else p for p in names]
    candidates = [*names, *(folder / p for folder in folders() for p in relative)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = [str(file.relative_to(folder)) for folder in folders() for file in folder.rglob("*.gin")]
    raise ConfigError(f"--gin {name}: no such file{_nearest(path.name, shipped)}")


def load(files: Sequence[str], bindings: Sequence[str] = ()) -> str:
    """Parses files left to right, then bindings; the last wins. Gives the configuration as one gin text."""
    gin.clear_config()
    paths = [find(name) for name in files]
    _read_from({path.resolve().parent for path in paths})
    for path in paths:
        _parse(f"include '{path.resolve()}'\n", str(path))
    for binding in bindings:
        _check_macro(binding)
        _parse(_imports() + _quoted(binding) + "\n", f"-b {binding!r}")
    _check_required()
    _check_types()
    return str(gin.config_str())


def build(selector: str) -> Any:
    """The object that `selector` is the root of, with everything below it."""
    try:
        return gin.get_configurable(selector)()
    except (TypeError, ValueError) as error:
        raise ConfigError(_one_line(error)) from error


def operative() -> str:
    """Every value the build used, defaults included; parses back to the same run."""
    return str(gin.operative_config_str())


def check_used(files: Sequence[str], bindings: Sequence[str] = ()) -> None:
    """Refuses a binding of the command line, or of the last file, that nothing used: a misspelt scope, say."""
    written = [b for text, place in _leaves(files, bindings) for b in _bindings(text, place)]
    used = {(s, _short(sel), arg) for (s, sel), args in gin_config._OPERATIVE_CONFIG.items() for arg in args}
    for binding in written:
        if binding.argument is None:
            continue
        matches = [s for s, sel, arg in used if sel == _short(binding.selector) and arg == binding.argument]
        if not any(s == binding.scope or s.startswith(binding.scope + "/") or not binding.scope for s in matches):
            scopes = sorted({s for s, _, _ in used if s})
            hint = _nearest(binding.scope, scopes) if binding.scope else "; remove it, or use its component"
            raise ConfigError(f"{binding.place}: {binding}: nothing in this configuration uses it{hint}")


def _leaves(files: Sequence[str], bindings: Sequence[str]) -> list[tuple[str, str]]:
    last = find(files[-1])
    return [(last.read_text(), str(last)), *((_HEADER + _quoted(b) + "\n", f"-b {b!r}") for b in bindings)]


def _bindings(text: str, place: str) -> Iterable[Binding]:
    parser = config_parser.ConfigParser(text, gin_config.ParserDelegate(skip_unknown=True))
    for statement in parser:
        if isinstance(statement, config_parser.BindingStatement):
            yield Binding(statement.scope, statement.selector, statement.arg_name or None, place)


def _parse(text: str, place: str) -> None:
    try:
        gin.parse_config(text)
    except (
        SyntaxError,
        tokenize.TokenError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OSError,
    ) as error:
        raise ConfigError(f"{place}: {_explain(error)}") from error
    except ImportError as error:
        raise ConfigError(f"{place}: {error}; check the import lines of the gin file") from error


def _explain(error: Exception) -> str:
    """gin's message in one line, with the name that was probably meant."""
    message = _one_line(error)
    if match := re.search(r"Couldn't resolve selector (\S+?);.*?<module '([\w.]+)'", message):
        names = [name for name in dir(importlib.import_module(match[2])) if name[0].isupper()]
        return f"no component is called {match[1]}{_nearest(match[1].split('.')[-1], names)}"
    if match := re.search(r"Configurable '(\S+)' doesn't have a parameter named '(\w+)'", message):
        return f"{match[1]} has no argument {match[2]}{_nearest(match[2], _arguments(match[1]))}"
    if match := re.search(r"No configurable matching '(\S+?)'", message):
        return f"no component is called {match[1]}{_nearest(match[1].split('.')[-1], _components())}"
    if match := re.search(r"Unable to open file: (\S+?)[.,]? ", message):
        return f"cannot include {match[1]}: no such file"
    return message


def _quoted(binding: str) -> str:
    """A bare word or path where gin wants a quoted string is taken as the string."""
    name, equals, value = binding.partition("=")
    if not equals:
        raise ConfigError(f"-b {binding!r}: expected NAME=VALUE, got no '='; write it as -b 'NAME=VALUE'")
    value = value.strip()
    bare = re.fullmatch(r"[A-Za-z_.~/][\w./~+:-]*", value) and value not in ("True", "False", "None")
    return f"{name.strip()} = {value!r}" if bare else f"{name.strip()} = {value}"


def _check_macro(binding: str) -> None:
    name = binding.partition("=")[0].strip()
    macros = sorted(scope for scope, selector in gin_config._CONFIG if selector == "gin.macro")
    if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and name not in macros:
        raise ConfigError(f"-b {binding!r}: no macro is called {name}{_nearest(name, macros)}")


def _check_required() -> None:
    for (scope, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items():
            if value is gin.REQUIRED or getattr(value, "_configurable_name", "") == "gin.REQUIRED":
                name = scope if selector == "gin.macro" else f"{_short(selector)}.{argument}"
                raise ConfigError(f"{name} is not set; set it in a gin file or with -b '{name} = ...'")


def _check_types() -> None:
    for (_, selector), arguments in gin_config._CONFIG.items():
        if selector == "gin.macro":
            continue
        hints = _hints(gin_config._REGISTRY[selector].wrapped)
        for argument, value in arguments.items():
            if isinstance(value, gin_config.ConfigurableReference):
                if value.configurable.selector != "gin.macro":
                    continue
                value = gin_config._CONFIG.get((value.scoped_selector.split("/")[0], "gin.macro"), {}).get("value")
            expected = hints.get(argument)
            if expected is not None and not _fits(value, expected):
                raise ConfigError(
                    f"{_short(selector)}.{argument}: expected {_type_name(expected)}, got {value!r}; "
                    "check the value (strings need quotes in gin files)"
                )


def _hints(component: Any) -> dict[str, Any]:
    function = component.__init__ if inspect.isclass(component) else component
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # an annotation that only type checkers can see
        return {}


def _fits(value: Any, expected: Any) -> bool:
    """Whether a literal fits an annotation made of plain types; what is not plain is let through."""
    if isinstance(value, gin_config.ConfigurableReference):
        return True
    options = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    options = tuple(bool if o is bool else o for o in options)
    if any(o not in (int, float, str, bool, type(None)) for o in options):
        return True
    if isinstance(value, bool):
        return bool in options
    return isinstance(value, tuple(o for o in options)) or (isinstance(value, int) and float in options)


def _type_name(expected: Any) -> str:
    return getattr(expected, "__name__", None) or str(expected).replace("typing.", "").replace("NoneType", "None")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _one_line(error: BaseException) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split())


def _short(selector: str) -> str:
    return selector.rsplit(".", 1)[-1]


def _arguments(selector: str) -> list[str]:
    matches = [full for full in gin_config._REGISTRY if full == selector or full.endswith("." + selector)]
    return list(inspect.signature(gin_config._REGISTRY[matches[0]].wrapped).parameters) if matches else []


def _components() -> list[str]:
    """Every component's class name, of the packages a gin file is likely to use."""
    modules = [importlib.import_module(f"pymim.{name}") for name in _importable()]
    return sorted({name for module in modules for name in dir(module) if name[0].isupper()})


def _importable() -> list[str]:
    present = {module.name for module in pkgutil.iter_modules(pymim.__path__)}
    return [name for name in (*_ROOTS, *_PACKAGES) if name in present]


def _imports() -> str:
    return _HEADER + "".join(f"from pymim import {name}\n" for name in _importable())


def _read_from(beside: set[Path]) -> None:
    """Lets `include` find files beside the including file and among the shipped ones."""

    def locate(name: str) -> Path | None:
        places = [Path(name), *(folder / name for folder in (*beside, *folders()))]
        return next((place for place in places if place.is_file()), None)

    def read(name: str) -> Any:
        found = locate(name)
        assert found is not None
        return found.open()

    gin_config._FILE_READERS[:] = [(read, lambda name: locate(name) is not None)]


def describe_shipped() -> list[str]:
    """One line for every shipped paper: its file's name and the first line of its comment."""
    files = {file.stem: file for folder in reversed(folders()) for file in folder.glob("*.gin")}
    files.pop("base", None)
    width = max(map(len, files), default=0)
    return [f"{name:{width}}  {files[name].read_text().splitlines()[0].lstrip('# ')}" for name in sorted(files)]
