"""Recipes beside releases: the numbers that a plain reading of the paper gets wrong."""

import pytest
import torch

from pymim import config, data, views
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


@pytest.mark.parametrize(("fps", "wanted"), [(60, [0, 8, 16, 24]), (30, [0, 4, 8, 12]), (15, [0, 2, 4, 6])])
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
    words = config.flags(["gin/recipe/deepcluster.gin", f"gin/model/{trunk}.gin", *more.get(trunk, [])])
    assert main([*words, "--mode", "explain", "--workdir", str(tmp_path)]) == 0


def test_nothing_is_dropped_before_the_first_layer_behind_vgg():
    def dropped(recipe):
        method = method_of(f"gin/recipe/{recipe}.gin")
        assert method.encoder.trunk.trunk.features[0].in_channels == 2
        return [part.p for part in method.encoder.head if isinstance(part, torch.nn.Dropout)]

    assert dropped("deepcluster") == [0.5, 0.5]
    assert dropped("deepcluster_vgg16") == [0.0, 0.5]
    convolutions = [p for p in method_of("gin/recipe/deepcluster_vgg16.gin").encoder.trunk.parameters() if p.ndim == 4]
    assert [len(p) for p in convolutions] == [64, 64, 128, 128, *[256] * 3, *[512] * 6]
