"""Load an encoder's first weights from any file, by name and shape, and report the rest.

Names are those of our encoders, which are timm's. The prefixes of a run's checkpoint are ignored,
and so is the `trunk.` of wrapped encoders, in the file or here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pymim.errors import ConfigError
from pymim.io import checkpoint

_SHOWN = 10  # names of a kind that a message lists
_OF_A_RUN = (
    "average.module.",
    "method.encoder.",
    "method.average.module.",
    "method.method.encoder.",
)


class Fit(NamedTuple):
    """List which tensors of an encoder a file has."""

    file: Path
    loaded: dict[str, str]  # name in the encoder: name in the file
    missing: list[str]  # names only in the encoder
    left_over: list[str]  # names only in the file
    misshapen: list[str]  # names with both shapes
    traits: list[str]  # traits that differ from the file's metadata

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.misshapen)
        lines = [f"start: {self.file}: {len(self.loaded)} of {total} tensors loaded"]
        for what, names in (
            ("missing in the file", self.missing),
            ("only in the file", self.left_over),
            ("of another shape", self.misshapen),
            ("different, which weights do not show", self.traits),
        ):
            lines += [f"start: {len(names)} {what}: {_listed(names)}"] if names else []
        return "\n".join(lines)


def load(encoder: nn.Module, path: Path, whole: bool = False) -> Fit:
    """Load the file's tensors into `encoder` as far as they fit.

    whole: also require every tensor of the encoder.

    Raises: ConfigError if none fits; with `whole`, also if one is missing or has another shape.
    """
    fit = match(encoder, path)
    if whole and (fit.missing or fit.misshapen):
        raise ConfigError(
            f"export: {path}: expected every tensor of the encoder, got none or another shape for "
            f"{_listed([*fit.missing, *fit.misshapen])}; use the configuration that the run was "
            "trained with"
        )
    own = encoder.state_dict()
    with safe_open(fit.file, "pt") as opened, torch.no_grad():
        for here, there in fit.loaded.items():
            own[here].copy_(opened.get_tensor(there))
    return fit


def match(encoder: nn.Module, path: Path) -> Fit:
    """Compare an encoder's tensors with those of a file.

    path: a safetensors file, a folder with a model.safetensors (`pymim export`), a checkpoint, or a
        run's folder. Of a run, the newest complete checkpoint is taken, and in it the average if
        there is one.

    Raises: ConfigError if there is no such file, or nothing in it fits.
    """
    file = _file(path)
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            theirs = {name: list(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ConfigError(
            f"start: {file}: expected a safetensors file, got: {error}; export a run"
        ) from error
    names = {_bare(name): name for name in _of_the_encoder(theirs)}
    own = {name: value for name, value in encoder.state_dict().items() if isinstance(value, Tensor)}
    fit = Fit(file, {}, [], [], [], _other_traits(encoder, metadata))
    for name, value in own.items():
        there = names.pop(_bare(name), None)
        if there is None:
            fit.missing.append(name)
        elif theirs[there] != list(value.shape):
            fit.misshapen.append(f"{name} {theirs[there]}, here {list(value.shape)}")
        else:
            fit.loaded[name] = there
    fit.left_over.extend(names.values())
    if not fit.loaded and fit.misshapen:
        raise ConfigError(
            f"start: {path}: expected tensors of the encoder's shapes, got "
            f"{_listed(fit.misshapen[:3])}; give the encoder the sizes (DIM, PATCH, IMAGE, "
            "CHANNELS) that the file was trained with"
        )
    if not fit.loaded:
        raise ConfigError(
            f"start: {path}: expected an encoder's tensors, such as {_listed(list(own)[:3])}, got "
            f"{_listed([_bare(name) for name in theirs][:3])}: none fits by name and shape; "
            "name another file"
        )
    return fit


def _file(path: Path) -> Path:
    for place in (path, path / "model.safetensors", path / checkpoint.TENSORS):
        if place.is_file():
            if place.name == checkpoint.TENSORS and (place.parent / "meta.json").exists():
                checkpoint.check(place.parent)
            return place
    if (path / "config.gin").exists() or checkpoint.begun(path / "checkpoints"):
        return checkpoint.newest(path) / checkpoint.TENSORS
    raise ConfigError(
        f"start: expected a safetensors file, an exported encoder or a run's folder, got {path}, "
        "which is none of these; set train.Trainer.start to one"
    )


def _of_the_encoder(names: dict[str, Any]) -> list[str]:
    """Return the names of the encoder's tensors; in a run's file, the average's if it has one."""
    for prefix in _OF_A_RUN:
        if found := [name for name in names if name.startswith(prefix)]:
            return found
    return list(names)


def _bare(name: str) -> str:
    for prefix in _OF_A_RUN:
        name = name.removeprefix(prefix)
    return re.sub(r"^(trunk\.)+", "", name)


def _other_traits(encoder: nn.Module, metadata: dict[str, str]) -> list[str]:
    traits: dict[str, str] = getattr(encoder, "traits", {})
    others = {name: metadata.get(name, value) for name, value in traits.items()}
    return [
        f"{name} {others[name]}, here {value}"
        for name, value in traits.items()
        if others[name] != value
    ]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
