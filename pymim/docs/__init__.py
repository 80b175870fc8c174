"""pymim docs [DIR]: write the reference of every argument that a gin file can bind.

In a checkout it writes docs/reference/ and gin/README.md, the list of shipped gin files. With DIR
it writes the reference there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pymim
from pymim.docs import methods, reference
from pymim.errors import ConfigError
from pymim.io.disk import write_whole


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(prog="pymim docs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("to", nargs="?", type=Path, metavar="DIR", help="where the reference goes")
    to = parser.parse_args(words).to
    files = (
        {to / name: text for name, text in reference.pages().items()}
        if to
        else committed(checkout())
    )
    for path, text in files.items():
        write_whole(path, text)
        print(path)  # noqa: T201
    return 0


def committed(root: Path) -> dict[Path, str]:
    """Give every generated file of a checkout, and what is to be in it."""
    pages = {root / "docs/reference" / name: text for name, text in reference.pages().items()}
    return pages | {root / "gin/README.md": methods.page()}


def checkout() -> Path:
    """Find the checkout that pymim runs in.

    Raises:
        ConfigError: it is installed.
    """
    root = Path(pymim.__path__[0]).parent
    if not (root / "gin").is_dir():
        raise ConfigError(
            "docs: DIR: expected a folder, got none, and this is no checkout; name one"
        )
    return root
