"""Keep the batch of a step whose numbers are not finite; the rest follows from its step."""

from __future__ import annotations

from typing import NoReturn

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from pymim.contracts import Batch
from pymim.errors import Diverged, Unwritable
from pymim.io.disk import write_whole
from pymim.io.folder import Folder


def keep_and_raise(
    folder: Folder,
    batch: Batch,
    step: int,
    seed: int,
    rank: int,
    losses: dict[str, float],
    what: str,
) -> NoReturn:
    """Write nan/step-N-rank-R.safetensors and .json, then raise Diverged with `what`.

    The step's random state is loop.seeds.seed_everything(seed, step, rank). Its weights are those
    of the last checkpoint, trained on to this step.
    """
    name = f"nan/step-{step:08d}-rank-{rank}"
    values = {
        "step": step,
        "seed": seed,
        "rank": rank,
        "losses": {k: str(v) for k, v in losses.items()},
    }
    kept = f"the batch is in {folder / name}.safetensors"
    try:
        folder.write_json(f"{name}.json", values)
        write_whole(folder / f"{name}.safetensors", to_bytes(_by_name(batch)))
    except Unwritable as error:
        kept = f"the batch is lost: {error}"
    raise Diverged(
        f"{what} at step {step}; {kept}; lower the learning rate, clip the gradient "
        "(train.Trainer.clip = 1.0), or try train.Trainer.precision = 'float32'"
    )


def _by_name(batch: Batch) -> dict[str, Tensor]:
    """Name the tensors of a batch: view0, ...; index; label; stream; notes/NAME; drawn0/NAME."""
    found = {f"view{i}": view for i, view in enumerate(batch.views)}
    found |= {"index": batch.index, "label": batch.label, "stream": batch.named}
    found |= {f"notes/{name}": note for name, note in batch.notes.items()}
    found |= {
        f"drawn{i}/{name}": value
        for i, drawn in enumerate(batch.drawn)
        for name, value in drawn.items()
    }
    return {
        name: value.cpu().clone(memory_format=torch.contiguous_format)
        for name, value in found.items()
    }
