"""The shipped gin files, grouped: what `--list` prints and gin/README.md shows.

The comment that opens a file is the only source. A method's first line is `# Family: NAME`. Then
comes a paragraph that says what the method does, with its citation; it ends at an empty comment
line. `pymim.run --gin FILE: 3 minutes on two cores ...` says how long its own short run takes.
"""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from pymim.config.files import folders

# In this order, each with what a run of minutes shows of it: README.md has the figures.
FAMILIES = {
    "masked images": "linear probe and fine-tuning gain over the untrained encoder; "
    "by k-NN raw pixels are better",
    "masked clips": "probes of motion stay near the untrained encoder's: "
    "such a run shows that it works, no more",
    "masked features": "probes gain a little over the untrained encoder",
    "clustering": "probes gain over the untrained encoder; clusters agree little with classes yet",
    "self-distillation": "all probes gain over the untrained encoder",
    "contrast": "not measured by itself; SCAN begins from it",
}
# Folders of gin files that are no methods, in this order.
FOLDERS = {
    "recipe": "recipes: the papers' settings at full scale",
    "recipe/finetune": "fine-tuning as in the papers, of a run",
    "recipe/probe": "probes as in the papers, of a run",
    "model": "models: include one, or add it on the command line",
    "data": "data: include one, or add it on the command line",
}
_FAMILY = "Family: "
_TIME = re.compile(r"pymim\.run --gin \S+: ([\d.]+ min(?:utes?)?(?: \d+ s)?)")


class Shipped(NamedTuple):
    """Hold one shipped file: its name for `--gin`, its group, what it is, and its minutes.

    The minutes are those on two cores; "" if unknown.
    """

    name: str
    group: str
    line: str
    time: str


def shipped() -> list[Shipped]:
    """List every shipped file, group by group; a checkout's file comes before the installed one."""
    files = {
        file.relative_to(folder): file
        for folder in reversed(folders())
        for file in folder.rglob("*.gin")
    }
    found = [_described(name, file) for name, file in files.items() if name != Path("base.gin")]
    groups = [*FAMILIES, *FOLDERS.values(), *sorted({each.group for each in found})]
    return sorted(found, key=lambda each: (groups.index(each.group), each.name))


def describe_shipped() -> list[str]:
    """Give the lines of `--list`: each group's name, then one line for each of its files."""
    files = shipped()
    width = max((len(each.name) for each in files), default=0)
    lines: list[str] = []
    for group in dict.fromkeys(each.group for each in files):
        lines += [
            "",
            group,
            *(f"  {each.name:{width}}  {each.line}" for each in files if each.group == group),
        ]
    return lines[1:]


def _described(name: Path, file: Path) -> Shipped:
    comment = [
        line.lstrip("# ")
        for line in takewhile(lambda line: line[:1] == "#", file.read_text().splitlines())
    ]
    folder = name.parent.as_posix()
    family = (
        comment.pop(0).removeprefix(_FAMILY) if "".join(comment[:1]).startswith(_FAMILY) else ""
    )
    time = _TIME.search("\n".join(comment))
    group = family or FOLDERS.get(folder, "others")
    line = " ".join(takewhile(bool, comment))
    return Shipped(name.with_suffix("").as_posix(), group, line, time[1] if time else "")
