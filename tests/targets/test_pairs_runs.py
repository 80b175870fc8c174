"""Both gin files as a command: a resumed run is an uninterrupted one, to the bit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from pymim.config import flags
from pymim.run import main

SMALL = [
    *(
        "DATA=@data.Digits",
        "data.Digits.length=70",
        "IMAGE=16",
        "BATCH=16",
        "STEPS=7",
        "CLUSTERS=6",
    ),
    *("TRUNK=@encoders.ViT()", "DIM=16", "DEPTH=1", "HEADS=2", "small/views.Pretrain.size=8"),
    *("Trainer.log_every=7", "Trainer.save_every=4", "Trainer.evaluate=None", "Trainer.draw=None"),
    "schedule.Delayed.until=2",
]
OWN = {
    "swav": ["clusters.Queue.size=32", "clusters.Queue.start=1"],
    "dino": ["predictors.Heads.layers=(8, 8)"],
}
KEPT = {
    "swav": ["target.queue.rows", "target.queue.count"],
    "dino": [
        "target.assignment.centre",
        "target.head.module.head.weight",
        "target.teacher.module.cls_token",
    ],
}


def saved(folder, step):
    return load_file(folder / "checkpoints" / f"step-{step:08d}" / "state.safetensors")


@pytest.mark.parametrize("paper", ["swav", "dino"])
def test_resumed_equals_uninterrupted(paper, tmp_path):
    command = flags([f"gin/{paper}.gin", *SMALL, *OWN[paper]])
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert main([*command, "--workdir", str(whole)]) == 0
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoints" / "step-00000007")
    assert main([*command, "--workdir", str(resumed), "--resume", "auto"]) == 0
    middle, first, second = saved(whole, 4), saved(whole, 7), saved(resumed, 7)
    assert all(torch.equal(first[name], second[name]) for name in first | second)
    for name in KEPT[paper]:
        (key,) = (key for key in first if key.endswith(name))
        assert first[key].any() and not torch.equal(first[key], middle[key])
    if paper == "swav":
        (count,) = (value for key, value in first.items() if key.endswith("queue.count"))
        assert count.tolist() == [96, 96]  # full since the third step
