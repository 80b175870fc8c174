"""A checkpoint is complete or absent, restores every bit, and refuses another configuration."""

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pymim.errors import ConfigError
from pymim.io import Folder, Metrics, checkpoint
from tests.launch import one_of_two


def trained(width=4, steps=3):
    torch.manual_seed(0)
    module = nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(steps):
        module(torch.ones(1, width)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return module, optimizer


def rewrite(path, tensors):
    """Another state in an older checkpoint, which has no checksums."""
    save_file(tensors, path / "state.safetensors")
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(
        json.dumps({k: v for k, v in meta.items() if k not in ("files", "checksum")})
    )


def test_resumed_training_equals_uninterrupted(tmp_path):
    module, optimizer = trained(steps=3)
    path = checkpoint.save(tmp_path, 3, module, optimizer, {}, keep=2)
    again, fresh = trained(steps=0)
    assert checkpoint.load(path, again, fresh)["step"] == 3
    for group in fresh.param_groups:
        group["lr"], group["weight_decay"] = 0.1, 0.01
    for m, o in ((module, optimizer), (again, fresh)):
        m(torch.ones(1, 4)).square().sum().backward()
        o.step()
    assert torch.equal(module.weight, again.weight)


def test_nothing_is_pickled_and_old_checkpoints_are_deleted(tmp_path):
    module, optimizer = trained()
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, module, optimizer, {"seed": 7}, keep=2)
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-00000002", "step-00000003"]
    kinds = {path.suffix for path in (tmp_path / "step-00000003").iterdir()}
    assert kinds == {".safetensors", ".json"}


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    module, optimizer = trained()
    path = checkpoint.save(tmp_path, 1, module, optimizer, {}, keep=2)
    (tmp_path / "step-00000002").mkdir()
    assert checkpoint.steps(tmp_path) == [path]


def save_as(rank, folder):
    with one_of_two(rank, folder):
        checkpoint.save(folder / "checkpoints", 3, *trained(), {}, keep=1)


def test_two_processes_save_every_tensor(tmp_path):
    torch.multiprocessing.spawn(save_as, (tmp_path,), nprocs=2)
    again, fresh = trained(steps=0)
    checkpoint.load(checkpoint.newest(tmp_path), again, fresh)
    module, optimizer = trained()
    assert torch.equal(module.weight, again.weight) and torch.equal(module.bias, again.bias)
    for p, q in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(optimizer.state[p]["exp_avg_sq"], fresh.state[q]["exp_avg_sq"])


def save_with_a_late_leader(rank, folder):
    if rank == 0:
        remove = checkpoint.shutil.rmtree
        checkpoint.shutil.rmtree = lambda *args, **more: (remove(*args, **more), time.sleep(0.5))
    save_as(rank, folder)


def test_a_late_leader_removes_nothing_of_the_others(tmp_path):
    (tmp_path / "checkpoints/.writing-step-00000003/left by a kill").mkdir(parents=True)
    torch.multiprocessing.spawn(save_with_a_late_leader, (tmp_path,), nprocs=2)
    assert {path.name for path in checkpoint.newest(tmp_path).iterdir()} == {
        "meta.json",
        "state.safetensors",
    }
    assert not (checkpoint.newest(tmp_path) / "left by a kill").exists()


def test_another_configuration_is_refused(tmp_path):
    path = checkpoint.save(tmp_path, 1, *trained(4), {}, keep=1)
    with pytest.raises(ConfigError, match=r"expected weight of shape \[2, 5\], got \[2, 4\]"):
        checkpoint.load(path, *trained(5, steps=0))


def state(frozen=None):
    """A trainer's modules, and its optimiser, as 0.1 and later ones have them."""
    torch.manual_seed(1)
    parts = {"encoder": nn.Linear(4, 3), "head": nn.Linear(3, 2)} | (
        {"teacher": frozen} if frozen else {}
    )
    whole = nn.ModuleDict({"method": nn.ModuleDict(parts), "average": nn.Linear(4, 3)})
    return whole, torch.optim.AdamW(whole["method"]["encoder"].parameters(), lr=0.1)


def test_names_are_those_of_the_modules(tmp_path):
    whole, optimizer = state()
    checkpoint.materialise(optimizer)
    names = set(
        load_file(checkpoint.save(tmp_path, 1, whole, optimizer, {}, keep=1) / "state.safetensors")
    )
    assert {
        "method.encoder.weight",
        "average.bias",
        "optimizer.state.method.encoder.bias.exp_avg",
    } <= names
    assert all(name.split(".")[:2] != ["method", "method"] for name in names)


def test_a_checkpoint_with_the_names_of_0_1_is_read(tmp_path, caplog):
    whole, optimizer = state()
    checkpoint.materialise(optimizer)
    path = checkpoint.save(tmp_path, 1, whole, optimizer, {}, keep=1)
    saved = load_file(path / "state.safetensors")
    old = {
        name if name.startswith("optimizer.") else f"method.{name}": value
        for name, value in saved.items()
    }
    rewrite(path, old)
    again, fresh = state()
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    checkpoint.load(path, again, fresh)
    assert f"{path}: has no checksums" in caplog.text
    assert all(
        torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items()
    )


def test_a_parameter_without_a_gradient_yet_is_resumed_without_a_state(tmp_path):
    def step(module, optimizer, parts):
        sum(module["method"][part](torch.ones(1, n)).sum() for part, n in parts).backward()
        optimizer.step()
        optimizer.zero_grad()

    def begin():
        whole, _ = state()
        return whole, torch.optim.AdamW(whole["method"].parameters(), lr=0.1)

    whole, optimizer = begin()
    step(whole, optimizer, [("encoder", 4)])
    path = checkpoint.save(tmp_path, 1, whole, optimizer, {}, keep=1)
    again, fresh = begin()
    checkpoint.load(path, again, fresh)
    head = again["method"]["head"]
    assert head.weight not in fresh.state and again["method"]["encoder"].weight in fresh.state
    for group in fresh.param_groups:
        group["lr"], group["weight_decay"] = 0.1, 0.01
    for module, its in ((whole, optimizer), (again, fresh)):
        step(module, its, [("encoder", 4), ("head", 3)])
    assert all(
        torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items()
    )


def test_a_state_that_lacks_a_part_is_refused(tmp_path):
    path = checkpoint.save(tmp_path, 1, *trained(), {}, keep=1)
    saved = load_file(path / "state.safetensors")
    del saved["optimizer.state.weight.exp_avg_sq"]
    rewrite(path, saved)
    with pytest.raises(
        ConfigError, match=r"expected optimizer.state.weight.exp_avg_sq of shape .*, got nothing"
    ):
        checkpoint.load(path, *trained(steps=0))


class Elsewhere(nn.Linear):
    """Whose weights are in a file, it says."""

    file, checksum = Path("teacher.safetensors"), "abc"

    def check(self):
        """Nothing to look at."""

    def read(self):
        """Nothing to read."""


def test_tensors_kept_elsewhere_are_left_out_and_their_checksum_saved(tmp_path):
    whole, optimizer = state(Elsewhere(4, 3))
    path = checkpoint.save(tmp_path, 1, whole, optimizer, {}, keep=1)
    saved = load_file(path / "state.safetensors")
    assert not [name for name in saved if "teacher" in name]
    again, fresh = state(Elsewhere(4, 3))
    again["method"]["teacher"].checksum = ""
    assert checkpoint.load(path, again, fresh)["kept_elsewhere"] == {"method.teacher": "abc"}
    assert again["method"]["teacher"].checksum == "abc"
    rewrite(path, saved | {"method.teacher.weight": torch.zeros(3, 4)})  # as 0.1 did
    checkpoint.load(path, again, fresh)
    again["method"]["teacher"].file = None
    with pytest.raises(ConfigError, match=r"expected teacher.bias of shape \[3\], got nothing"):
        checkpoint.load(path, again, fresh)


def test_metrics_drop_repeated_steps(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for first, rows in ((0, (1, 2, 3)), (2, (3, 4))):
        metrics = Metrics(path, first)
        for step in rows:
            metrics.write(step, loss=float(step))
        metrics.close()
    path.write_text(path.read_text() + '{"step": 5, "lo')
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()[:-1]] == [1, 2, 3, 4]
    Metrics(path, 4).close()
    assert len(path.read_text().splitlines()) == 4


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    folder = Folder(tmp_path / "run")
    folder.create()
    folder.refuse_another_run(resuming=False)
    folder.write("config.gin", "")
    with pytest.raises(ConfigError, match="expected a new folder"):
        folder.refuse_another_run(resuming=False)
    folder.refuse_another_run(resuming=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a folder that can be written"):
        Folder(tmp_path / "file" / "run").create()
