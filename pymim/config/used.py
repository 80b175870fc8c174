"""Check after a build that every binding of the command line and the last file had an effect."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pymim.config.advice import instead_of, nobody_reads, place_of
from pymim.config.files import find
from pymim.config.messages import nearest
from pymim.config.names import shown
from pymim.config.reads import Bound, Reads, reads
from pymim.config.references import references
from pymim.config.written import Binding, in_file, loaded, on_line
from pymim.errors import ConfigError

NO_SCOPE = "a macro has no scope; bind the argument that reads it in that scope"


def check_used(
    files: Sequence[str],
    bindings: Sequence[str] = (),
    root: str = "train.Trainer",
    taken: Collection[str] = (),
) -> None:
    """Refuse a binding of the command line, or of the last file, that has no effect.

    taken: macros that the configuration of another stage reads.

    If only a part of `root` was built, or nothing yet, the references decide. A file may define
    macros for other files. A binding in a file may be unused if that file or an include refers to
    its component: the command line may have replaced the component.

    Raises: ConfigError, with the component that would read the binding, if there is one.
    """
    read = reads(root)
    texts = [in_file(find(name)) for name in files]
    written = [*(binding for text in texts for binding in text), *loaded()]
    for binding in [each for each in on_line(bindings) if each.name not in taken]:
        judge = nobody_reads if binding.is_macro else _without_effect
        if wrong := judge(binding, read, written):
            raise ConfigError(f"{binding.place}: {wrong}")
    last = str(find(files[-1])) if files else None
    for binding in [each for each in written if each.place == last]:
        if _is_stale(binding, read, texts[-1]):
            scoped = f"{binding.name}: {NO_SCOPE}"
            wrong = scoped if binding.is_macro else _without_effect(binding, read, written)
            raise ConfigError(f"{last}: {wrong}")


def repeated(bindings: Sequence[str]) -> list[str]:
    """Report bindings of the command line that a later one sets to another value."""
    lines = on_line(bindings)
    last = {binding.key: binding for binding in lines}
    early = [(each, last[each.key]) for each in lines if each.value != last[each.key].value]
    return [
        f"{binding.place} has no effect: {later.place} binds the same" for binding, later in early
    ]


def _is_stale(binding: Binding, read: Reads, text: Sequence[Binding]) -> bool:
    """Say whether a file's binding has no effect, for a reason other than the command line."""
    if binding.is_macro:
        return "/" in binding.name and binding.name not in read.macros
    return not _inside(binding, read) and not _refers_to(text, binding)


def _without_effect(binding: Binding, read: Reads, written: Sequence[Binding]) -> str | None:
    nobody = f"{binding.name}: nothing in this configuration uses it"
    scopes = sorted(use.scope for use in read.uses if use.selector == binding.selector)
    if not scopes:
        place = instead_of(binding.selector, binding.argument, read, written)
        return f"{nobody}; {f'set {place}' if place else 'remove it, or use its component'}"
    if not any(_covers(binding.scope, scope) for scope in scopes):
        return nobody + _other_scope(binding, scopes, read)
    winners = {bound.scope for bound in _inside(binding, read)}
    if not winners:
        place = _by_caller(binding, read)
        remedy = f"set {place}" if place else "remove it"
        return f"{nobody}: the caller of {shown(binding.selector)} sets it; {remedy}"
    if binding.scope in winners:
        return None
    own = sorted(place_of(scope, binding.selector, binding.argument) for scope in winners)
    kind = shown(binding.selector)
    return f"{binding.name}: every {kind} in use has a value of its own; set {' or '.join(own)}"


def _covers(scope: str, inner: str) -> bool:
    """Say whether a binding in `scope` is valid in the scope `inner`."""
    return not scope or f"{inner}/".startswith(f"{scope}/")


def _inside(binding: Binding, read: Reads) -> list[Bound]:
    """List the argument's bindings in every use of the component that the scope covers."""
    uses = [
        use
        for use in read.uses
        if use.selector == binding.selector and _covers(binding.scope, use.scope)
    ]
    return [read.uses[use][binding.argument] for use in uses if binding.argument in read.uses[use]]


def _other_scope(binding: Binding, scopes: Sequence[str], read: Reads) -> str:
    """Give the remedy if a component is used, but not in the binding's scope."""
    for use, remedy in read.outside.items():
        if use == (binding.scope, binding.selector):
            return f": {remedy}"
    places = [place_of(scope, binding.selector, binding.argument) for scope in scopes]
    return nearest(binding.scope, filter(None, scopes)) or f"; set {' or '.join(places)}"


def _by_caller(binding: Binding, read: Reads) -> str | None:
    """Find the argument of the same name in a component that refers to the binding's component."""
    for use, below in read.below.items():
        if (
            any(inner.selector == binding.selector for _, inner in below)
            and binding.argument in read.uses[use]
        ):
            return f"{shown(use.selector)}.{binding.argument}"
    return None


def _refers_to(text: Sequence[Binding], binding: Binding) -> bool:
    """Say whether a file refers to the component of one of its bindings, in the same scope."""
    found = [(reference, each.is_macro) for each in text for reference in references(each.value)]
    scopes = {"/".join(reference.scopes) for reference, _ in found}
    for reference, in_macro in found:
        scope = "/".join(reference.scopes)
        inherits = not scope and reference.evaluate and not in_macro and binding.scope in scopes
        fits = not binding.scope or scope == binding.scope or inherits
        if reference.configurable.selector == binding.selector and fits:
            return True
    return False
