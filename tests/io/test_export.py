"""What is exported gives the same features in plain torch and in transformers."""

import json

import pytest
import torch
from safetensors.torch import load_file

from pymim.encoders import Projected, ResNet, ViT
from pymim.io.export import export


def encoder():
    torch.manual_seed(0)
    return ViT(32, 2, 4, image=(16, 24), patch=4).eval()


def test_exported_weights_are_the_encoders_own(tmp_path):
    ours = encoder()
    export(ours, tmp_path, [0.5] * 3, [0.5] * 3)
    again = ViT(32, 2, 4, image=(16, 24), patch=4).eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    view = torch.randn(2, 3, 16, 24)
    assert torch.equal(again(view).tokens, ours(view).tokens)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_args"]["img_size"] == [16, 24]
    assert config["model_args"]["depth"] == 2


def test_transformers_loads_it(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = encoder()
    export(ours, tmp_path, [0.5] * 3, [0.5] * 3)
    theirs = transformers.ViTModel.from_pretrained(tmp_path / "transformers", add_pooling_layer=False).eval()
    view = torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        features = ours(view)
        torch.testing.assert_close(
            theirs(view).last_hidden_state, torch.cat([features.prefix, features.tokens], 1), atol=1e-5, rtol=1e-4
        )


def test_what_transformers_has_not_is_written_for_timm_alone(tmp_path):
    written = export(ViT(32, 1, 4, image=16, patch=4, registers=2), tmp_path, [0.0], [1.0])
    assert written == [tmp_path]


def test_what_timm_has_not_is_written_without_a_promise(tmp_path):
    ours = ViT(32, 1, 4, image=16, patch=4, positions="rotary", norm="rms", bias=False)
    assert export(ours, tmp_path, [0.0], [1.0]) == [tmp_path]
    assert not (tmp_path / "config.json").exists()
    ours.load_state_dict(load_file(tmp_path / "model.safetensors"))


def test_other_encoders_are_written_without_their_projection(tmp_path):
    ours = Projected(ResNet((1, 1), dim=4, image=16), (8, 4))
    assert export(ours, tmp_path, [0.0], [1.0]) == [tmp_path]
    ResNet((1, 1), dim=4, image=16).load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert not (tmp_path / "config.json").exists()
    assert len(export(Projected(encoder(), (8, 4)), tmp_path, [0.5] * 3, [0.5] * 3)) == 2


def test_both_sides_of_a_patch_are_written(tmp_path):
    """A library that reads the configuration makes the same tokens."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ours = ViT(32, 1, 4, image=(16, 24), patch=(4, 8)).eval()
    export(ours, tmp_path, [0.5] * 3, [0.5] * 3)
    assert json.loads((tmp_path / "config.json").read_text())["model_args"]["patch_size"] == [4, 8]
    theirs = transformers.ViTModel.from_pretrained(tmp_path / "transformers", add_pooling_layer=False).eval()
    view = torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        tokens = theirs(view).last_hidden_state[:, 1:]
    torch.testing.assert_close(tokens, ours(view).tokens, atol=1e-5, rtol=1e-4)


def test_an_encoder_of_clips_is_written_without_a_promise(tmp_path):
    """Neither library's ViT has a third axis."""
    ours = ViT(24, 1, 2, image=(4, 8, 8), patch=(2, 4, 4))
    assert export(ours, tmp_path, [0.0], [1.0]) == [tmp_path]
    assert not (tmp_path / "config.json").exists()
    ours.load_state_dict(load_file(tmp_path / "model.safetensors"))
