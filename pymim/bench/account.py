"""Measure where the time of a training step goes, for any configuration.

    python -m pymim.bench.account --gin gin/mae.gin [-b 'NAME = VALUE'] ... [--steps 10]

Operators are added up by kind, each with the time it spends itself; on a GPU that is the time of
its kernels. The core's ops are counted apart from torch's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pymim import config, run
from pymim.io import Folder
from pymim.loop import memory

if TYPE_CHECKING:
    from pymim.contracts import Batch
    from pymim.method import Method
    from pymim.train import Trainer

MASKS = "all of the masks' choice"
TARGETS = "all of the targets"
RANKING = "all of what ranks"
PARTS = (MASKS, TARGETS, RANKING)
_ON_CPU = ("self_cpu_time_total", "cpu_time_total")
KINDS = {
    "core: transport": r"^pymim::sinkhorn",
    "core: clustering": r"^pymim::kmeans",
    "core: ranking": r"^pymim::(rank|relative|top_k)",
    "core: masks": r"^pymim::",
    "products": r"mm$|bmm|linear|conv|einsum|attention",
    "softmax": r"softmax",
    "norms": r"norm",
    "activations": r"gelu|silu|relu",
    "optimiser": r"[Oo]ptimizer|adam|_foreach|lerp",
    "casts and copies": r"copy|_to_|cat|stack|gather|index|scatter|clone|contiguous|fill|zero",
    "sums and products by element": (
        r"add|mul|sub|div|mean|sum|pow|sqrt|exp|log|where|clamp|var|std"
    ),
}


class Account(NamedTuple):
    """The seconds of a training step.

    wall: wall time. kinds: time that operators of each kind spend themselves. parts: duration of
    the forward passes of some parts, including what they call. images: images of a step.
    """

    wall: float
    kinds: Counter[str]
    parts: dict[str, float]
    images: int


def account(trainer: Trainer, steps: int) -> Account:
    """Measure `steps` steps, timed and then profiled, after two for warm-up."""
    from torch import profiler

    activities = [profiler.ProfilerActivity.CPU]
    on_gpu = trainer.world.device.type == "cuda"
    if on_gpu:
        activities.append(profiler.ProfilerActivity.CUDA)
    with contextlib.closing(trainer.loader.batches(0, 1)) as batches:
        batch = next(batches).to(trainer.world.device)
    with tempfile.TemporaryDirectory() as path:
        trainer.folder = Folder(path)
        trainer.method.before_run(trainer)
        trainer.method.before_epoch(trainer)
        _mark_parts(trainer.method)
        _train(trainer, batch, 2)
        began = time.perf_counter()
        _train(trainer, batch, steps)
        wall = (time.perf_counter() - began) / steps
        with profiler.profile(activities=activities) as profile:
            _train(trainer, batch, steps)
    kinds: Counter[str] = Counter()
    parts = dict.fromkeys(PARTS, 0.0)
    for event in profile.key_averages():
        own, whole = ("self_device_time_total", "device_time_total") if on_gpu else _ON_CPU
        kinds[_kind(event.key)] += getattr(event, own) * 1e-6 / steps
        if event.key in parts:
            parts[event.key] = getattr(event, whole) * 1e-6 / steps
    return Account(wall, kinds, parts, len(batch.index))


def _train(trainer: Trainer, batch: Batch, steps: int) -> None:
    for step in range(steps):
        trainer.method.before_step(trainer)
        trainer.learn(trainer.method, batch, step, trainer.folder)
        trainer.method.after_step(step)


def _mark_parts(method: Method) -> None:
    """Wrap the parts' calls in names for the profiler."""
    calls: list[tuple[Any, str, str]] = [(method, "_masks", MASKS), (method, "_rank", RANKING)]
    calls += [(objective.target, "forward", TARGETS) for objective in method.objectives]
    for owner, name, label in calls:
        setattr(owner, name, _marked(getattr(owner, name), label))


def _marked(call: Callable[..., Any], label: str) -> Callable[..., Any]:
    from torch.profiler import record_function

    def marked(*arguments: Any) -> Any:
        with record_function(label):
            return call(*arguments)

    return marked


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "the rest")


def table(found: Account) -> str:
    """Give one row per kind, the largest first."""
    total = sum(found.kinds.values())
    rows = [
        f"{kind:30} {1e3 * spent:9.2f} ms  {spent / total:6.1%}"
        for kind, spent in found.kinds.most_common()
    ]
    rows += [f"{part:30} {1e3 * spent:9.2f} ms" for part, spent in found.parts.items() if spent]
    rate = found.images / found.wall
    return "\n".join([*rows, f"a step takes {1e3 * found.wall:.0f} ms: {rate:.3g} images/s"])


def main(words: list[str] | None = None) -> int:
    """Print the account of one configuration."""
    parser = argparse.ArgumentParser(
        prog="python -m pymim.bench.account", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--steps", type=int, default=10, help="how many are counted")
    parser.add_argument("--json", action="store_true", help="print numbers")
    options, rest = parser.parse_known_args(words)
    memory.keep()
    given = run.parse(rest)
    with config.trusting(given.trust):
        config.load(given.gin, given.bindings)
        trainer = run.build()
        config.check_used(given.gin, given.bindings)
    found = account(trainer, options.steps)
    print(json.dumps(found._asdict()) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
