"""A training step of each method by parts, HPM's step beside MAE's, and DeepCluster's clustering
pass.

Sizes are those of gin/recipe, except the encoder, a ViT-small at 224/16, and the predictor of MAE
and of HPM on images, 256 x 4. Digits are enlarged to 224 pixels: a step's cost does not depend on
the pictures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np

from pymim import config
from pymim.bench import Case, Thunk
from pymim.bench import kmeans as clustering

STILLS = ["BATCH=64", "DATA='digits'", "STATISTICS='digits'", "WORKERS=0"]
CLIPS = ["BATCH=4", "DATA='digits-moving'", "STATISTICS='digits-moving'", "WORKERS=0"]
SMALL, NARROW = "gin/model/small.gin", "gin/model/decoder_256x4.gin"
UNIFORM = ["gin/recipe/mae.gin", SMALL, NARROW, *STILLS]
MINED = ["gin/recipe/hpm.gin", SMALL, NARROW, *STILLS]
METHODS = {
    "MAE": UNIFORM,
    "HPM": MINED,
    "CAPI": [
        "gin/recipe/capi.gin",
        SMALL,
        *STILLS,
        "train.Trainer.micro=None",
        "train.Trainer.recompute=False",
    ],
    "DeepCluster": [
        "gin/deepcluster.gin",
        "BATCH=64",
        "DATA=@data.Digits",
        "data.Digits.length=6400",
    ],
    "MAE on clips": ["gin/recipe/mae_video.gin", SMALL, *CLIPS],
    "HPM on clips": ["gin/recipe/hpm_video.gin", SMALL, *CLIPS],
    "SIGMA": ["gin/recipe/sigma.gin", SMALL, *CLIPS],
}


def cases() -> list[Case]:
    b, k = 50_000, 1000
    d = 256
    return [
        Case(
            op="training step, HPM",
            shape="ViT-small 224/16, B 64",
            inputs=list,
            contenders={"pymim": partial(_step, MINED), "MAE's": partial(_step, UNIFORM)},
            agree=np.testing.assert_array_equal,
            bars={"MAE's": 1 / 2.2},
            items=(64, "images"),
            between=False,
            rounds=5,
        ),
        clustering.lloyd(b, k, d, "DeepCluster's pass", peers=("faiss",)),
    ]


def _step(words: list[str], _: Any) -> tuple[Thunk, Any]:
    """Prepare a step on one batch; its answer is the number of visible patches of each image."""
    from pymim import run
    from pymim.io import Folder

    given = run.parse(config.flags(words))
    config.load(given.gin, given.bindings)
    trainer = run.build()
    batch = next(trainer.loader.batches(0, 1))
    trainer.method.before_run(trainer)

    def step() -> None:
        trainer.method.before_step(trainer)
        trainer.learn(
            trainer.method, batch, 0, Folder(".")
        )  # the folder for a batch that gives NaN
        trainer.method.after_step(0)

    def seen(_: None) -> list[int]:
        mask = trainer.method(batch, 0).mask
        assert mask is not None, "both hide patches"
        return list(mask.visible.shape)

    return step, seen


def accounts(*, quick: bool) -> str:
    """Give one row per method: its step, and the shares of the core's ops and of the parts' forward
    passes.
    """
    names = list(METHODS)[: 1 if quick else None]
    found = {name: _account(METHODS[name], 1 if quick else 3) for name in names}
    kinds = ["masks", "transport", "clustering", "ranking"]
    parts = list(next(iter(found.values()))["parts"])
    header = ["training step", "time", *(f"core: {kind}" for kind in kinds), *parts]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name, row in found.items():
        total = sum(row["kinds"].values())
        shares = [row["kinds"].get(f"core: {kind}", 0) for kind in kinds] + [
            row["parts"][part] for part in parts
        ]
        cells = [f"{share / total:.1%}" for share in shares]
        lines.append(f"| {name}, B {row['images']} | {row['wall']:.2f} s | {' | '.join(cells)} |")
    return "\n".join(lines)


def _account(words: list[str], steps: int) -> dict[str, Any]:
    """Run in its own process, since a process can load one configuration."""
    command = [
        sys.executable,
        "-m",
        "pymim.bench.account",
        "--json",
        "--steps",
        str(steps),
        *config.flags(words),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row
