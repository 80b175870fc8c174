"""Keep the statistics a run measured of its data in its config.gin, for every later use."""

from __future__ import annotations

from pathlib import Path

NAME = "data.measured"


def once(text: str, root: str, saved: Path) -> str:
    """Bind the data's mean and deviation in the loaded configuration; return its text.

    They come from `saved`, the config.gin of a resumed run, or are measured now. Nothing is bound
    if the configuration measures no data, has the statistics already, or measures several sources.
    """
    from pymim import config

    uses = {
        use: bound
        for use, bound in config.reads(root).uses.items()
        if use.selector == f"pymim.{NAME}"
    }
    scopes = {one.scope for bound in uses.values() for one in bound.values()}
    if not uses or scopes - {""} or f"{NAME}.known" in config.bindings(text):
        return text
    before = config.bindings(saved.read_text()) if saved.exists() else {}
    found = before.get(f"{NAME}.known") or repr(config.build(NAME))
    return text if found.startswith(("'", '"')) else config.add(f"{NAME}.known={found}")
