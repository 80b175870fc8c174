"""Read the bindings that a command line and gin files contain, with the components they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gin import config as gin_config
from gin import config_parser

from pymim.config.files import located
from pymim.config.line import quoted
from pymim.config.names import importable, imports, shown
from pymim.config.references import MACRO
from pymim.config.trust import checked


class Binding(NamedTuple):
    """Hold one assignment: `scope/selector.argument = value`, or `NAME = value` of a macro."""

    name: str  # the left side as written, or the macro's name
    scope: str  # for a macro, its name
    selector: str  # the full name, with modules
    argument: str
    value: Any
    place: str

    @property
    def is_macro(self) -> bool:
        """Whether the binding defines a macro."""
        return self.selector == MACRO

    @property
    def key(self) -> tuple[str, str, str]:
        """The scope, selector and argument that the binding sets."""
        return self.scope, self.selector, self.argument


def on_line(bindings: Sequence[str]) -> list[Binding]:
    """Read the bindings of a command line; their modules must be loaded."""
    return [found for line in bindings for found in _read(source(line), f"-b {line!r}")]


def in_file(path: Path) -> list[Binding]:
    """Read the bindings of a loaded gin file, with those of its includes in their places."""
    return list(_read(path.read_text(), str(path), path.parent))


def loaded() -> list[Binding]:
    """List every binding of the loaded configuration, from any file or command line."""
    return [
        Binding("", scope, selector, argument, value, "")
        for (scope, selector), values in gin_config._CONFIG.items()
        for argument, value in values.items()
    ]


def source(line: str) -> str:
    """Write one binding of a command line as gin text, with the imports it needs.

    A component is named with its package, encoders.ViT. Once a file has used it, ViT is enough.
    """
    text = quoted(line)
    alone = re.match(r"((?:[\w/]*/)?)([A-Z]\w*)(\..*)", text, re.DOTALL)
    if alone is None:
        return imports() + text + "\n"
    found = gin_config._REGISTRY.matching_selectors(alone[2])
    package = shown(found[0]).rpartition(".")[0] if len(found) == 1 else ""
    if package not in importable():
        return text + "\n"  # a component of a user's own module, or an unknown one
    return f"{imports()}{alone[1]}{package}.{alone[2]}{alone[3]}\n"


def _read(text: str, place: str, folder: Path | None = None) -> Iterator[Binding]:
    """Read all statements of one text together: gin resolves names by the imports of that text."""
    included: list[Binding] = []
    with checked(), gin_config._parse_scope() as context:
        for statement in config_parser.ConfigParser(text, gin_config.ParserDelegate()):
            if isinstance(statement, config_parser.ImportStatement):
                context.process_import(statement)
            elif isinstance(statement, config_parser.IncludeStatement):
                included += in_file(_found(statement.filename, folder))
            elif isinstance(statement, config_parser.BindingStatement):
                included.append(_binding(statement, context, place))
    return iter(included)


def _found(name: str, folder: Path | None) -> Path:
    path = located(name, *([folder] if folder else ()))
    assert path is not None, "it was loaded"
    return path


def _binding(statement: Any, context: Any, place: str) -> Binding:
    scope, selector, argument, value, _ = statement
    name = f"{scope}/{selector}" if scope else selector
    if not argument:
        return Binding(name, name, MACRO, "value", value, place)
    return Binding(
        f"{name}.{argument}",
        scope,
        context.get_configurable(selector).selector,
        argument,
        value,
        place,
    )
