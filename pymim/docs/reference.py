"""Write the reference of every argument that a gin file can bind, a page for each slot.

It is made from signatures and docstrings: what is wrong on a page is mended in the code.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

from pymim.config.names import offering
from pymim.docs.meanings import split

Component = Callable[..., Any]

NO_KNOBS = {
    "data.Sample",
    "data.Subset",
    "stages.Stage",
}  # records and wrappers that pymim makes by itself
FUNCTIONS = {"data.measured"}  # all other functions of the slots are for Python
WRITTEN_AS = {"objective.Objective": "method.Objective"}  # in gin files
UNKNOWN = "not described yet."
_WRITTEN = "Written by `pymim docs` from signatures and docstrings: edit those, not this page."


@functools.cache
def pages() -> dict[str, str]:
    """Write every page of the reference: Markdown by file name."""
    slots = {slot: found for slot in offering() if (found := components(slot))}
    index = [
        f"- [{slot}]({slot}.md): {_first(slot)}\n  {_links(slot, found)}"
        for slot, found in slots.items()
    ]
    head = f"# Every argument that a gin file can bind\n\n{_WRITTEN}\n"
    return {"README.md": "\n".join([head, *index, ""])} | {
        f"{slot}.md": page(slot) for slot in slots
    }


def page(slot: str) -> str:
    """Write one slot: what its package says of itself, then each component."""
    found = components(slot)
    doc = inspect.getdoc(_module(slot)) or ""
    parts = [f"# {slot}", _WRITTEN, doc]
    return "\n\n".join([*parts, *(described(name, found[name]) for name in found)]) + "\n"


def components(slot: str) -> dict[str, Component]:
    """List what a gin file can name in a slot, by the name that it writes."""
    found = {}
    for name, value in sorted(vars(_module(slot)).items()):
        whole = f"{slot}.{name}"
        if whole in FUNCTIONS or (_is_component(value, slot) and whole not in NO_KNOBS):
            found[WRITTEN_AS.get(whole, whole)] = value
    return found


def undescribed() -> list[str]:
    """List the arguments that no docstring explains."""
    return [
        f"{name}.{argument}"
        for slot in offering()
        for name, component in components(slot).items()
        for argument, meaning in _meanings(component)[1].items()
        if meaning == UNKNOWN
    ]


def _is_component(value: Any, slot: str) -> bool:
    """Say whether it is a public class of the slot, and one that is built, not raised."""
    if not inspect.isclass(value) or not f"{value.__module__}.".startswith(f"pymim.{slot}."):
        return False
    built = not issubclass(value, BaseException) and not getattr(value, "_is_protocol", False)
    return built and value.__name__[0] != "_"


def described(name: str, component: Component) -> str:
    text, meanings = _meanings(component)
    parameters = inspect.signature(component).parameters.values()
    arguments = [
        f"- `{_written(parameter)}`: {meanings[parameter.name]}" for parameter in parameters
    ]
    return "\n\n".join([f"## {name}", text, *(["\n".join(arguments)] if arguments else [])])


def _meanings(component: Component) -> tuple[str, dict[str, str]]:
    """Give the text of a docstring, and what each argument means."""
    arguments = list(inspect.signature(component).parameters)
    text, found = split(inspect.getdoc(component) or "", arguments)
    return text, {argument: found.get(argument, UNKNOWN) for argument in arguments}


def _written(parameter: inspect.Parameter) -> str:
    """Write an argument as in a signature: its name, type and default."""
    kind = parameter.annotation
    kind = (
        kind
        if isinstance(kind, str)
        else getattr(kind, "__forward_arg__", inspect.formatannotation(kind))
    )
    if parameter.default is parameter.empty:
        return f"{parameter.name}: {kind}"
    return f"{parameter.name}: {kind} = {_default(parameter.default)}"


def _default(value: Any) -> str:
    """Write a default: a class by its name, a long fraction to four digits."""
    if inspect.isclass(value):
        return value.__name__
    return re.sub(r"\d+\.\d{6,}", lambda found: f"{float(found[0]):.4g}", repr(value))


def _first(slot: str) -> str:
    """Take the first sentence of a package's docstring."""
    return (inspect.getdoc(_module(slot)) or "").partition("\n\n")[0].replace("\n", " ")


def _links(slot: str, found: dict[str, Component]) -> str:
    anchors = {
        name: re.sub("[^a-z0-9]", "", name.lower()) for name in found
    }  # as GitHub makes them
    return ", ".join(
        f"[{name.partition('.')[2]}]({slot}.md#{anchor})" for name, anchor in anchors.items()
    )


def _module(slot: str) -> Any:
    return importlib.import_module(f"pymim.{slot}")
