"""Where the time of a training step goes, for any configuration.

    python -m pymim.bench.account --gin gin/mae.gin [-b 'NAME = VALUE'] ... [--steps 10]

Operators are added up by kind, each with the time it spends itself; on a GPU that is its kernels' time. What the
core's ops take is told apart from what torch's do.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING

from pymim import config, run
from pymim.io import Folder

if TYPE_CHECKING:
    from pymim.train import Trainer

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
    "sums and products by element": r"add|mul|sub|div|mean|sum|pow|sqrt|exp|log|where|clamp|var|std",
}


def shares(trainer: Trainer, steps: int) -> tuple[Counter[str], float]:
    """Seconds a step by kind, and the wall time of a step, over `steps` of them, after three not counted."""
    from torch import profiler

    activities = [profiler.ProfilerActivity.CPU]
    on_gpu = trainer.world.device.type == "cuda"
    if on_gpu:
        activities.append(profiler.ProfilerActivity.CUDA)
    batches = [batch.to(trainer.world.device) for batch in trainer.loader.batches(0, steps + 3)]
    trainer.method.before_run(trainer)
    trainer.method.before_epoch(trainer)
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        for step in range(3):
            trainer.learn(trainer.method, batches[step], step, folder)
        began = time.perf_counter()
        with profiler.profile(activities=activities) as profile:
            for step in range(3, len(batches)):
                trainer.learn(trainer.method, batches[step], step, folder)
                trainer.method.after_step(step)
        wall = (time.perf_counter() - began) / steps
    found: Counter[str] = Counter()
    for event in profile.key_averages():
        spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        found[_kind(event.key)] += spent * 1e-6 / steps
    return found, wall


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "the rest")


def table(found: Counter[str], wall: float, images: int) -> str:
    """A row a kind, the largest first."""
    total = sum(found.values())
    rows = [f"{kind:30} {1e3 * spent:9.2f} ms  {spent / total:6.1%}" for kind, spent in found.most_common()]
    return "\n".join([*rows, f"a step takes {1e3 * wall:.0f} ms: {images / wall:.0f} images/s, profiled"])


def main(words: list[str] | None = None) -> int:
    """Prints the account of one configuration."""
    parser = argparse.ArgumentParser(prog="python -m pymim.bench.account", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=10, help="how many are counted")
    options, rest = parser.parse_known_args(words)
    given = run.parse(rest)
    config.load(given.gin, given.bindings)
    trainer = run.build()
    found, wall = shares(trainer, options.steps)
    print(table(found, wall, trainer.batch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
