"""What gin/mfm.gin and its full-scale recipe come to, number by number."""

import math

import numpy as np
import pytest
import torch

from pymim import config, encoders
from pymim.contracts import Batch, Draw
from pymim.draw import reconstruction
from pymim.draw.reconstruction import _columns
from pymim.layers.patch import unpatchify

STATISTICS = "STATISTICS=((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))"
TINY = ["DIM=12", "DEPTH=1", "HEADS=2", STATISTICS]
MEAN, STD = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)


def make(path="gin/mfm.gin", *bindings):
    config.load([path], bindings)
    return config.build("train.Trainer", "method")


def batch(count=4, side=32):
    view = (torch.rand(count, 3, side, side) - MEAN) / STD
    return Batch([view], torch.arange(count), torch.full((count,), -1))


def disc(side, radius):
    rows = np.arange(side) - side // 2
    return rows[:, None] ** 2 + rows[None] ** 2 < radius**2


@pytest.mark.parametrize("mean", ["image", "batch"])
def test_filter_and_loss_are_those_of_the_release(mean):
    """Low or high frequencies are kept, and the loss is of the removed ones.

    The filtered pixels on [0, 1] are clamped, then normalised; the loss compares spectra of
    normalised pictures.
    """
    method, given = make("gin/mfm.gin", *TINY, f"Spectrum.mean='{mean}'"), batch()
    seen, out = [], None
    method.encoder.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    out = method(given, 0)
    branch = next(iter(out.branches.values()))
    inside, radius = branch.mask.extra.inside.tolist(), branch.mask.extra.radius
    assert set(inside) == {True, False}
    predicted = unpatchify(out.predictions["whole"].detach(), (8, 8), (4, 4))
    sums, counts = [], []
    for image in range(4):
        kept = disc(32, radius) if inside[image] else ~disc(32, radius)
        total = 0.0
        for channel in range(3):
            pixels = (given.views[0] * STD + MEAN)[image, channel].double().numpy()
            spectrum = np.fft.fftshift(np.fft.fft2(pixels)) * kept
            filtered = np.fft.ifft2(np.fft.ifftshift(spectrum)).real.clip(0, 1)
            expected = (torch.from_numpy(filtered) - MEAN[channel]) / STD[channel]
            np.testing.assert_allclose(seen[0][image, channel], expected, atol=1e-4)
            difference = (predicted - given.views[0])[image, channel].double().numpy()
            distances = np.abs(np.fft.fftshift(np.fft.fft2(difference, norm="ortho")))
            total += distances[~kept].sum() / 3
        sums.append(total)
        counts.append((~kept).sum())
    by_image = np.mean([total / count for total, count in zip(sums, counts, strict=True)])
    expected = by_image if mean == "image" else sum(sums) / sum(counts)
    assert out.loss.item() == pytest.approx(expected, rel=1e-4)
    assert out.losses["whole"].shape == (4, 32 * 17)


def test_gradients_reach_everything():
    method = make("gin/mfm.gin", *TINY)
    method(batch(), 0).loss.backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()]


def test_pictures_show_what_was_seen_and_paste_what_was_removed(tmp_path):
    method, given = make("gin/mfm.gin", *TINY).eval(), batch()
    branch, objective = next(iter(method.encode(given, 0).values())), method.objectives[0]
    columns = _columns(
        method.encoder, objective, objective.target, branch, lambda view: view * STD + MEAN
    )
    assert list(columns) == ["input", "seen", "prediction", "pasted"]
    torch.testing.assert_close(
        columns["seen"], method.encoder.seen(branch.view, branch.mask) * STD + MEAN
    )
    spectra = {name: torch.fft.rfft2(column) for name, column in columns.items()}
    kept = branch.mask.extra.kept(32, 32)[:, None].expand_as(spectra["input"])
    torch.testing.assert_close(
        spectra["pasted"][kept], spectra["input"][kept], atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(
        spectra["pasted"][~kept], spectra["prediction"][~kept], atol=1e-3, rtol=1e-3
    )
    assert reconstruction.draw(
        method, given, 0, tmp_path / "drawn.png", lambda view: view * STD + MEAN
    )


def test_evaluation_sees_pictures_as_they_are():
    method, given = make("gin/mfm.gin", *TINY), batch()
    torch.testing.assert_close(
        method.encoder(given.views[0]).tokens, method.encoder.trunk(given.views[0]).tokens
    )
    assert isinstance(method.encoder.bare, encoders.ViT)


def test_a_residual_network_learns_too():
    resnet = ("TRUNK=@encoders.ResNet()", "ResNet.image=32", "ResNet.dim=4")
    resnet += ("ResNet.depths=(1, 1, 1)", "ResNet.stem='small'")
    method = make("gin/mfm.gin", *TINY, *resnet)
    out = method(batch(), 0)
    assert out.predictions["whole"].shape == (4, 64, 48)
    out.loss.backward()
    assert method.encoder.trunk.conv1.weight.grad.any()


def test_numbers_of_the_recipe():
    with torch.device("meta"):
        method = make("gin/recipe/mfm.gin")
    assert (method.mask.radius, method.mask.low) == (16, 0.5)
    drawn = method.mask(torch.arange(2), (14, 14), Draw(0, 0)).extra._replace(
        inside=torch.tensor([True, False])
    )
    kept = drawn.kept(224, 224)
    whole = torch.cat(
        [kept, kept[..., 1:112]], -1
    )  # the frequencies that the half spectrum leaves out
    assert whole.sum((1, 2)).tolist() == [793, 224 * 224 - 793]
    assert method.encoder.how.clamp and method.objectives[0].loss.mean == "batch"
    optimizer, steps = (
        config.build("train.Trainer", "optimizer"),
        config.value("train.Trainer", "steps", 0),
    )
    assert steps == 300 * (1281167 // 2048)
    rate = optimizer.schedule(config.value("train.Trainer", "batch", 0))
    found = [rate(step, steps) for step in (0, math.ceil(steps / 15), steps)]
    assert found == pytest.approx([2.5e-7 * 4, 3e-4 * 4, 2.5e-6 * 4], rel=1e-4)
    mean = torch.tensor([0.485, 0.456, 0.406])
    with torch.device("cpu"):
        filtering = encoders.Filter(encoders.ViT(12, 1, 2))
    torch.testing.assert_close(filtering.mean.flatten(), mean)
