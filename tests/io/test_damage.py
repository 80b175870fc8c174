"""What is damaged is said by name, and the newest whole checkpoint is taken."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from pymim.errors import ConfigError
from pymim.io import checkpoint, weights
from tests.io.test_checkpoint import trained

STATE, META = "state.safetensors", "meta.json"


def flip(file, place=-3):
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def empty(file):
    file.write_bytes(b"")


def without_sums(file):
    """An older checkpoint, one byte short."""
    meta = json.loads((file.parent / META).read_text())
    (file.parent / META).write_text(json.dumps({"step": meta["step"]}))
    cut(file)


def of_step_2(file):
    shutil.copy(file.parents[1] / "step-00000002" / file.name, file)


def another_seed(file):
    file.write_text(file.read_text().replace('"seed": 7', '"seed": 8'))


DAMAGES = {
    "flipped": (STATE, flip, "is changed: its checksum is"),
    "flipped in the header": (STATE, lambda file: flip(file, 20), "is changed: its checksum is"),
    "cut": (STATE, cut, "bytes, and had"),
    "empty": (STATE, empty, "has 0 bytes, and had"),
    "missing": (STATE, lambda file: file.unlink(), "is missing"),
    "a folder": (
        STATE,
        lambda file: (file.unlink(), file.mkdir()),
        "cannot be read (Is a directory)",
    ),
    "mixed up": (STATE, of_step_2, "is changed: its checksum is"),
    "cut, without sums": (STATE, without_sums, "is cut short or changed"),
    "meta cut": (META, cut, "is cut short or changed: it is not JSON"),
    "meta empty": (META, empty, "is cut short or changed: it is not JSON"),
    "meta of zeros": (META, lambda file: file.write_bytes(bytes(99)), "it is not JSON"),
    "meta a number": (META, lambda file: file.write_text("7"), "names no step"),
    "meta missing": (META, lambda file: file.unlink(), "is missing"),
    "meta changed": (META, another_seed, "is changed: its checksum is"),
    "meta of another step": (META, of_step_2, "is of step 2, in the folder of step 3"),
}


@pytest.fixture
def run(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path / "checkpoints", step, *trained(steps=step), {"seed": 7}, keep=3)
    return tmp_path


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(what, run, caplog):
    name, damage, said = DAMAGES[what]
    file = run / "checkpoints/step-00000003" / name
    damage(file)
    module, optimizer = trained(steps=0)
    before = module.weight.clone()
    with pytest.raises(ConfigError) as refused:
        checkpoint.load(file.parent, module, optimizer)
    assert str(refused.value).startswith(f"{file}: ") and said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert torch.equal(module.weight, before) and not optimizer.state
    taken = checkpoint.restore_newest(
        run, lambda path: checkpoint.load(path, module, optimizer)["step"]
    )
    assert taken == (run / "checkpoints/step-00000002", 2) and checkpoint.newest(run) == taken[0]
    assert torch.equal(module.weight, load_file(taken[0] / STATE)["weight"])
    assert f"{refused.value}; the checkpoint before it is tried" in caplog.text


def test_without_a_complete_checkpoint_the_first_reason_is_given(run):
    for step in (1, 2, 3):
        cut(run / f"checkpoints/step-{step:08d}" / STATE)
    with pytest.raises(
        ConfigError,
        match=r"no complete checkpoint; the newest of 3: .*step-00000003/state.safetensors: has",
    ):
        checkpoint.newest(run)


def test_a_checkpoint_that_is_copied_may_have_any_name(run):
    shutil.copytree(run / "checkpoints/step-00000002", run / "best")
    assert checkpoint.check(run / "best") == 2


def test_a_checkpoint_deleted_meanwhile_is_skipped(run, caplog):
    """Evaluation lists it, the training that goes on drops it and has a newer one."""

    def restore(path):
        if not asked:
            checkpoint.save(path.parent, 4, *trained(), {}, keep=1)
        asked.append(path.name)
        return checkpoint.check(path)

    asked = []
    assert checkpoint.restore_newest(run, restore) == (run / "checkpoints/step-00000004", 4)
    assert asked == ["step-00000003", "step-00000004"] and not caplog.text


def test_weights_to_begin_from_are_of_the_newest_whole_checkpoint(run, caplog):
    flip(run / "checkpoints/step-00000003" / STATE)
    module, _ = trained(steps=0)
    assert weights.load(module, run).file == run / "checkpoints/step-00000002" / STATE
    assert "step-00000003/state.safetensors: is changed" in caplog.text
    for named in ("step-00000003", f"step-00000003/{STATE}"):
        with pytest.raises(ConfigError, match="is changed"):
            weights.load(module, run / "checkpoints" / named)
