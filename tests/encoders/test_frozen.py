"""A frozen encoder reads its file when needed, checks its tensors, and names what is missing."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from pymim import encoders
from pymim.contracts import KeptElsewhere
from pymim.errors import ConfigError
from pymim.io.export import export


def vit(seed=0):
    torch.manual_seed(seed)
    return encoders.ViT(16, 1, 2, image=16, patch=4)


@pytest.fixture
def folder(tmp_path):
    export(vit(1), tmp_path, [0.5] * 3, [0.5] * 3)
    return tmp_path


VIEW = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_file_is_read_when_the_encoder_is_first_called(folder):
    frozen = encoders.Frozen(vit(), folder)
    assert isinstance(frozen, KeptElsewhere) and frozen.checksum == ""
    torch.testing.assert_close(frozen(VIEW).tokens, vit(1)(VIEW).tokens)
    assert frozen.checksum
    (folder / "model.safetensors").unlink()
    frozen(VIEW)  # it is read once
    frozen.before_run(None)


def test_a_frozen_encoder_reads_its_file_when_the_run_begins(folder):
    frozen = encoders.Frozen(vit(), folder)
    frozen.before_run(None)
    assert torch.equal(
        frozen.module.cls_token, load_file(folder / "model.safetensors")["cls_token"]
    )


def test_a_file_that_is_gone_is_one_line(folder):
    frozen = encoders.Frozen(vit(), folder)
    (folder / "model.safetensors").unlink()
    for needs in (frozen.check, frozen.read, lambda: frozen(VIEW)):
        with pytest.raises(
            ConfigError,
            match=f"Frozen: path: .*, got {folder}, which is not there or has none; "
            "export a run, and set enc",
        ):
            needs()


def test_the_checksum_is_of_the_tensors_whatever_the_file(folder):
    first, other = (
        encoders.Frozen(vit(), folder),
        encoders.Frozen(vit(), folder / "other.safetensors"),
    )
    first.read()
    tensors = load_file(folder / "model.safetensors")
    save_file(
        dict(reversed(tensors.items())), folder / "other.safetensors", metadata={"of": "somebody"}
    )
    other.checksum = first.checksum  # as a checkpoint sets it
    other.read()
    save_file(tensors | {"cls_token": tensors["cls_token"] + 1}, folder / "other.safetensors")
    changed = encoders.Frozen(vit(), folder / "other.safetensors")
    changed.checksum = first.checksum
    with pytest.raises(
        ConfigError,
        match=r"expected the tensors that the run started with, got other ones in .*other",
    ):
        changed.read()


def test_without_a_file_it_stays_as_it_was_made():
    source = vit()
    frozen = encoders.Frozen(source)
    frozen.check()
    frozen.before_run(None)
    assert frozen.file is None
    torch.testing.assert_close(frozen(VIEW).tokens, vit()(VIEW).tokens)


def test_on_the_meta_device_nothing_is_read(tmp_path):
    with torch.device("meta"):
        frozen = encoders.Frozen(vit(), tmp_path / "nothing")
        assert frozen(VIEW.to("meta")).tokens.shape == (2, 16, 16)
