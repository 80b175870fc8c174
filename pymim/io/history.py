"""Keep the configurations of a run: config.gin runs now, earlier ones carry their last step.

config.until-00000010.gin ran up to step 10; operative_config.until-00000010.gin has its defaults
too. Configurations of steps after the one a run resumes from are set aside (`pymim.io.aside`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pymim.io.disk import write_whole
from pymim.io.folder import Folder

NAMES = ("config", "operative_config")


def at(run: Path, step: int, name: str = "config") -> Path:
    """Return the file of the configuration that computed this step; it may not exist."""
    return next((path for path in _ended(run, name) if _last(path) >= step), run / f"{name}.gin")


def texts(run: Path, step: int) -> dict[str, str]:
    """Read the configurations that computed this step, by name, if they exist."""
    files = {name: at(run, step, name) for name in NAMES}
    return {name: file.read_text() for name, file in files.items() if file.is_file()}


def write(
    folder: Folder, step: int, before: Mapping[str, str], now: Mapping[str, str]
) -> list[str]:
    """Write what runs after `step`, and keep what ran before if it differs; list the kept files.

    before: texts that computed the step, by name (`texts`). now: texts that run from now on.

    Raises: Unwritable.
    """
    kept = []
    for name, text in now.items():
        file = f"{name}.until-{step:08d}.gin"
        if step and before.get(name, text) != text:
            folder.write(file, before[name])
            kept.append(file)
        else:
            (folder / file).unlink(missing_ok=True)
        _copy_aside(folder.path, f"{name}.gin")
        folder.write(f"{name}.gin", text)
        for later in [path for path in _ended(folder.path, name) if _last(path) > step]:
            (folder / "aside").mkdir(exist_ok=True)
            later.replace(folder / "aside" / later.name)
    return kept


def _copy_aside(run: Path, name: str) -> None:
    """Copy a configuration to the branch that was set aside."""
    if (run / "aside").is_dir() and (run / name).is_file() and not (run / "aside" / name).exists():
        write_whole(run / "aside" / name, (run / name).read_bytes())


def _ended(run: Path, name: str) -> list[Path]:
    """List the configurations that ran before, oldest first."""
    return sorted((path for path in run.glob(f"{name}.until-*.gin") if _last(path) >= 0), key=_last)


def _last(path: Path) -> int:
    match = re.fullmatch(r"\w+\.until-(\d+)\.gin", path.name)
    return int(match[1]) if match else -1
