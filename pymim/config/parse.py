"""Parse gin files and bindings, and build objects; refuse errors in one line."""

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

_ERRORS = (
    SyntaxError,
    tokenize.TokenError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OSError,
    NameError,
)


def load(files: Sequence[str], bindings: Sequence[str] = ()) -> str:
    """Parse the files left to right, then the bindings; the last value wins.

    Returns the whole configuration as one gin text. Raises: ConfigError.
    """
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
    """Parse one more binding over the loaded configuration.

    Returns the whole configuration as one gin text. Raises: ConfigError.
    """
    _parse(source(binding), f"-b {binding!r}")
    return str(gin.config_str())


def build(selector: str, slot: str | None = None) -> Any:
    """Build the component `selector`, or the component in one of its slots, and all below it.

    Raises: ConfigError if a component refuses its arguments.
    """
    with _refusing():
        if slot is None:
            return gin.get_configurable(selector)()
        return gin.query_parameter(f"{selector}.{slot}").scoped_configurable_fn()


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a component's refusal while it is built into a ConfigError of one line."""
    try:
        yield
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        where = "" if is_refusal(error) else "; -v shows where"
        raise ConfigError(unset(error) or one_line(error) + where) from error


def parts(selector: str, slot: str) -> list[Any]:
    """Build the one or several objects in a slot; an empty list if nothing is bound to it."""
    bound = value(selector, slot, ())
    references = bound if isinstance(bound, tuple | list) else (bound,)
    with _refusing():
        made = [reference.scoped_configurable_fn() for reference in references]
    return [part for one in made for part in (one if isinstance(one, Iterable) else (one,))]


def value(selector: str, argument: str, default: Any) -> Any:
    """Give the value an argument is bound to, with macros resolved, or `default`."""
    try:
        return resolved(gin.query_parameter(f"{selector}.{argument}"))
    except ValueError:
        return default


def operative() -> str:
    """Write every value the build used, defaults included, as gin text.

    The text parses back to the same run.
    """
    return str(gin.operative_config_str())


def _parse(text: str, place: str) -> None:
    try:
        with checked():
            gin.parse_config(text)
    except _ERRORS as error:
        raise ConfigError(f"{place}: {explain(error)}") from error
    except ImportError as error:
        raise ConfigError(
            f"{place}: {explain(error)}; check the import lines of the gin file"
        ) from error
