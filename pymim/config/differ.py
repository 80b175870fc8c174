"""Compare two configurations, each given as gin text."""

from __future__ import annotations

import re

SHOWN = 5


def changed(before: str, now: str) -> list[str]:
    """List the first few changed bindings, macros first: "DIM = 48, was 96"."""
    old, new = bindings(before), bindings(now)
    names = sorted(
        (name for name in old.keys() | new.keys() if old.get(name) != new.get(name)),
        key=lambda name: ("." in name, name),
    )
    said = [f"{name} = {new.get(name, 'unset')}, was {old.get(name, 'unset')}" for name in names]
    return said[:SHOWN] + [f"and {len(said) - SHOWN} more"] * (len(said) > SHOWN)


def bindings(text: str) -> dict[str, str]:
    """Read every binding of a gin text: its name, and its value in one line."""
    found = re.findall(r"^([\w./]+) *= *(.*(?:\n[ \t]+.*)*)", text, re.MULTILINE)
    return {name: re.sub(r"\s*\\?\n\s*", " ", value).strip() for name, value in found}
