"""Read gin files and bindings as they are written on a command line."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gin import config as gin_config
from gin import config_parser

from pymim.config.audit import defined
from pymim.config.fits import fits
from pymim.config.slots import expected_by
from pymim.errors import ConfigError


class Reference(NamedTuple):
    """Hold a reference on a command line: @name, @name() or %name."""

    name: str
    mark: str


class _Marks(config_parser.ParserDelegate):  # type: ignore[misc]
    """Keep references as written: the module of a name may not be imported yet."""

    def configurable_reference(self, name: str, evaluate: bool) -> Reference:
        return Reference(name, "@()" if evaluate else "@")

    def macro(self, name: str) -> Reference:
        return Reference(name, "%")


def quoted(binding: str) -> str:
    """Quote the value of NAME=VALUE if it is text, since gin reads text only in quotes.

    A value is text if NAME takes text, and gin cannot read the value or reads a number, True or
    None. So DATA may be a folder called `my photos`, `2024` or `None`. A bare word is always text.

    Raises: ConfigError if the '=', a valid name, or the value is missing.
    """
    name, equals, value = binding.partition("=")
    name, value = name.strip(), value.strip()
    if not equals:
        raise ConfigError(
            f"-b {binding!r}: expected NAME=VALUE, got no '='; write it as -b 'NAME=VALUE'"
        )
    if not re.fullmatch(r"(\w+/)*[A-Za-z_]\w*(\.\w+)*", name):
        raise ConfigError(
            f"-b {binding!r}: expected NAME=VALUE, got {name!r} as the name; "
            "write NAME or component.argument"
        )
    if not value:
        raise ConfigError(
            f"-b {binding!r}: expected NAME=VALUE, got no value; leave it out, or give one"
        )
    return f"{name} = {value!r}" if _is_text(value, expected_by(name)) else f"{name} = {value}"


def _is_text(value: str, expected: Sequence[Any]) -> bool:
    takes_text = any(fits("text", each) for each in expected)
    try:
        read = _read(value)
    except (SyntaxError, tokenize.TokenError, ValueError):
        return takes_text or re.fullmatch(r"[A-Za-z_.~/][\w./~+:-]*", value) is not None
    if isinstance(read, Reference):
        return takes_text and _names_nothing(read)
    return takes_text and not any(
        fits(read, each, lambda part: isinstance(part, Reference)) for each in expected
    )


def _names_nothing(read: Reference) -> bool:
    """Say whether a reference is a file name, and not a misspelt component or macro.

    Components and macros have capitals or dots.
    """
    if read.mark == "%":
        return read.name not in defined() and not read.name.isupper() and "." not in read.name
    return (
        read.mark == "@"
        and "." not in read.name
        and not gin_config._REGISTRY.matching_selectors(read.name)
    )


def _read(value: str) -> Any:
    """Parse a value as gin does.

    Raises: SyntaxError, TokenError or ValueError if the text is not one gin value.
    """
    tokens = tokenize.generate_tokens(io.StringIO(value).readline)
    if any(token.type == tokenize.COMMENT for token in tokens):
        raise ValueError("a comment on a command line")
    parser = config_parser.ConfigParser(value, _Marks())
    found = parser.parse_value()
    if parser.current_token.type not in (tokenize.NEWLINE, tokenize.ENDMARKER):
        raise ValueError(f"left over: {parser.current_token.string}")
    return found


def flags(words: Iterable[str]) -> list[str]:
    """Put the option before each word: --gin before a file, -b before a binding."""
    return [part for word in words for part in ("--gin" if word.endswith(".gin") else "-b", word)]
