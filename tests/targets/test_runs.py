"""Both gin files as a command: resumed, and in two processes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from pymim.config import flags
from pymim.run import main
from tests.launch import in_two_processes

SMALL = [
    *(
        "DATA=@data.Digits",
        "data.Digits.length=70",
        "IMAGE=16",
        "BATCH=16",
        "STEPS=11",
        "CLUSTERS=6",
    ),
    *("encoders.ResNet.dim=4", "encoders.ResNet.depths=(1, 1)", "clusters.Survey.batch=16"),
    *("Trainer.log_every=1", "Trainer.save_every=6", "Trainer.evaluate=None", "Trainer.draw=None"),
]


def command(paper, folder, *more):
    return [*flags([f"gin/{paper}.gin", *SMALL, *more]), "--workdir", str(folder)]


def saved(folder, step):
    (path,) = (folder / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")
    return load_file(path)


def rows(folder, name="clusters"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("paper", ["deepcluster", "deepcluster_v2"])
def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(paper, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert main(command(paper, whole)) == 0
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoints" / "step-00000011")
    assert main([*command(paper, resumed), "--resume", "auto"]) == 0
    first, second = saved(whole, 11), saved(resumed, 11)
    assert all(torch.equal(first[name], second[name]) for name in first | second)
    told = [[row | {"seconds": 0} for row in rows(folder)] for folder in (whole, resumed)]
    assert told[0] == told[1]
    assert [row["step"] for row in rows(whole)] == [0, 4, 8]  # 4 steps of 16 in 70 pictures
    assert [row["epoch"] for row in rows(whole)] == pytest.approx([0, 64 / 70, 128 / 70], abs=1e-4)


@pytest.mark.parametrize("paper", ["deepcluster", "deepcluster_v2"])
def test_two_processes_cluster_as_one_does(paper, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ("STEPS=1", "Trainer.precision='float32'", "clusters.Survey.precision='float32'")
    assert main(command(paper, one, *options)) == 0
    in_two_processes(command(paper, two, *options))
    first, second = saved(one, 1), saved(two, 1)
    assert (first["method.objectives.0.target.labels"] >= 0).all()
    for name in first:
        if name.endswith((".labels", ".distances", ".centroids")):
            torch.testing.assert_close(second[name], first[name], rtol=1e-4, atol=1e-5)
    assert rows(two)[0]["objective"] == pytest.approx(rows(one)[0]["objective"], rel=1e-5)
    if paper == "deepcluster_v2":  # each process has remembered what the other one saw
        bank = "method.objectives.0.target.bank"
        assert (second[bank] - first[bank]).norm() < 0.2 * first[bank].norm()
        torch.testing.assert_close(
            second[bank].norm(dim=2), torch.ones(2, 70), rtol=1e-3, atol=1e-3
        )
