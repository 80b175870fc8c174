"""An export prepares pictures in timm and transformers as the evaluation does."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from pymim import config, views
from pymim.io.export import _shown, written
from pymim.io.libraries import Shown
from tests.io.test_export import HALF, encoder


@pytest.mark.parametrize(
    ("kernel", "number"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]
)
def test_the_kernel_of_the_view_is_that_of_the_libraries(tmp_path, kernel, number):
    written(encoder(image=16), tmp_path, Shown(HALF, HALF, kernel=kernel))
    cfg = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    prepared = json.loads((tmp_path / "transformers/preprocessor_config.json").read_text())
    assert cfg["interpolation"] == kernel and prepared["resample"] == number
    assert json.loads((tmp_path / "pymim.json").read_text())["interpolation"] == kernel


def test_an_export_prepares_pictures_as_the_evaluation(tmp_path):
    """Its view and its pool are written, not the training's."""
    bindings = (
        "STEPS=2",
        "views.Center.share=0.75",
        "evaluate.Evaluation.pool='class'",
        "STATISTICS='half'",
    )
    config.load(["gin/mae.gin"], list(bindings))
    ours = encoder(image=32)
    shown = _shown(ours)
    assert shown == Shown([0.5], [0.5], (32, 32), 0.75, "class", None)
    written(ours, tmp_path, shown)
    made = json.loads((tmp_path / "config.json").read_text())
    assert (
        made["model_args"]["global_pool"] == "token" and made["pretrained_cfg"]["crop_pct"] == 0.75
    )
    config.load(["gin/mae.gin"], ["STEPS=2", "STATISTICS='half'", "train.Trainer.evaluate=None"])
    assert _shown(ours) == Shown([0.5], [0.5], None, 1.0, "encoder", None)


def test_a_picture_that_is_not_square_is_cropped_in_the_same_way(tmp_path):
    """timm scales the shorter side to floor(size / crop_pct), bicubic, and crops the middle."""
    written(encoder(image=32), tmp_path, Shown(HALF, HALF, (32, 32), 0.875, "mean"))
    cfg = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    image = torch.randint(0, 256, (3, 90, 61), dtype=torch.uint8) // 2 + 64
    side, least = cfg["input_size"][1], math.floor(cfg["input_size"][1] / cfg["crop_pct"])
    scaled = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
        (least, int(least * 90 / 61)), Image.BICUBIC
    )
    left, top = (round((extent - side) / 2) for extent in scaled.size)
    pixels = (
        np.asarray(scaled.crop((left, top, left + side, top + side)), np.float32).transpose(2, 0, 1)
        / 255
    )
    theirs = (torch.from_numpy(pixels) - 0.5) / 0.5
    torch.testing.assert_close(
        views.Center(32, 0.875, "half")([image])[0], theirs, atol=2.01 / 127, rtol=0
    )
