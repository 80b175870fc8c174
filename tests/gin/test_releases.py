"""Recipes beside releases: the numbers that a plain reading of the paper gets wrong."""

import math

import pytest
import torch

from pymim import config, data, views
from pymim.contracts import Batch
from pymim.run import main
from tests.data.test_videos import av, frame_numbers, write_video

IMAGENET, KINETICS = 1281167, 240000  # training pictures and clips


def loaded(recipe, *bindings):
    config.load([f"gin/recipe/{recipe}.gin"], bindings)
    return lambda component, argument: config.value(component, argument, None)


def number(name):
    return config.value("train.Trainer", name, None)


def method_of(*files):
    config.load(list(files))
    with torch.device("meta"):
        return config.build("train.Trainer", "method")


def method_with(recipe, *bindings):
    """The recipe's method, smaller, with its weights."""
    torch.manual_seed(0)
    config.load([f"gin/recipe/{recipe}.gin"], bindings)
    return config.build("train.Trainer", "method")


@pytest.mark.parametrize(
    ("recipe", "batch", "peak", "end"),
    [
        ("mae_video", 1024, 6e-4, 4e-5),
        ("hpm_video", 1024, 6e-4, 4e-5),
        ("adamae", 2048, 1.2e-3, 8e-5),
        ("sigma", 640, 3.75e-4, 2.5e-5),
        ("sigma_dino", 640, 3.75e-4, 2.5e-5),
    ],
)
def test_where_a_rate_ends_is_scaled_by_the_batch_as_the_rate_is(recipe, batch, peak, end):
    loaded(recipe)
    steps = number("steps")
    rate = config.build("train.Trainer", "optimizer").schedule(number("batch"))
    assert number("batch") == batch and rate(0, steps) == 0
    assert max(rate(step, steps) for step in range(0, steps, 100)) == pytest.approx(peak, rel=1e-3)
    assert rate(steps, steps) == pytest.approx(end)


@pytest.mark.parametrize("recipe", ["mae_video", "hpm_video", "adamae", "sigma", "sigma_dino"])
def test_clips_are_cropped_at_several_scales(recipe):
    value = loaded(recipe)
    (view,) = config.parts("data.Loader", "views")
    assert type(view) is views.MultiScale and view.size == (224, 224) and view.kernel == "bilinear"
    assert (view.scales, view.distort, view.flip) == ((1.0, 0.875, 0.75, 0.66), 1, 0.0)
    assert value("data.Clip", "short") == 320


@pytest.mark.parametrize(
    ("fps", "wanted"), [(60, [0, 8, 16, 24]), (30, [0, 4, 8, 12]), (15, [0, 2, 4, 6])]
)
def test_frames_are_taken_at_thirty_a_second_whatever_the_file_has(fps, wanted, tmp_path):
    assert av
    loaded("mae_st")
    write_video(tmp_path / "a.mp4", 60, fps)
    form = config.build("data.Loader", "clip")
    assert (form.frames, form.stride, form.fps) == (16, 4, 30)
    clip = data.open(tmp_path, clip=data.Clip(4, form.stride, form.fps, form.short)).clip(0, 0.0)
    assert frame_numbers(clip) == wanted


@pytest.mark.parametrize(
    ("recipe", "bindings", "epochs", "warm"),
    [
        ("mae_video", (), 800, 40),
        ("hpm_video", (), 800, 40),
        ("adamae", (), 800, 40),
        ("mae_st", (), 1600, 20),  # crops, four of them from each decoded video
        ("mae_st", ("STEPS=187200", "optim.AdamW.warmup=0.05"), 400, 20),
        ("hpm", (), 200, 40),
        ("hpm", ("BATCH=256", "EPOCHS=800", "STEPS=4003200", "optim.AdamW.warmup=0.05"), 800, 40),
    ],
)
def test_batch_and_length_are_of_one_source(recipe, bindings, epochs, warm):
    value = loaded(recipe, *bindings)
    pictures = IMAGENET if recipe == "hpm" else KINETICS
    assert number("steps") == epochs * (pictures // number("batch"))
    assert value("optim.AdamW", "warmup") * epochs == pytest.approx(warm)
    stairs = value("share/schedule.Stairs", "count")
    assert stairs in (None, epochs)


@pytest.mark.parametrize("trunk", ["alexnet", "vgg16", "resnet18", "resnet50", "vit"])
def test_another_trunk_sees_the_same_channels(trunk, tmp_path):
    """Edges are two channels, whichever network is included after the recipe."""
    more = {"vit": ["TRUNK=@encoders.ViT()"], "resnet18": ["TRUNK=@encoders.ResNet()"]}
    more["resnet50"] = more["resnet18"]
    words = config.flags(
        ["gin/recipe/deepcluster.gin", f"gin/model/{trunk}.gin", *more.get(trunk, [])]
    )
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0


def test_nothing_is_dropped_before_the_first_layer_behind_vgg():
    def dropped(recipe):
        method = method_of(f"gin/recipe/{recipe}.gin")
        assert method.encoder.trunk.trunk.features[0].in_channels == 2
        return [part.p for part in method.encoder.head if isinstance(part, torch.nn.Dropout)]

    assert dropped("deepcluster") == [0.5, 0.5]
    assert dropped("deepcluster_vgg16") == [0.0, 0.5]
    convolutions = [
        p
        for p in method_of("gin/recipe/deepcluster_vgg16.gin").encoder.trunk.parameters()
        if p.ndim == 4
    ]
    assert [len(p) for p in convolutions] == [64, 64, 128, 128, *[256] * 3, *[512] * 6]


@pytest.mark.parametrize("recipe", ["deepcluster_v2", "swav", "swav_256"])
def test_crops_of_one_size_are_one_batch_and_all_are_one_before_the_projection(recipe):
    """In two batches, small crops make 53 % of the running statistics; each by itself, 82 %."""
    method = method_with(
        recipe, "IMAGE=32", "small/views.Pretrain.size=16", "encoders.ResNet.dim=8"
    ).train()
    large, small = torch.full((2, 3, 32, 32), 4.0), torch.full((2, 3, 16, 16), -4.0)
    crops = [*[large] * 2, *[small] * 6]
    for norm in (
        part for part in method.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)
    ):
        norm.reset_running_stats()
    norms, of_head = method.encoder.trunk.bn1, method.encoder.head[2]
    with torch.no_grad():
        alone = [method.encoder.trunk.conv1(crop).mean((0, 2, 3)) for crop in (large, small)]
        batch = Batch(crops, torch.arange(2), torch.full((2,), -1), {}, [{}] * 8)
        method.start(batch, 0)
    assert norms.num_batches_tracked == 2 and of_head.num_batches_tracked == 1
    torch.testing.assert_close(
        norms.running_mean, 0.09 * alone[0] + 0.1 * alone[1], rtol=1e-4, atol=1e-5
    )


def test_the_second_deepcluster_is_in_float32():
    value = loaded("deepcluster_v2")
    assert value("train.Trainer", "precision") == value("clusters.Survey", "precision") == "float32"


@pytest.mark.parametrize("recipe", ["capi", "dino", "ijepa"])
def test_the_teacher_is_what_is_evaluated(recipe):
    assert loaded(recipe)("train.Trainer", "average") == "teacher"


def test_weights_start_as_released():
    head = method_with("deepcluster", "encoders.Projected.layers=(64, 64)", "IMAGE=64").encoder.head
    assert [
        part.weight.std().item() for part in head if isinstance(part, torch.nn.Linear)
    ] == pytest.approx([0.01, 0.01], rel=0.1)
    small = ("DIM=64", "DEPTH=1", "HEADS=2", "CLUSTERS=8")
    joint, apart = math.sqrt(6 / (64 + 3 * 64)), math.sqrt(6 / (64 + 64))
    for recipe, bound in (("capi", apart), ("mae_st", apart), ("mae", joint)):
        bindings = small if recipe == "capi" else small[:3]
        weight = method_with(recipe, *bindings).encoder.blocks[0].attn.qkv.weight
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01), recipe
    clips = method_with("mae_video", *small[:3], "predictors.Transformer.dim=48")
    assert clips.objectives[0].predictor.embed.bias is None
    assert clips.encoder.patch_embed.proj.weight.abs().max().item() == pytest.approx(
        1536**-0.5, rel=0.01
    )
