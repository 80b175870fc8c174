"""What a run measured of its data, kept in its config.gin and used ever after."""

from __future__ import annotations

from pathlib import Path

NAME = "data.measured"


def once(text: str, root: str, saved: Path) -> str:
    """Bind the mean and deviation of the data in the configuration that is loaded; give its text.

    They are those in `saved`, the config.gin of a run that goes on, or are measured now. Nothing is bound where the
    configuration measures none, has them already, or measures several data.
    """
    from pymim import config

    uses = {use: bound for use, bound in config.reads(root).uses.items() if use.selector == f"pymim.{NAME}"}
    scopes = {one.scope for bound in uses.values() for one in bound.values()}
    if not uses or scopes - {""} or f"{NAME}.known" in config.bindings(text):
        return text
    before = config.bindings(saved.read_text()) if saved.exists() else {}
    found = before.get(f"{NAME}.known") or repr(config.build(NAME))
    return text if found.startswith(("'", '"')) else config.add(f"{NAME}.known={found}")
