"""An encoder that is read from a file and not trained."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from pymim.contracts import Encoder, Run
from pymim.encoders.copy import Copy
from pymim.errors import ConfigError


class Frozen(Copy):
    """Keep weights as read from a file: from another run, or any ViT under timm's names.

    The file is read when the run begins, or at the first call. A training run first checks the
    names and shapes in it, so that a wrong path fails before the run's folder exists. Checkpoints
    store a checksum in place of the tensors: to resume, a run needs the same file, at any path.
    Evaluating or exporting without this encoder needs no file; pictures that need it are left out.

    Args:
        encoder: the method's encoder.
        path: a safetensors file, or a folder with a model.safetensors, as `pymim export` writes it.
            None: keep the initial weights of `model`, and store them in checkpoints.
        model: the encoder that the file holds; default: a copy of the method's.

    Raises:
        ConfigError: the file is missing or unreadable, or does not fit the model.
    """

    def __init__(
        self, encoder: Encoder, path: str | Path | None = None, model: Encoder | None = None
    ):
        model = encoder if model is None else model
        super().__init__(model)
        self.file = None if path is None else Path(path)
        self.traits, self.checksum = getattr(model, "traits", {}), ""
        self._read = self.file is None or any(
            value.is_meta for value in model.state_dict().values()
        )

    def before_run(self, run: Run) -> None:
        self.read()

    def forward(self, *arguments: Any) -> Any:
        self.read()
        return super().forward(*arguments)

    def check(self) -> None:
        """Check the names, shapes and traits in the file, without reading the tensors.

        Traits may be missing: only pymim's own files have them. So may the mask token, which
        encoding a whole view does not need.

        Raises:
            ConfigError: the file is missing, unreadable, or of another model.
        """
        if self._read:
            return
        try:
            with safe_open(self._file(), "pt") as opened:
                named = opened.metadata() or {}
                found = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ConfigError(
                f"Frozen: path: expected a safetensors file, got {self._file()}, which is "
                f"incomplete or of another format ({error}); export the run again"
            ) from error
        for name, value in self.traits.items():
            if named.get(name, value) != value:
                raise self._another(f"{name} {value}", named[name])
        wanted = {name: list(value.shape) for name, value in self.module.state_dict().items()}
        if "mask_token" in wanted:
            found.setdefault("mask_token", wanted["mask_token"])
        for name in sorted(wanted.keys() | found.keys()):
            shapes = [held.get(name, "nothing") for held in (wanted, found)]
            if shapes[0] != shapes[1]:
                raise self._another(f"{name} of shape {shapes[0]}", shapes[1])

    def read(self) -> None:
        """Read the file, once.

        Raises:
            ConfigError: as for `check`, or the tensors are not those that the checkpoint was made
                with.
        """
        if self._read:
            return
        self.check()
        found = load_file(self._file())
        checksum = _checksum(found)
        if self.checksum and self.checksum != checksum:
            raise ConfigError(
                "Frozen: path: expected the tensors that the run started with, got other ones in "
                f"{self.file}; set path to the file that has them, or start a new run"
            )
        with torch.no_grad():
            self.module.load_state_dict(self.module.state_dict() | found)
        self.checksum, self._read = checksum, True

    def _file(self) -> Path:
        assert self.file is not None
        file = self.file / "model.safetensors" if self.file.is_dir() else self.file
        if not file.is_file():
            raise ConfigError(
                "Frozen: path: expected a safetensors file, or a folder with one, got "
                f"{self.file}, which is not there or has none; export a run, and set "
                "encoders.Frozen.path to its folder"
            )
        return file

    def _another(self, expected: str, got: Any) -> ConfigError:
        return ConfigError(
            f"Frozen: path: expected {expected}, got {got} in {self._file()}; "
            "set model to the encoder that the file was saved from"
        )


def _checksum(tensors: dict[str, Tensor]) -> str:
    """Hash names, types, shapes and values, independent of their order in the file."""
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        total.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()[:32]
