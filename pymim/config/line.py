"""Gin files and bindings as they are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pymim.errors import ConfigError


def quoted(binding: str) -> str:
    """Quote the value of NAME=VALUE where it is a bare word or a path, for which gin wants a string.

    Raises: ConfigError where there is no '='.
    """
    name, equals, value = binding.partition("=")
    if not equals:
        raise ConfigError(f"-b {binding!r}: expected NAME=VALUE, got no '='; write it as -b 'NAME=VALUE'")
    value = value.strip()
    bare = re.fullmatch(r"[A-Za-z_.~/][\w./~+:-]*", value) and value not in ("True", "False", "None")
    return f"{name.strip()} = {value!r}" if bare else f"{name.strip()} = {value}"


def flags(words: Iterable[str]) -> list[str]:
    """Put its option before each word: --gin before a file, -b before a binding."""
    return [part for word in words for part in ("--gin" if word.endswith(".gin") else "-b", word)]
