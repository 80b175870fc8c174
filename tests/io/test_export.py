"""An export gives the same features in torch, timm and transformers as here, or says why not."""

import json
import math
import re

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from pymim import views
from pymim.encoders import Projected, ResNet, Sobel, Stacked, ViT
from pymim.io.export import export, written
from pymim.io.libraries import Shown
from pymim.probes.reading import Reading
from tests.io.timm_rules import timm_resnet, timm_vit

HALF = [0.5] * 3


def encoder(**more):
    torch.manual_seed(0)
    made = ViT(32, 2, 4, **({"image": (16, 24), "patch": 4} | more)).eval()
    with torch.no_grad():
        for value in made.parameters():
            value.add_(
                0.05 * torch.randn(value.shape)
            )  # biases, norms and gains are not what they begin as
    return made


VITS = {
    "plain": {},
    "mean": {"pool": "mean"},
    "mean behind": {"pool": "mean-norm"},
    "registers": {"registers": 3},
    "registers alone": {"registers": 2, "class_token": False, "pool": "mean"},
    "no class token": {"class_token": False, "pool": "mean"},
    "no class token, mean behind": {"class_token": False, "pool": "mean-norm"},
    "layer scale": {"layer_scale": 0.1},
    "layer scale from 0": {"layer_scale": 0.0},
    "learned": {"positions": "learned", "hidden": "token"},
    "no positions": {"positions": "none"},
    "no biases": {"bias": False},
    "oblong": {"patch": (4, 8)},
    "odd width": {"mlp_ratio": 85.5 / 32},
    "one channel": {"channels": 1},
}


@pytest.mark.parametrize("pool", ["encoder", "mean", "class"])
@pytest.mark.parametrize("name", VITS)
def test_timm_answers_as_our_evaluation_does(tmp_path, name, pool):
    ours = encoder(**VITS[name])
    view = torch.randn(2, ours.channels, 16, 24)
    folders, said = written(ours, tmp_path, Shown([0.5], [0.2], (16, 24), 0.875, pool))
    if ours.pool == "mean-norm" and pool != "encoder":
        assert said["timm"] == (
            f"the evaluation pools {pool!r} before the norm, which timm leaves out; "
            "set evaluate.Evaluation.pool = 'encoder'"
        )
        assert not (tmp_path / "config.json").exists() and folders == [tmp_path]
        return
    if ours.cls_token is None and pool == "class":
        return  # no evaluation takes it
    assert said["timm"] == "loads it"
    tokens, pooled = timm_vit(tmp_path, view)
    with torch.no_grad():
        features = ours(view)
    right = {
        "encoder": features.pooled,
        "mean": features.tokens.mean(1),
        "class": features.prefix[:, :1].mean(1),
    }
    torch.testing.assert_close(tokens[:, ours.prefix :], features.tokens, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled, right[pool], atol=1e-5, rtol=1e-4)
    cfg = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    assert (
        cfg["crop_pct"] == 0.875
        and cfg["interpolation"] == "bicubic"
        and cfg["crop_mode"] == "center"
    )
    assert cfg["input_size"] == [ours.channels, 16, 24] and cfg["mean"] == [0.5] * ours.channels
    assert math.floor(224 / cfg["crop_pct"]) == 256


REFUSED = {
    "rotary": ({"positions": "rotary"}, "its ViT has no rotary positions"),
    "root mean square": ({"norm": "rms"}, "its ViT has layer norms"),
    "two tables": ({"positions": "separable"}, "its ViT has one table of positions"),
    "clips": ({"image": (4, 8, 8), "patch": (2, 4, 4), "dim": 24}, "it has no encoder of clips"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_encoder_that_neither_library_has_is_refused_with_the_reason(tmp_path, name):
    made, reason = REFUSED[name]
    ours = ViT(**{"dim": 32, "depth": 1, "heads": 2, "image": 16, "patch": 4, **made})
    folders, said = written(ours, tmp_path, Shown([0.0], [1.0]))
    assert said == {"timm": reason, "transformers": reason} and folders == [tmp_path]
    assert not (tmp_path / "config.json").exists() and not (tmp_path / "transformers").exists()
    assert json.loads((tmp_path / "pymim.json").read_text())["timm"] == reason
    ours.load_state_dict(load_file(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("made", "shown", "library", "reason"),
    [
        ({"registers": 2}, {}, "transformers", "its ViT has a class token and no registers"),
        (
            {"class_token": False, "pool": "mean"},
            {},
            "transformers",
            "its ViT has a class token and no registers",
        ),
        ({"layer_scale": 0.1}, {}, "transformers", "its ViT has no layer scale"),
        ({"pool": "mean-norm"}, {}, "transformers", "its ViT has a norm before the pooling"),
        ({"norm_affine": False}, {}, "timm", "its last norm has weights"),
        (
            {},
            {"layer": 1},
            "timm",
            "it gives the last layer only, and the evaluation reads layer 1",
        ),
        (
            {},
            {"layer": 1},
            "transformers",
            "it gives the last layer only, and the evaluation reads layer 1",
        ),
        ({}, {"size": (32, 32)}, "timm", r"it resamples positions in another way, from \[16, 24\]"),
        ({}, {"kernel": "bilinear-aliased"}, "timm", "its processor smooths when it shrinks"),
        (
            {"image": 16},
            {"kernel": "bilinear-aliased"},
            "transformers",
            "its processor smooths when it shrinks",
        ),
    ],
)
def test_an_encoder_that_one_library_lacks_is_refused_with_the_reason(
    tmp_path, made, shown, library, reason
):
    _, said = written(encoder(**made), tmp_path, Shown(HALF, HALF, **shown))
    assert re.match(reason, said[library])
    assert (tmp_path / "config.json").exists() == (said["timm"] == "loads it")
    assert (tmp_path / "transformers").exists() == ("its processor" in said["transformers"])


TRANSFORMERS = {
    "plain": {},
    "mean": {"pool": "mean"},
    "learned": {"positions": "learned", "hidden": "token"},
    "no positions": {"positions": "none"},
    "no biases": {"bias": False},
    "no last weights": {"norm_affine": False},
    "oblong": {"patch": (4, 8)},
    "one channel": {"channels": 1},
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_answers_as_our_evaluation_does(tmp_path, name):
    """From a picture to the vector that probes see, by AutoImageProcessor and AutoModel."""
    transformers = pytest.importorskip("transformers")
    ours = encoder(image=(32, 32), **TRANSFORMERS[name])
    channels = ours.channels
    mean, std = [0.5, 0.4, 0.3][:channels], [0.2, 0.3, 0.4][:channels]
    _, said = written(ours, tmp_path, Shown(mean, std, (32, 32), 0.875, "mean"))
    assert said["transformers"] == "loads it"
    folder = tmp_path / "transformers"
    prepare, theirs = (
        getattr(transformers, kind).from_pretrained(folder)
        for kind in ("AutoImageProcessor", "AutoModel")
    )
    image = torch.randint(0, 256, (channels, 70, 50), dtype=torch.uint8) // 2 + 64
    pixels = image.permute(1, 2, 0).numpy() if channels == 3 else image[0].numpy()
    given = {} if channels == 3 else {"input_data_format": "channels_first"}
    picture = Image.fromarray(pixels) if channels == 3 else image.numpy()
    prepared = prepare(picture, return_tensors="pt", **given)["pixel_values"]
    view = views.Center(32, 0.875, (mean, std))([image])
    torch.testing.assert_close(prepared, view, atol=1.01 / 255 / min(std), rtol=0)
    with torch.no_grad():
        found, right = theirs.eval()(view), ours(view)
    torch.testing.assert_close(found.last_hidden_state[:, 1:], right.tokens, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.pooler_output, right.prefix[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (2, 1, 1, 1)])
@pytest.mark.parametrize("bottleneck", [False, True])
def test_timm_has_our_residual_networks(tmp_path, depths, bottleneck):
    torch.manual_seed(0)
    ours = ResNet(depths, bottleneck=bottleneck, image=64).eval()
    for part in ours.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    folders, said = written(
        Projected(ours, (8, 4)), tmp_path, Shown(HALF, HALF, (64, 64), 0.875, "mean")
    )
    assert said["timm"] == "loads it" and folders == [tmp_path]
    assert json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]["crop_pct"] == 0.875
    view = torch.randn(2, 3, 64, 64)
    pooled = Reading("mean").all(ours, view, (), 2)["pooled"]
    found = timm_resnet(tmp_path, view)
    torch.testing.assert_close(
        found, pooled, atol=0.05 * float(pooled.abs().max()), rtol=0.05
    )  # bf16
    torch.testing.assert_close(found, ours(view).pooled, atol=1e-4, rtol=1e-3)


OTHERS = {
    "small": (lambda: ResNet(stem="small", image=32), "four stages"),
    "narrow": (lambda: ResNet((1, 1), dim=4, image=32), "four stages"),
    "stacked": (lambda: Stacked(((8, 3, 1, 1), (2, 2)), image=32), "no Stacked without a head"),
    "edges": (lambda: Sobel(ResNet(channels=2, image=32)), "no encoder that sees Sobel edges"),
    "seen edges": (
        lambda: Sobel(Stacked(((8, 3, 1, 1),), image=32, channels=2)),
        "no encoder that sees Sobel edges",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_export_has_the_settings_beside_its_weights(tmp_path, name):
    make, reason = OTHERS[name]
    shown = Shown([0.5], [0.2], (32, 32), 0.875, "mean")
    folders, said = written(make(), tmp_path, shown)
    assert folders == [tmp_path] and reason in said["timm"]
    assert not (tmp_path / "config.json").exists()
    known = json.loads((tmp_path / "pymim.json").read_text())
    assert known["mean"] == [0.5] * 3 and known["deviation"] == [0.2] * 3 and known["channels"] == 3
    assert (
        known["size"] == [32, 32]
        and known["share of the shorter side"] == 0.875
        and known["pool"] == "mean"
    )
    edges = "Sobel edges of the mean of the channels"
    assert known.get("sees") == (edges if "edges" in name else None)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata().get("sees") == known.get("sees")
    make().load_state_dict(load_file(tmp_path / "model.safetensors"))


def test_exported_weights_are_the_encoders_own(tmp_path):
    ours = encoder()
    export(ours, tmp_path, HALF, HALF)
    again = ViT(32, 2, 4, image=(16, 24), patch=4).eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    view = torch.randn(2, 3, 16, 24)
    assert torch.equal(again(view).tokens, ours(view).tokens)
