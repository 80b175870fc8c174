"""Recipes against releases: initial weights, resampling kernels, and what is encoded together."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from pymim import config

GIN = Path(__file__).parent.parent.parent / "gin"
RECIPES = sorted(path.stem for path in (GIN / "recipe").glob("*.gin"))
VIDEO = {
    "mae_video",
    "hpm_video",
    "adamae",
    "sigma",
    "sigma_dino",
}  # they share one model file's start
APART = {"mae_st", "capi"}
TOGETHER = {"swav", "swav_256", "deepcluster_v2", "dino"}
# Everything else is bicubic: MAE, HPM, CAPI, DINO, MFM and LocalMIM name it in their code.
KERNELS = {
    **dict.fromkeys(
        ("simmim", "ijepa", "swav", "swav_256", "deepcluster_v2", "clusterfit"), "bilinear"
    ),
    **dict.fromkeys(("deepcluster", "deepcluster_vgg16", *VIDEO), "bilinear"),
    "mae_st": "bilinear-aliased",
    "scan": "bicubic",  # its second stage resamples nothing
}


def loaded(recipe, *words):
    files = [word for word in words if word.endswith(".gin")]
    bindings = [word for word in words if not word.endswith(".gin")]
    config.load([f"gin/recipe/{recipe}.gin", *files], bindings)


def method_of(recipe, *words):
    loaded(recipe, *words)
    with torch.device("meta"):
        return config.build("train.Trainer", "method")


@pytest.mark.parametrize("recipe", RECIPES)
def test_weights_start_as_released(recipe):
    loaded(recipe)
    predictor = "predictors.Cross" if recipe == "capi" else "predictors.Transformer"
    assert config.value("encoders.ViT", "qkv_init", "joint") == (
        "apart" if recipe in APART else "joint"
    )
    assert config.value(predictor, "qkv_init", "joint") == ("apart" if recipe in APART else "joint")
    start = "torch" if recipe in VIDEO else "xavier"
    assert config.value("encoders.ViT", "patch_init", "xavier") == start
    assert config.value("predictors.Transformer", "embed_init", "xavier") == start
    wanted = 0.01 if recipe in ("deepcluster", "deepcluster_vgg16") else None
    assert config.value("encoders.Projected", "std", None) == wanted
    assert config.value("method.Method", "together", False) == (recipe in TOGETHER)


@pytest.mark.parametrize("recipe", RECIPES)
def test_views_resample_as_released(recipe):
    loaded(recipe)
    with torch.device("meta"):
        kernels = {
            view.kernel for view in config.parts("data.Loader", "views") if hasattr(view, "kernel")
        }
    assert kernels == {KERNELS.get(recipe, "bicubic")}


def test_the_decoder_of_space_time_masks_has_its_own_class_token():
    method = method_of("mae_st")
    decoder = method.objectives[0].predictor
    assert decoder.cls_token.shape == (1, 1, 512) and method.encoder.prefix == 1
    assert decoder.pos_embed.prefix.shape == (1, 1, 512)


def sizes(method):
    """Width, blocks and heads of the encoder, and of the predictor."""
    encoder, decoder = method.encoder, method.objectives[0].predictor
    return [
        (len(block.attn.proj.weight), len(part.blocks), block.attn.heads)
        for part, block in ((part, part.blocks[0]) for part in (encoder, decoder))
    ]


def instructed():
    """What the header of a recipe says of other sizes."""
    header = (GIN / "recipe/mae_video.gin").read_text().partition("include")[0]
    return dict(re.findall(r"^#   (ViT-\w): (.*)$", header, re.M))


@pytest.mark.parametrize(
    ("size", "encoder", "decoder"),
    [
        ("ViT-S", (384, 12, 6), (192, 4, 3)),
        ("ViT-L", (1024, 24, 16), (512, 12, 8)),
        ("ViT-H", (1280, 32, 16), (640, 12, 8)),
    ],
)
def test_other_sizes_of_clips_are_those_of_the_release(size, encoder, decoder):
    words = [
        word.removeprefix("gin/")
        for word in shlex.split(instructed()[size])
        if word not in ("--gin", "-b")
    ]
    method = method_of(
        "mae_video", *(str(GIN / word) if word.endswith(".gin") else word for word in words)
    )
    assert sizes(method) == [encoder, decoder]
    assert method.encoder.base == (8, 14, 14)


def test_the_usual_size_of_clips_is_that_of_the_release():
    method = method_of("mae_video")
    assert sizes(method) == [(768, 12, 12), (384, 4, 6)]
    assert method.objectives[0].predictor.embed.bias is None
