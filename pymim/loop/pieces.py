"""Say what changes if a batch is processed in pieces: parts that reduce over a whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pymim.contracts import OverBatch
from pymim.loop.wrap import BATCH_NORMS, blocks_of, is_normed
from pymim.method import Method

if TYPE_CHECKING:
    from pymim.train import Trainer

_DEEP = 3  # levels of parts within parts: a policy in a policy in an objective's loss


def over_batch(method: Method) -> list[str]:
    """Give a clause for each reduction of a method over a batch, with "{}" for its size.

    If there is none, the gradient of a batch is the sum of the gradients of its pieces.
    """
    found: dict[str, None] = {}
    for part in method.parts():
        if isinstance(part, BATCH_NORMS) and part.training:
            found["BatchNorm sees {} at a time"] = None
        for one in _held(part, _DEEP):
            clause = one.over_batch if isinstance(one, OverBatch) else _of_another(one)
            if clause:
                found[clause] = None
    return list(found)


def changes(trainer: Trainer) -> str | None:
    """Say what the run's micro-batches change; None if nothing, or if a batch is one piece."""
    share, size = trainer.batch // trainer.world.size, trainer.world.size
    clauses = over_batch(trainer.method)
    if trainer.micro is None or trainer.micro >= share or not clauses:
        return None
    # torch has no batch norm over several processes on CPUs
    alone = trainer.world.device.type != "cuda"
    counts = [
        trainer.micro * (1 if alone and "BatchNorm" in clause else size) for clause in clauses
    ]
    words = [
        clause.format(f"{n} {trainer.encoder.items}")
        for clause, n in zip(clauses, counts, strict=True)
    ]
    return (
        f"micro-batches of {trainer.micro}: {', '.join(words)}; "
        "set train.Trainer.micro = None to use the whole batch"
    )


def advice(trainer: Trainer) -> str:
    """Say what to do if memory runs out; remedies that keep the result come first."""
    share = trainer.batch // trainer.world.size
    clauses, blocks = over_batch(trainer.method), blocks_of(trainer.method)
    lower = not clauses and min(trainer.micro or share, share) > 1
    again = (
        bool(blocks)
        and not trainer.recompute
        and not (trainer.compile and any(map(is_normed, blocks)))
    )
    words = ["lower train.Trainer.micro"] if lower else []
    words += ["set train.Trainer.recompute = True"] if again else []
    words += ["take a smaller DIM, or a smaller BATCH"]
    return f"out of memory; {', or '.join(words)}"


def _held(part: Any, depth: int) -> Iterator[Any]:
    """Yield a part and the parts in its attributes, without modules: `Method.parts` gives those."""
    yield part
    for value in vars(part).values() if depth and hasattr(part, "__dict__") else ():
        for one in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(one, nn.Module | Tensor | type) and hasattr(one, "__dict__"):
                yield from _held(one, depth - 1)


def _of_another(part: Any) -> str:
    """Give the clause of a loss that does not say what it reduces."""
    return (
        f"{type(part).__name__} reduces {{}} at once"
        if getattr(part, "together", False) is True
        else ""
    )
