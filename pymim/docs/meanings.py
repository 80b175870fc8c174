"""What a docstring says of each argument.

Two forms are understood, in an `Args:` section or in a paragraph of its own:

    name, other: meaning, which may go on in the next line. third: another meaning.

What is left is the text about the component as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_HEAD = "Args:"


def split(doc: str, arguments: Collection[str]) -> tuple[str, dict[str, str]]:
    """Split a docstring into its text and the meanings of those `arguments` that it describes."""
    text: list[str] = []
    entries: list[str] = []
    for paragraph in re.split(r"\n\s*\n", doc):
        left, found = _paragraph(paragraph.splitlines(), arguments)
        entries += found
        text += ["\n".join(left)] if left else []
    return "\n\n".join(text), _meanings(entries, arguments)


def _paragraph(lines: list[str], arguments: Collection[str]) -> tuple[list[str], list[str]]:
    """Take the lines of text of one paragraph, and its entries, each as one line."""
    text: list[str] = []
    entries: list[str] = []
    inside = False
    for line in lines:
        if line == _HEAD:
            continue
        if _labels(line.strip(), arguments):
            inside = True
            entries.append(line.strip())
        elif inside and _goes_on(line, entries[-1]):
            entries[-1] += " " + line.strip()
        else:
            inside = False
            text.append(line)
    return text, entries


def _goes_on(line: str, entry: str) -> bool:
    """Say whether a line continues the entry before it.

    It does if it is indented, or if the entry has no full stop at its end.
    """
    return line[:1].isspace() or not entry.endswith(".")


def _labels(text: str, arguments: Collection[str]) -> list[str]:
    """List the names that an entry begins with; none where they are no arguments."""
    found = re.match(r"(\w+(?:, \w+)*): ", text)
    names = found[1].split(", ") if found else []
    return names if all(name in arguments for name in names) else []


def _meanings(entries: list[str], arguments: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        possible = [at.start() for at in re.finditer(r"(?:^|(?<=[.;] ))\w", entry)]
        starts = [start for start in possible if _labels(entry[start:], arguments)]
        for start, end in zip(starts, [*starts[1:], len(entry)], strict=True):
            names, _, meaning = entry[start:end].partition(": ")
            found |= dict.fromkeys(names.split(", "), _ended(meaning.strip()))
    return found


def _ended(meaning: str) -> str:
    return meaning.rstrip(";.") + "."
