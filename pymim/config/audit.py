"""What gin does not look at: macros that nobody defined, types, and bindings that nothing uses."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gin import config as gin_config
from gin import config_parser

from pymim.config.files import find
from pymim.config.words import HEADER, nearest, quoted, resolved, short
from pymim.errors import ConfigError


class Binding(NamedTuple):
    """One assignment somebody wrote: `scope/selector.argument = value`; a macro has no argument."""

    scope: str
    selector: str
    argument: str | None
    place: str

    def __str__(self) -> str:
        name = f"{self.scope}/{self.selector}" if self.scope else self.selector
        return f"{name}.{self.argument}" if self.argument else name


def check_used(files: Sequence[str], bindings: Sequence[str] = ()) -> None:
    """Refuses a binding of the command line, or of the last file, that nothing used: a misspelt scope, say. What a
    file says of a component that it refers to, itself or in what it includes, and that the command line has
    replaced, may stand."""
    written = [b for line in bindings for b in _bindings(HEADER + quoted(line) + "\n", f"-b {line!r}")]
    for last in map(find, files[-1:]):  # none where a run's folder is all that was named
        whole = _with_includes(last)
        written += [b for b in _bindings(last.read_text(), str(last)) if not _refers_to(whole, b)]
    used = {(s, short(sel), arg) for (s, sel), args in gin_config._OPERATIVE_CONFIG.items() for arg in args}
    for binding in written:
        if binding.argument is None:
            continue
        matches = [s for s, sel, arg in used if sel == short(binding.selector) and arg == binding.argument]
        if not any(s == binding.scope or s.startswith(binding.scope + "/") or not binding.scope for s in matches):
            scopes = sorted({s for s, _, _ in used if s})
            hint = nearest(binding.scope, scopes) if binding.scope else "; remove it, or use its component"
            raise ConfigError(f"{binding.place}: {binding}: nothing in this configuration uses it{hint}")


def _with_includes(path: Path) -> str:
    text = path.read_text()
    for name in re.findall(r"^include ['\"](.+?)['\"]", text, re.MULTILINE):
        beside = path.parent / name
        text += _with_includes(beside if beside.is_file() else find(name))
    return text


def _refers_to(text: str, binding: Binding) -> bool:
    scope = f"{re.escape(binding.scope)}/" if binding.scope else ""
    return re.search(rf"@{scope}(\w+\.)*{short(binding.selector)}\b", text) is not None


def _bindings(text: str, place: str) -> Iterable[Binding]:
    parser = config_parser.ConfigParser(text, gin_config.ParserDelegate(skip_unknown=True))
    for statement in parser:
        if isinstance(statement, config_parser.BindingStatement):
            yield Binding(statement.scope, statement.selector, statement.arg_name or None, place)


def check_macro(binding: str) -> None:
    name = binding.partition("=")[0].strip()
    macros = sorted(scope for scope, selector in gin_config._CONFIG if selector == "gin.macro")
    if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and name not in macros:
        raise ConfigError(f"-b {binding!r}: no macro is called {name}{nearest(name, macros)}")


def check_required() -> None:
    for (scope, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items():
            if getattr(value, "scoped_selector", "") == "gin.REQUIRED/gin.constant":
                name = scope if selector == "gin.macro" else f"{short(selector)}.{argument}"
                raise ConfigError(f"{name} is not set; set it in a gin file or with -b '{name} = ...'")


def check_types() -> None:
    for (_, selector), arguments in gin_config._CONFIG.items():
        if selector == "gin.macro":
            continue
        hints = _hints(gin_config._REGISTRY[selector].wrapped)
        for argument, value in arguments.items():
            value, expected = resolved(value), hints.get(argument)
            if expected is not None and not _fits(value, expected):
                raise ConfigError(
                    f"{short(selector)}.{argument}: expected {_type_name(expected)}, got {value!r}; "
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
    if any(o not in (int, float, str, bool, type(None)) for o in options):
        return True
    if isinstance(value, bool):
        return bool in options
    return isinstance(value, tuple(options)) or (isinstance(value, int) and float in options)


def _type_name(expected: Any) -> str:
    return getattr(expected, "__name__", None) or str(expected).replace("typing.", "").replace("NoneType", "None")
