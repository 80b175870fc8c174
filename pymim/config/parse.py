"""Gin files and bindings to objects; what is wrong with them is refused with one clear line."""

from __future__ import annotations

import importlib.util  # noqa: F401 - gin needs it imported and does not do so itself
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gin

from pymim.config.audit import check_macros, check_names, check_required, check_types, defined
from pymim.config.files import find, read_from
from pymim.config.messages import explain, one_line, unset
from pymim.config.references import resolved
from pymim.config.trust import checked
from pymim.config.written import source
from pymim.errors import ConfigError, is_refusal

_ERRORS = (SyntaxError, tokenize.TokenError, ValueError, TypeError, KeyError, AttributeError, OSError, NameError)


def load(files: Sequence[str], bindings: Sequence[str] = ()) -> str:
    """Parses files left to right, then bindings; the last wins. Gives the configuration as one gin text."""
    gin.clear_config()
    paths = [find(name) for name in files]
    for path in paths:
        read_from(path.resolve().parent)
        _parse(f"include {str(path.resolve())!r}\n", str(path))
    known = defined()
    for binding in bindings:
        _parse(source(binding), f"-b {binding!r}")
    check_names(bindings, known)
    check_macros()
    check_required()
    check_types()
    return str(gin.config_str())


def add(binding: str) -> str:
    """Parse one more binding over what is loaded. Gives the configuration as one gin text."""
    _parse(source(binding), f"-b {binding!r}")
    return str(gin.config_str())


def build(selector: str, slot: str | None = None) -> Any:
    """The object that `selector`, or one slot of it, is the root of, with everything below it."""
    with _refusing():
        if slot is None:
            return gin.get_configurable(selector)()
        return gin.query_parameter(f"{selector}.{slot}").scoped_configurable_fn()


@contextmanager
def _refusing() -> Iterator[None]:
    """Refuse in one line what a component refuses while it is built."""
    try:
        yield
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        where = "" if is_refusal(error) else "; -v shows where"
        raise ConfigError(unset(error) or one_line(error) + where) from error


def parts(selector: str, slot: str) -> list[Any]:
    """The objects that a slot holds, one or several; none where nothing is bound to it."""
    bound = value(selector, slot, ())
    references = bound if isinstance(bound, tuple | list) else (bound,)
    with _refusing():
        made = [reference.scoped_configurable_fn() for reference in references]
    return [part for one in made for part in (one if isinstance(one, Iterable) else (one,))]


def value(selector: str, argument: str, default: Any) -> Any:
    """What one argument is bound to, macros resolved."""
    try:
        return resolved(gin.query_parameter(f"{selector}.{argument}"))
    except ValueError:
        return default


def operative() -> str:
    """Every value the build used, defaults included; parses back to the same run."""
    return str(gin.operative_config_str())


def _parse(text: str, place: str) -> None:
    try:
        with checked():
            gin.parse_config(text)
    except _ERRORS as error:
        raise ConfigError(f"{place}: {explain(error)}") from error
    except ImportError as error:
        raise ConfigError(f"{place}: {explain(error)}; check the import lines of the gin file") from error
