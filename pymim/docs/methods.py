"""Write gin/README.md: every shipped gin file, grouped as `--list` groups them."""

from __future__ import annotations

from itertools import groupby

from pymim.config import FAMILIES, shipped
from pymim.config.catalogue import Shipped

_HEAD = """# What is shipped

Written by `pymim docs` from the comment that opens each file: edit those, not this page.
`--list` prints the same.

A method runs as it stands, on embedded pictures or clips:

```bash
python -m pymim.run --gin gin/mae.gin
```

Minutes are those of that run on two cores of an AMD EPYC, probes included. A method without them
was timed together with others: see the [examples](../examples). Accuracies are in the
[README](../README.md#methods).

A recipe has the paper's own numbers, each with its source. It needs the paper's data, by
`-b DATA=some/folder`, and its GPUs.

Fine-tuning and probes of the papers take the encoder of a finished run:

```bash
python -m pymim.run --mode eval --workdir RUN --gin RUN/config.gin --gin gin/recipe/finetune/mae.gin
```

A model or data file is given after a method's, as in
`--gin gin/recipe/mae.gin --gin gin/model/base.gin`, or is included by it. What all methods share is
in [base.gin](base.gin)."""


def page() -> str:
    """Write the page, a table for each group."""
    groups = groupby(shipped(), key=lambda each: each.group)
    return "\n\n".join([_HEAD, *(_table(group, list(files)) for group, files in groups)]) + "\n"


def _table(group: str, files: list[Shipped]) -> str:
    if group not in FAMILIES:
        rows = [f"| [{each.name}]({each.name}.gin) | {_cell(each.line)} |" for each in files]
        return "\n".join([f"## {_capital(group)}", "", "| file | what |", "|---|---|", *rows])
    head = ["| method | command | minutes |", "|---|---|---|"]
    rows = [f"| {_cell(each.line)} | `--gin gin/{each.name}.gin` | {each.time} |" for each in files]
    expected = f"What a run of minutes shows: {FAMILIES[group]}."
    return "\n".join([f"## {_capital(group)}", "", expected, "", *head, *rows])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
