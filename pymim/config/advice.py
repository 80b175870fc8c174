"""Who would read a binding that has no effect, and what to bind in its stead."""

from __future__ import annotations

from collections.abc import Sequence

from pymim.config.names import shown
from pymim.config.reads import Reads, Use, takes
from pymim.config.references import macro_name, references
from pymim.config.written import Binding


def nobody_reads(macro: Binding, read: Reads, written: Sequence[Binding]) -> str | None:
    """Say who would read a macro that nothing reads; None where it is read."""
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
    """Find the argument of the same name that a used component has, in the slot that `selector` was written for.

    Looks at what the slots hold now that a file gave to `selector`, then at used components of the same package.
    """
    slots = [slot for binding in written if _holds(binding, selector) for slot in _slots(binding, written)]
    held = [use for slot in slots for use in _held(slot, read)]
    package = selector.rpartition(".")[0]
    beside = [use for use in read.uses if use.selector.rpartition(".")[0] == package]
    for use in [*held, *beside]:
        if use.selector != selector and takes(use, argument):
            scope = read.uses[use][argument].scope if argument in read.uses[use] else ""
            return place_of(scope, use.selector, argument)
    return None


def place_of(scope: str, selector: str, argument: str) -> str:
    """Write what a binding names."""
    return f"{scope}/" * bool(scope) + f"{shown(selector)}.{argument}"


def _readers(macro: str, written: Sequence[Binding]) -> list[tuple[str, str, str]]:
    """What the bindings that read a macro bind, through other macros too."""
    found: dict[tuple[str, str, str], None] = {}
    wanted = [macro]
    for name in wanted:
        for binding in written:
            if name not in map(macro_name, references(binding.value)):
                continue
            if not binding.is_macro:
                found[binding.key] = None
            elif binding.scope not in wanted:
                wanted.append(binding.scope)  # the loop goes on with it
    return list(found)


def _taken(key: tuple[str, str, str], read: Reads) -> str:
    """Why an argument that a file binds to a macro does not read it."""
    _, selector, argument = key
    name = place_of(*key)
    values = [bound[argument] for use, bound in read.uses.items() if use.selector == selector and argument in bound]
    if not values:
        return f"{name}, which reads it in a file, is given by whatever calls {shown(selector)}; remove it"
    own = place_of(values[0].scope, selector, argument)
    return f"{name}, which a file binds to it, is {values[0].value!r} here; set {own}"


def _holds(binding: Binding, selector: str) -> bool:
    return any(reference.configurable.selector == selector for reference in references(binding.value))


def _slots(binding: Binding, written: Sequence[Binding]) -> list[tuple[str, str, str]]:
    return _readers(binding.scope, written) if binding.is_macro else [binding.key]


def _held(slot: tuple[str, str, str], read: Reads) -> list[Use]:
    """What a slot holds in this configuration, and all below it."""
    _, selector, argument = slot
    holders = [use for use in read.uses if use.selector == selector]
    found = [inner for use in holders for name, inner in read.below[use] if name == argument]
    for use in found:
        found += [inner for _, inner in read.below[use] if inner not in found]
    return found
