"""Save and load checkpoints: the state of a run at a step, complete or not there at all.

Tensors are in state.safetensors, numbers in meta.json; nothing is pickled. All processes hold the
same state, so the first one writes. It writes to a temporary name and renames once everything is on
the disk, so a kill or a power cut at any moment leaves the checkpoint before. Checksums are
compared before anything is read (`pymim.io.seal`). Pure functions of (seed, step) - data order,
masks, schedules, the step's random state - are not saved: the step is enough.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from pymim import __version__
from pymim.contracts import KeptElsewhere
from pymim.errors import ConfigError, Unwritable
from pymim.io import aside, seal
from pymim.io.disk import publish, reason, write_synced
from pymim.io.seal import Damaged

TENSORS = "state.safetensors"
log = logging.getLogger("pymim.io")


def save(
    folder: Path,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    meta: dict[str, Any],
    keep: int,
) -> Path:
    """Write step-NNNNNNNN under `folder` and delete all but the newest `keep` checkpoints.

    Checkpoints later than `step` belong to another branch of the run and are set aside
    (`pymim.io.aside`).

    Raises: Unwritable, in every process, if the first process cannot write.
    """
    final = folder / f"step-{step:08d}"
    failure = ""
    if is_leader():
        sums = {name: part.checksum for name, part in _elsewhere(module).items()}
        failure = _write(
            final, _tensors(module, optimizer), {"step": step, **meta, "kept_elsewhere": sums}
        )
    if failure := _of_the_leader(failure):
        raise Unwritable(f"checkpoint: {final}: could not be written ({failure}")
    if is_leader():
        aside.move_numbered(folder.parent, step)
        aside.drop(folder.parent, step)
        for old in steps(folder)[:-keep]:
            shutil.rmtree(old)
    return final


def _write(final: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> str:
    """Write a checkpoint; return why it could not be written and the remedy, or ""."""
    if not final.parents[1].is_dir():
        return "the run's folder is gone); was it deleted or renamed while the run went on?"
    beside = final.with_name(f".writing-{final.name}")
    shutil.rmtree(beside, ignore_errors=True)
    data = to_bytes({name: tensor.contiguous() for name, tensor in tensors.items()})
    state = {"pymim": __version__, "torch": torch.__version__, **meta}
    try:
        final.parent.mkdir(exist_ok=True)
        beside.mkdir()
        _write_files(beside, data, state)
        publish(beside, final)
    except OSError as error:
        why = reason(final, len(data), error)
        return f"{why}); earlier checkpoints are complete: make room, then --resume auto"
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return ""


def _write_files(folder: Path, data: bytes, meta: dict[str, Any]) -> None:
    with ThreadPoolExecutor(1) as pool:  # compute the checksum while the disk is busy
        checksum = pool.submit(seal.checksum, data)
        write_synced(folder / TENSORS, data)
    files = {TENSORS: {"bytes": len(data), "crc32": checksum.result()}}
    write_synced(folder / seal.META, seal.text({**meta, "files": files}).encode())


def _of_the_leader(text: str) -> str:
    """Broadcast rank 0's error, so that a failed write stops every rank."""
    texts = [text]
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(texts)
    return texts[0]


def load(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load the checkpoint at `path` into `module` and `optimizer`; return its meta.

    A parameter that never had a gradient has no optimiser state in the file, and gets none. A part
    that keeps its tensors in a file of its own gets the checksum that file must have.

    Raises: Damaged if the files are not what was saved, before anything is changed; ConfigError if
    the tensors are not those of this configuration.
    """
    meta, saved = _read(path)
    materialise(optimizer)
    elsewhere = _elsewhere(module)
    saved = _renamed(saved, elsewhere)
    _drop_missing(saved, module, optimizer)
    tensors = _tensors(module, optimizer)
    _check_same(path, tensors, saved)
    for name, value in saved.items():
        tensors[name].copy_(value)
    for name, checksum in meta.get("kept_elsewhere", {}).items():
        if name in elsewhere:
            elsewhere[name].checksum = checksum
    return meta


def check(path: Path) -> int:
    """Compare the files of a checkpoint with their checksums; return its step.

    Raises: Damaged.
    """
    return int(_read(path)[0]["step"])


def peek(path: Path) -> dict[str, Any]:
    """Return the meta of a checkpoint, or {} if it is damaged."""
    try:
        return seal.read(path)
    except Damaged:
        return {}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    meta = seal.read(path)
    seal.check(path, meta)
    if "files" not in meta and is_leader():
        log.warning("%s: has no checksums: its content is not checked", path)
    try:
        return meta, load_file(path / TENSORS)
    except (SafetensorError, OSError) as error:
        missing = not (path / TENSORS).exists()
        what = "is missing" if missing else f"is cut short or changed ({error})"
        raise Damaged(f"{path / TENSORS}: {what}") from error


def _renamed(saved: dict[str, Tensor], elsewhere: dict[str, KeptElsewhere]) -> dict[str, Tensor]:
    """Translate a checkpoint of version 0.1, and drop what is now kept in files of its own.

    Version 0.1 put one more `method.` before each name.
    """
    if any(name.startswith("method.method.") for name in saved):
        saved = {name.removeprefix("method."): value for name, value in saved.items()}
    kept = tuple(f"{name}." for name in elsewhere)
    return {name: value for name, value in saved.items() if not name.startswith(kept)}


def _drop_missing(
    saved: dict[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Drop the optimiser state of parameters that have none in the checkpoint."""
    for name, parameter in module.named_parameters():
        prefix = f"optimizer.state.{name}."
        if parameter in optimizer.state and not any(key.startswith(prefix) for key in saved):
            del optimizer.state[parameter]


def steps(folder: Path) -> list[Path]:
    """List the checkpoints under `folder` that have a meta.json, oldest first."""
    return [path for path in begun(folder) if (path / seal.META).exists()]


def begun(folder: Path) -> list[Path]:
    """List everything under `folder` with a checkpoint's name, complete or not, oldest first."""
    named = ((seal.step_of(path), path) for path in folder.glob("step-*") if path.is_dir())
    return [path for _, path in sorted((step, path) for step, path in named if step is not None)]


def newest(run: Path) -> Path:
    """Return the last complete checkpoint of the run, as `restore_newest` finds it."""
    return restore_newest(run, check)[0]


def restore_newest(run: Path, restore: Callable[[Path], int]) -> tuple[Path, int]:
    """Call `restore` on the run's last complete checkpoint; return its path and its step.

    If `restore` raises Damaged, a warning is logged and the checkpoint before is tried. A
    checkpoint that a running training deleted meanwhile is skipped.

    Raises: ConfigError if no complete checkpoint is left.
    """
    wrong: dict[Path, str] = {}
    while found := [path for path in begun(run / "checkpoints") if path not in wrong]:
        try:
            return found[-1], restore(found[-1])
        except Damaged as error:
            wrong[found[-1]] = str(error)
            if found[-1].exists():
                log.warning("%s; the checkpoint before it is tried", error)
    if not wrong:
        raise ConfigError(f"{run}: holds no checkpoint; train first, or name another run's folder")
    newest = next(iter(wrong.values()))
    raise ConfigError(
        f"{run}: holds no complete checkpoint; the newest of {len(wrong)}: {newest}; "
        f"remove {run / 'checkpoints'} to start again"
    )


def materialise(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimiser create its state, so that a checkpoint can be loaded into it.

    It takes a step of learning rate 0 on zero gradients.
    """
    if optimizer.state:
        return
    for group in optimizer.param_groups:
        group["lr"], group["weight_decay"] = 0.0, 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def is_leader() -> bool:
    """Say whether this process is rank 0, which writes files."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _tensors(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Map each tensor to its first name: shared tensors are saved once.

    Tensors of parts that keep a file of their own are left out.
    """
    kept = tuple(f"{name}." for name in _elsewhere(module))
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    named = {
        name: value for name, value in module.state_dict().items() if not name.startswith(kept)
    }
    for parameter, state in optimizer.state.items():
        named |= {
            f"optimizer.state.{names[parameter]}.{key}": value for key, value in state.items()
        }
    found: dict[Any, tuple[str, Tensor]] = {}
    for name, value in named.items():
        if isinstance(value, Tensor):
            found.setdefault(
                (value.data_ptr(), value.shape) if value.numel() else name, (name, value)
            )
    return dict(found.values())


def _elsewhere(module: nn.Module) -> dict[str, KeptElsewhere]:
    """Map names to the parts that keep their tensors in a file of their own."""
    parts = (
        (name, part) for name, part in module.named_modules() if isinstance(part, KeptElsewhere)
    )
    return {name: part for name, part in parts if part.file is not None}


def _check_same(path: Path, tensors: dict[str, Tensor], saved: dict[str, Tensor]) -> None:
    shapes = {name: tuple(value.shape) for name, value in saved.items()}
    for name, tensor in tensors.items():
        if shapes.get(name) != tuple(tensor.shape):
            raise ConfigError(
                f"resume: {path}: expected {_known(name)} of shape {list(tensor.shape)}, got "
                f"{list(shapes[name]) if name in shapes else 'nothing'}; "
                "it was saved by another configuration"
            )
    if extra := sorted(set(shapes) - set(tensors)):
        raise ConfigError(
            f"resume: {path}: expected only the tensors of this configuration, got also "
            f"{_known(extra[0])}; it was saved by another configuration"
        )


def _known(name: str) -> str:
    """Write a tensor's name as messages do, without the run's prefixes."""
    return re.sub(r"^(optimizer\.state\.)?(method\.)+", "", name)
