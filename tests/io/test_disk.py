"""On a full disk or in a missing folder, the error names the file and its sizes; no part stays."""

import errno
import os
import re
import subprocess

import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file

from pymim.contracts import Batch
from pymim.draw.image import save
from pymim.encoders import ViT
from pymim.errors import Diverged, Unwritable
from pymim.io import Folder, Metrics, checkpoint, disk, replay
from pymim.io.export import export
from tests.io.test_checkpoint import trained

ROOM = 256 * 1024


@pytest.fixture
def small(tmp_path):
    """A disk of 256 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder):
    block = bytes(4096)
    with (
        (folder / "filler").open("wb", buffering=0) as file,
        pytest.raises(OSError, match="No space left"),
    ):
        while file.write(block):
            pass


def picture(folder):
    save(Figure(), folder / "pictures/curves.png")


def encoder(folder):
    export(ViT(image=8, patch=4, dim=96, depth=2, heads=2), folder / "export", [0.5] * 3, [0.5] * 3)


def saved(folder):
    checkpoint.save(folder / "checkpoints", 3, *trained(), {}, 2)


WRITERS = {
    "pictures/curves.png": picture,
    "evaluation/step-00000001.json": lambda folder: Folder(folder).write_json(
        "evaluation/step-00000001.json", {}
    ),
    "table.md": lambda folder: Folder(folder).write("table.md", "x" * 5000),
    "export/model.safetensors": encoder,
    "checkpoints/step-00000003": saved,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_reported_with_file_and_sizes(name, small):
    fill(small)
    with pytest.raises(Unwritable) as refused:
        WRITERS[name](small)
    said = str(refused.value)
    assert re.search(
        rf"{small / name}: could not be written \(No space left on device: [\d,.]+ (MB|bytes)", said
    )
    assert "wanted, 0 bytes free" in said and "make room" in said and "\n" not in said
    assert refused.value.exit_code == 6
    assert [path.name for path in small.rglob("*") if path.is_file()] == ["filler"]
    (small / "filler").unlink()
    if name != "export/model.safetensors":  # which is larger than the disk
        WRITERS[name](small)
        assert (small / name).exists()


def test_a_row_of_metrics_is_whole_or_not_there(small):
    metrics = Metrics(small / "metrics.jsonl")
    metrics.write(1, loss=0.5)
    fill(small)
    before = (small / "metrics.jsonl").read_bytes()
    with pytest.raises(
        Unwritable,
        match=r"metrics.jsonl: could not be written \(No space left.*8,0\d\d bytes wanted",
    ):
        metrics.write(2, text="x" * 8000)
    assert (small / "metrics.jsonl").read_bytes() == before
    metrics.close()
    (small / "filler").unlink()
    metrics = Metrics(small / "metrics.jsonl", 1)
    metrics.write(2, loss=0.25)
    metrics.close()
    assert (small / "metrics.jsonl").read_text().count("\n") == 2


def dump(folder):
    batch = Batch([torch.rand(8, 3, 64, 64)], torch.arange(8), torch.full((8,), -1))
    replay.keep_and_raise(Folder(folder), batch, 3, 0, 0, {"loss": float("nan")}, "the loss is nan")


def test_a_batch_that_diverged_is_reported_lost_if_the_disk_is_full(small):
    with pytest.raises(
        Diverged,
        match=r"nan at step 3; the batch is lost: .*: 39\d,\d\d\d bytes wanted, [\d,]+ bytes",
    ):
        dump(small)
    assert [path.suffix for path in (small / "nan").iterdir()] == [".json"]


def test_a_batch_that_diverged_is_kept(tmp_path):
    with pytest.raises(
        Diverged, match=r"the batch is in .*nan/step-00000003-rank-0.safetensors; lower"
    ):
        dump(tmp_path)
    assert load_file(tmp_path / "nan/step-00000003-rank-0.safetensors")["view0"].shape == (
        8,
        3,
        64,
        64,
    )


def gone(folder, tmp_path):
    folder.rename(tmp_path / "renamed")


@pytest.mark.parametrize("write", [saved, lambda folder: Folder(folder).write("status.json", "{}")])
def test_a_missing_run_folder_is_reported_and_not_made_again(write, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    gone(folder, tmp_path)
    with pytest.raises(
        Unwritable, match=r"run/.*: could not be written.* is gone.*deleted or renamed"
    ):
        write(folder)
    assert not folder.exists()


def test_missing_metrics_are_reported(tmp_path):
    (tmp_path / "run").mkdir()
    metrics = Metrics(tmp_path / "run/metrics.jsonl")
    gone(tmp_path / "run", tmp_path)
    with pytest.raises(Unwritable, match=r"metrics.jsonl: is gone; was the run's folder deleted"):
        metrics.write(1, loss=0.5)
    metrics.close()
    assert not (tmp_path / "run").exists()


def test_a_damaged_row_of_metrics_hides_no_other(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\0\0\0\0\n7\n{"step": 2}\n{"step": \xff\n{"step": 3}\n{"ste')
    Metrics(path, 9).close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.fixture
def calls(monkeypatch):
    """What is synced and renamed, in turn."""
    found = []
    sync, rename, replace = os.fsync, disk.Path.rename, disk.Path.replace

    def named(handle):
        return os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115, PTH119

    def note(change):
        def changed(path, other):
            found.append(f"{path.name} -> {other.name}")
            return change(path, other)

        return changed

    monkeypatch.setattr(os, "fsync", lambda handle: (found.append(named(handle)), sync(handle))[1])
    monkeypatch.setattr(disk.Path, "rename", note(rename))
    monkeypatch.setattr(disk.Path, "replace", note(replace))
    return found


def test_a_file_and_a_folder_are_on_the_disk_before_they_have_their_names(tmp_path, calls):
    disk.write_whole(tmp_path / "config.gin", "")
    beside = ".config.gin.writing"
    assert calls == [beside, f"{beside} -> config.gin", tmp_path.name]
    calls.clear()
    checkpoint.save(tmp_path / "checkpoints", 3, *trained(), {}, 2)
    beside = ".writing-step-00000003"
    assert calls == [
        "state.safetensors",
        "meta.json",
        beside,
        f"{beside} -> step-00000003",
        "checkpoints",
    ]


def test_a_file_system_without_folder_sync_works(tmp_path, monkeypatch):
    def refuse(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    disk.write_whole(tmp_path / "config.gin", "x")
    assert (tmp_path / "config.gin").read_text() == "x"
