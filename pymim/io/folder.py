"""The folder of a run: what is in it, and who may write there."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from pymim import __version__
from pymim.errors import ConfigError, Unwritable
from pymim.io.disk import write_whole


class Folder:
    """Name the files of WORKDIR and write them.

    - config.gin and operative_config.gin: what runs now; config.until-STEP.gin: what ran before.
    - env.json, metrics.jsonl, status.json, checkpoints/, pictures/, evaluation/, export/.
    - stages/: of a run that has stages; nan/: after a step whose numbers were not finite.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.path / "checkpoints"

    def refuse_another_run(self, resuming: bool) -> None:
        """Refuse a folder that holds a run or its stages, unless that run is resumed.

        Raises: ConfigError.
        """
        if not resuming and any((self / name).exists() for name in ("config.gin", "stages")):
            raise ConfigError(
                f"workdir: {self.path}: expected a new folder, got one that holds a run; "
                "resume it with --resume auto, or choose another --workdir"
            )

    def create(self) -> None:
        """Make the folder and check that it can be written.

        Raises: ConfigError.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self / ".probe").write_text("")
            (self / ".probe").unlink()
        except OSError as error:
            raise ConfigError(
                f"workdir: {self.path}: expected a folder that can be written, got: "
                f"{error.strerror}; choose another --workdir"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Write a small file completely.

        Raises: Unwritable, also if the run's folder is gone: it is not made again.
        """
        if not self.path.is_dir():
            raise Unwritable(
                f"{self / name}: could not be written: the folder {self.path} is gone; "
                "was it deleted or renamed while the run went on?"
            )
        write_whole(self / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON. Raises: Unwritable."""
        self.write(name, json.dumps(value, indent=1) + "\n")

    def describe_machine(self) -> None:
        """Write env.json: versions, hardware, and the command."""
        cuda = torch.cuda.is_available()
        self.write_json(
            "env.json",
            {
                "pymim": __version__,
                "python": sys.version.split()[0],
                "torch": torch.__version__,
                "platform": platform.platform(),
                "cores": os.cpu_count(),
                "threads": torch.get_num_threads(),
                "gpu": torch.cuda.get_device_name() if cuda else None,
                "command": sys.argv,
            },
        )
