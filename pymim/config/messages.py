"""Shorten gin's messages to one line, and add the name that was probably meant."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
import tokenize
from collections.abc import Iterable

from gin import config as gin_config

from pymim.config.names import components


def explain(error: Exception) -> str:
    """Say in one line what gin refused, with the nearest known name."""
    if isinstance(error, tokenize.TokenError):
        return "a bracket or a quote is not closed"
    message = one_line(error)
    if match := re.search(r"Couldn't resolve selector (\S+?);.*?<module '([\w.]+)'", message):
        names = [name for name in dir(sys.modules.get(match[2])) if name[0].isupper()]
        return f"no component is called {match[1]}{nearest(match[1].split('.')[-1], names)}"
    if match := re.search(r"Configurable '(\S+)' doesn't have a parameter named '(\w+)'", message):
        return f"{match[1]} has no argument {match[2]}{nearest(match[2], _arguments(match[1]))}"
    if match := re.search(r"No configurable matching '(\S+?)'", message):
        return f"no component is called {match[1]}{nearest(match[1].split('.')[-1], components())}"
    if match := re.search(r"Unable to open file: (\S+?)[.,]? ", message):
        return f"cannot include {match[1]}: no such file"
    return _placed(message)


def _placed(message: str) -> str:
    """Keep the innermost file and line of the places that gin lists."""
    words, *trail = re.split(r' In (?:file "(.+?)",|bindings string) line (\d+) ', message)
    return f"{words} ({trail[0]}, line {trail[1]})" if trail and trail[0] else words


def unset(error: Exception) -> str | None:
    """Name the required argument that a component was built without; None for other errors."""
    match = re.search(
        r"(\w+)(?:\.__init__)?\(\) missing \d+ required \S+ arguments?: '(\w+)'", str(error)
    )
    if match is None:
        return None
    name = f"{match[1]}.{match[2]}"
    return f"{name} is not set; set it in a gin file or with -b '{name} = ...'"


def nearest(name: str, known: Iterable[str]) -> str:
    """Ask "did you mean X?" for the known name closest to `name`; empty if none is close."""
    by_letters = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=0.5)
    return f"; did you mean {by_letters[close[0]]}?" if close else ""


def own_text(error: BaseException) -> str:
    """Give an error's own text, without the call trace that gin appends."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(text).partition("\n  In call to configurable")[0]


def one_line(error: BaseException) -> str:
    """Give an error's own text in one line."""
    return " ".join(own_text(error).split())


def _arguments(selector: str) -> list[str]:
    return list(inspect.signature(gin_config._REGISTRY.get_match(selector).wrapped).parameters)
