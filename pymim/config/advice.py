"""Explain a binding without effect: which component would read it, and what to bind instead."""

from __future__ import annotations

from collections.abc import Sequence

from pymim.config.names import shown
from pymim.config.reads import Reads, Use, takes
from pymim.config.references import macro_name, references
from pymim.config.written import Binding


def nobody_reads(macro: Binding, read: Reads, written: Sequence[Binding]) -> str | None:
    """Name the components that would read an unused macro; None if the macro is read."""
    name = macro.name
    if name in read.macros:
        return None
    readers = _readers(name, written)
    used = {use.selector for use in read.uses}
    taken = [key for key in readers if key[1] in used]
    if taken:
        return f"{name}: {_taken(taken[0], read)}"
    if not readers:
        return f"nothing in this configuration reads {name}; remove it"
    parts = " and ".join(sorted({shown(selector) for _, selector, _ in readers}))
    places = [instead_of(selector, argument, read, written) for _, selector, argument in readers]
    remedy = next((f"set {place}" for place in places if place), "remove it, or use its component")
    return f"{name} is read by {parts}, which this configuration does not use; {remedy}"


def instead_of(selector: str, argument: str, read: Reads, written: Sequence[Binding]) -> str | None:
    """Find a used component with the same argument, in the slot `selector` was written for.

    The search covers what those slots hold now, then the used components of the same package. None
    if there is no such argument.
    """
    slots = [
        slot
        for binding in written
        if _holds(binding, selector)
        for slot in _slots(binding, written)
    ]
    held = [use for slot in slots for use in _held(slot, read)]
    package = selector.rpartition(".")[0]
    beside = [use for use in read.uses if use.selector.rpartition(".")[0] == package]
    for use in [*held, *beside]:
        if use.selector != selector and takes(use, argument):
            scope = read.uses[use][argument].scope if argument in read.uses[use] else ""
            return place_of(scope, use.selector, argument)
    return None


def place_of(scope: str, selector: str, argument: str) -> str:
    """Write the left side of a binding: scope/component.argument."""
    return f"{scope}/" * bool(scope) + f"{shown(selector)}.{argument}"


def _readers(macro: str, written: Sequence[Binding]) -> list[tuple[str, str, str]]:
    """List the arguments that read a macro, directly or through other macros."""
    found: dict[tuple[str, str, str], None] = {}
    wanted = [macro]
    for name in wanted:
        for binding in written:
            if name not in map(macro_name, references(binding.value)):
                continue
            if not binding.is_macro:
                found[binding.key] = None
            elif binding.scope not in wanted:
                wanted.append(binding.scope)  # the loop visits what is appended here
    return list(found)


def _taken(key: tuple[str, str, str], read: Reads) -> str:
    """Explain why an argument that a file binds to a macro takes another value."""
    _, selector, argument = key
    name = place_of(*key)
    values = [
        bound[argument]
        for use, bound in read.uses.items()
        if use.selector == selector and argument in bound
    ]
    if not values:
        return f"a file binds {name} to it, but the caller of {shown(selector)} sets it; remove it"
    own = place_of(values[0].scope, selector, argument)
    return f"a file binds {name} to it, but it is {values[0].value!r} here; set {own}"


def _holds(binding: Binding, selector: str) -> bool:
    return any(
        reference.configurable.selector == selector for reference in references(binding.value)
    )


def _slots(binding: Binding, written: Sequence[Binding]) -> list[tuple[str, str, str]]:
    return _readers(binding.scope, written) if binding.is_macro else [binding.key]


def _held(slot: tuple[str, str, str], read: Reads) -> list[Use]:
    """List the components in a slot of this configuration, and all components below them."""
    _, selector, argument = slot
    holders = [use for use in read.uses if use.selector == selector]
    found = [inner for use in holders for name, inner in read.below[use] if name == argument]
    for use in found:
        found += [inner for _, inner in read.below[use] if inner not in found]
    return found
