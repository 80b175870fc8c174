"""An encoder from a file, to be looked at and not to be trained."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from pymim.contracts import Encoder
from pymim.encoders.average import Average


class Frozen(Average):
    """Weights that stay as they were read: of another run, or of anybody's ViT under timm's names.

    Args:
        encoder: the method's.
        path: a safetensors file, or a folder with a model.safetensors, as `pymim export` writes it.
        model: what the file holds; by default another encoder like the method's.
    """

    def __init__(self, encoder: Encoder, path: str | Path, model: Encoder | None = None):
        model = encoder if model is None else model
        super().__init__(model)
        wanted = self.module.state_dict()
        if not any(value.is_meta for value in wanted.values()):  # as where a configuration is explained
            self.module.load_state_dict(_read(Path(path), wanted, model.traits))


def _read(path: Path, wanted: dict[str, Tensor], traits: dict[str, str]) -> dict[str, Tensor]:
    """The file's tensors, if they are those wanted. What a hidden patch is replaced by may be missing, and so may
    be traits, which only our own files name."""
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"Frozen: path: expected a safetensors file, or a folder with one, got {path}; export a run"
        )
    with safe_open(file, "pt") as opened:
        named = opened.metadata() or {}
    for name, value in traits.items():
        if named.get(name, value) != value:
            raise ValueError(
                f"Frozen: path: expected {name} {value}, got {named[name]} in {file}; "
                "set model to the encoder that the file holds"
            )
    found = load_file(file)
    if "mask_token" in wanted:
        found.setdefault("mask_token", wanted["mask_token"])
    for name in sorted(wanted.keys() | found.keys()):
        shapes = [list(held[name].shape) if name in held else "nothing" for held in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Frozen: path: expected {name} of shape {shapes[0]}, got {shapes[1]} in {file}; "
                "set model to the encoder that the file holds"
            )
    return found
