"""Checkpoints: the state of a run at a step, whole or not there at all.

Tensors are in state.safetensors, numbers in meta.json: nothing is pickled. All processes have the same, and the
first one writes, under another name that is changed at the end: a kill at any moment leaves the checkpoint before.
What is a pure function of (seed, step) - the data order, the masks, the schedules, the random state of a step -
is not saved, for the step is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from pymim import __version__
from pymim.contracts import KeptElsewhere
from pymim.errors import ConfigError, Unwritable

_TENSORS = "state.safetensors"


def save(
    folder: Path,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    meta: dict[str, Any],
    keep: int,
) -> Path:
    """Writes step-NNNNNNNN under `folder` and drops all but the newest `keep`; Unwritable where it cannot."""
    final = folder / f"step-{step:08d}"
    failure = ""
    if is_leader():
        sums = {name: part.checksum for name, part in _elsewhere(module).items()}
        try:
            _write(final, _tensors(module, optimizer), {"step": step, **meta, "kept_elsewhere": sums})
        except OSError as error:
            failure = error.strerror or str(error)
    if failure := _told_by_the_leader(failure):
        raise Unwritable(
            f"checkpoint: {final}: could not be written ({failure}); those before it are whole: make room, "
            "then --resume auto goes on from the last"
        )
    if is_leader():
        for old in steps(folder)[:-keep]:
            shutil.rmtree(old)
    return final


def _write(final: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    beside = final.with_name(f".writing-{final.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        with (beside / _TENSORS).open("wb") as file:  # and not save_file, whose error hides the system's
            file.write(to_bytes(whole))
            file.flush()
            os.fsync(file.fileno())  # on the disk before the name says so
        state = {"pymim": __version__, "torch": torch.__version__, **meta}
        (beside / "meta.json").write_text(json.dumps(state, indent=1))
        shutil.rmtree(final, ignore_errors=True)
        beside.rename(final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _told_by_the_leader(word: str) -> str:
    """The first process's word, in all of them: what it cannot write stops the others too."""
    words = [word]
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(words)
    return words[0]


def load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put the checkpoint at `path` into `module` and `optimizer`; give its meta.

    A parameter that had no gradient yet has no optimiser's state in the file, and then none here. What is kept
    elsewhere is told which checksum its tensors must have.

    Raises: ConfigError where the tensors it holds are not the ones this configuration has.
    """
    materialise(optimizer)
    elsewhere = _elsewhere(module)
    saved = _renamed(load_file(path / _TENSORS), elsewhere)
    _drop_missing(saved, module, optimizer)
    tensors = _tensors(module, optimizer)
    _check_same(path, tensors, saved)
    for name, value in saved.items():
        tensors[name].copy_(value)
    meta: dict[str, Any] = json.loads((path / "meta.json").read_text())
    for name, checksum in meta.get("kept_elsewhere", {}).items():
        if name in elsewhere:
            elsewhere[name].checksum = checksum
    return meta


def _renamed(saved: dict[str, Tensor], elsewhere: dict[str, KeptElsewhere]) -> dict[str, Tensor]:
    """Take a checkpoint of 0.1, whose names have a `method.` more, and which has what is kept elsewhere too."""
    if any(name.startswith("method.method.") for name in saved):
        saved = {name.removeprefix("method."): value for name, value in saved.items()}
    kept = tuple(f"{name}." for name in elsewhere)
    return {name: value for name, value in saved.items() if not name.startswith(kept)}


def _drop_missing(saved: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Forget the optimiser's state of parameters of which the checkpoint has none."""
    for name, parameter in module.named_parameters():
        prefix = f"optimizer.state.{name}."
        if parameter in optimizer.state and not any(key.startswith(prefix) for key in saved):
            del optimizer.state[parameter]


def steps(folder: Path) -> list[Path]:
    """The whole checkpoints under `folder`, oldest first: those that have their meta.json."""
    return sorted(path.parent for path in folder.glob("step-*/meta.json"))


def newest(run: Path) -> Path:
    """The last whole checkpoint of the run in this folder; ConfigError where it has none."""
    found = steps(run / "checkpoints")
    if not found:
        raise ConfigError(f"{run}: holds no checkpoint; train first, or name another run's folder")
    return found[-1]


def materialise(optimizer: torch.optim.Optimizer) -> None:
    """Makes an optimiser create its state, by a step of rate 0 on zero gradients, so that it can be loaded into."""
    if optimizer.state:
        return
    for group in optimizer.param_groups:
        group["lr"], group["weight_decay"] = 0.0, 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def is_leader() -> bool:
    """Whether this process is the one that writes files."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every tensor under its first name: what modules share is saved once, what is kept elsewhere never."""
    kept = tuple(f"{name}." for name in _elsewhere(module))
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    named = {name: value for name, value in module.state_dict().items() if not name.startswith(kept)}
    for parameter, state in optimizer.state.items():
        named |= {f"optimizer.state.{names[parameter]}.{key}": value for key, value in state.items()}
    found: dict[Any, tuple[str, Tensor]] = {}
    for name, value in named.items():
        if isinstance(value, Tensor):
            found.setdefault((value.data_ptr(), value.shape) if value.numel() else name, (name, value))
    return dict(found.values())


def _elsewhere(module: nn.Module) -> dict[str, KeptElsewhere]:
    """The parts, by name, whose tensors a file of their own keeps."""
    parts = ((name, part) for name, part in module.named_modules() if isinstance(part, KeptElsewhere))
    return {name: part for name, part in parts if part.file is not None}


def _check_same(path: Path, tensors: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    shapes = {name: tuple(value.shape) for name, value in saved.items()}
    for name, tensor in tensors.items():
        if shapes.get(name) != tuple(tensor.shape):
            raise ConfigError(
                f"resume: {path}: expected {_known(name)} of shape {list(tensor.shape)}, got "
                f"{list(shapes[name]) if name in shapes else 'nothing'}; it was saved by another configuration"
            )
    if extra := sorted(set(shapes) - set(tensors)):
        raise ConfigError(
            f"resume: {path}: expected what this configuration has, got {_known(extra[0])} besides; "
            "it was saved by another configuration"
        )


def _known(name: str) -> str:
    """Write a tensor's name as a message does: without where a run keeps it."""
    return re.sub(r"^(optimizer\.state\.)?(method\.)+", "", name)
