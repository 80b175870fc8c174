"""Targets made by networks: a learned map of pixels, and a frozen image encoder's frames."""

import functools

import pytest
import torch
from torch.nn.functional import interpolate

from pymim import losses, masks, predictors, targets
from pymim.contracts import Asked, Batch, Draw, Features, Made, Source, Target
from pymim.encoders import ViT
from pymim.encoders.average import Average
from pymim.method import Method
from pymim.objective import Objective
from tests.asking import ask

SIDES = (4, 16, 16)
TINY = functools.partial(predictors.Transformer, dim=24, depth=1, heads=2)


def video(**options):
    return ViT(24, 1, 2, image=SIDES, patch=(2, 4, 4), class_token=False, pool="mean", **options)


def make(loss, target):
    torch.manual_seed(0)
    method = Method(video(), [Objective(target, TINY, loss, name="tubes")], masks.Tube(0.75))
    return method, Batch([torch.randn(6, 3, *SIDES)], torch.arange(6), torch.full((6,), -1))


PROJECTED = functools.partial(
    targets.Mapped, of=functools.partial(targets.Pixels, normalise="channel"), widths=(32, 16)
)


def image_teacher(encoder, patch=4):
    return Average(ViT(12, 1, 2, image=16, patch=patch, registers=2))


def test_projection_is_an_mlp_with_a_gelu_between_any_two_layers():
    target = targets.Mapped(
        ViT(24, 1, 2, image=(16, 224, 224), patch=(2, 16, 16)), of=targets.Pixels
    )
    sizes = [tuple(layer.weight.shape) for layer in target.layers if hasattr(layer, "weight")]
    assert sizes == [(1024, 1536), (1024, 1024), (512, 1024), (256, 512)]
    assert [type(layer).__name__ for layer in target.layers] == ["Linear", "GELU"] * 3 + ["Linear"]
    assert target.width == 256


class Weighed(Target):
    """Reads the encoder's tokens, weighs its patches, and meets a predictor."""

    width, reads = 24, "features"

    def __init__(self, encoder):
        super().__init__()
        self.met = None

    def forward(self, asked):
        values = asked.branch.features.tokens[:, :1].expand(-1, asked.ids.shape[1], -1)
        return Made(values, weight=torch.full(asked.ids.shape, 0.5))

    def follow(self, predictor):
        self.met = predictor


def test_what_a_mapped_target_asks_for_and_gives_is_passed_on():
    method, batch = make(losses.MSE(), functools.partial(targets.Mapped, of=Weighed, widths=(8,)))
    objective = method.objectives[0]
    assert objective.target.reads == "features" and objective.target.of.met is objective.predictor
    out = method(batch, 0)
    assert out.targets["tubes"].shape == (6, 24, 8) and out.targets["tubes"].requires_grad
    made = objective.target(Asked(batch, 0, out.mask, 0, out.branches[Source(0)]))
    assert made.weight.shape == (6, 24)
    made.values.sum().backward()
    assert all(p.grad is None for p in method.encoder.parameters())


def test_projector_and_encoder_learn_from_their_own_terms():
    method, batch = make(losses.Swapped(10), PROJECTED)
    out = method(batch, 0)
    assert out.targets["tubes"].shape == out.predictions["tubes"].shape == (6, 24, 16)
    out.loss.backward()
    assert all(p.grad is not None for p in method.parameters())
    before = method.objectives[0].loss.prototypes.weight.detach().clone()
    with torch.no_grad():
        method.objectives[0].loss.prototypes.weight.mul_(3)
    method.after_step(0)
    torch.testing.assert_close(method.objectives[0].loss.prototypes.weight, before)


def collapse(loss, steps=150):
    """How much of a learned target's spread over tokens is left after training."""
    method, batch = make(loss, PROJECTED)
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)

    def spread():
        return method(batch, 0).targets["tubes"].detach().flatten(0, 1).std(0).mean()

    first = spread()
    for step in range(steps):
        optimizer.zero_grad()
        method(batch, step).loss.backward()
        optimizer.step()
        method.after_step(step)
    return spread() / first


def test_squared_error_to_a_learned_target_collapses_and_swapped_labels_do_not():
    assert collapse(losses.MSE()) < 0.1
    assert collapse(losses.Swapped(10)) > 0.7


def test_frames_are_the_first_of_each_tube_in_the_order_of_tokens():
    target = targets.Frames(video(), image_teacher, standardise=False)
    view = torch.randn(2, 3, *SIDES)
    values = ask(target, view)
    expected = [target.teacher(view[:, :, frame]).tokens for frame in (0, 2)]
    torch.testing.assert_close(values, torch.cat(expected, 1))
    assert values.shape == (2, 2 * 16, 12)  # no class token, no registers
    changed = view.clone()
    changed[:, :, 1::2] = 0
    torch.testing.assert_close(ask(target, changed), values)
    assert not [p for p in target.parameters() if p.requires_grad]


def test_channels_are_standardised_over_the_clip_before_hidden_ones_are_picked():
    target = targets.Frames(video(), image_teacher)
    view = torch.randn(2, 3, *SIDES)
    whole = ask(target, view)
    torch.testing.assert_close(whole.mean(1), torch.zeros(2, 12), rtol=0, atol=1e-5)
    raw = ask(targets.Frames(video(), lambda encoder: target.teacher, standardise=False), view)
    expected = (raw - raw.mean(1, keepdim=True)) / (raw.std(1, keepdim=True) + 1e-6)
    torch.testing.assert_close(whole, expected)
    assert (whole.std(2) - 1).abs().max() > 0.1  # not each token over its channels
    mask = masks.Tube(0.75)(torch.arange(2), (2, 4, 4), Draw(0, 0))
    picked = ask(target, view, mask)
    torch.testing.assert_close(picked, whole[torch.arange(2)[:, None], mask.predicted])
    assert (picked.std(1) - 1).abs().max() > 0.05


def test_channels_that_hardly_move_are_divided_by_a_little_more():
    """1e-6 is added to the deviation, as released: a lower bound would give 1, not a half."""
    target, view = targets.Frames(video(), image_teacher), torch.randn(2, 3, *SIDES)
    raw = ask(targets.Frames(video(), lambda encoder: target.teacher, standardise=False), view)
    scale = 1e-6 / raw.std(1, keepdim=True)
    norm = target.teacher.module.norm
    with torch.no_grad():
        norm.weight.mul_(scale[0, 0])
        norm.bias.zero_()
    torch.testing.assert_close(
        ask(target, view[:1]).std(1), torch.full((1, 12), 0.5), rtol=1e-2, atol=0
    )


def test_another_grid_is_resampled():
    target = targets.Frames(video(), functools.partial(image_teacher, patch=2), standardise=False)
    view = torch.randn(2, 3, *SIDES)
    tokens = (
        target.teacher(view[:, :, 0]).tokens.unflatten(1, (4, 2, 4, 2)).mean((2, 4)).flatten(1, 2)
    )
    torch.testing.assert_close(ask(target, view)[:, :16], tokens)


@pytest.mark.parametrize("patch", [16, 14])
def test_frames_of_the_papers_sizes(patch):
    """8 x 196 tokens of frames 0, 2, ... 14 (time, row, column): 16 x 16 patches become 14 x 14."""
    encoder = ViT(24, 1, 2, image=(16, 224, 224), patch=(2, 16, 16), class_token=False, pool="mean")
    teacher = Average(ViT(3, 1, 1, image=224, patch=patch, positions="none"))
    # Its tokens' three channels are what is in a patch: its frame, its row, its column.
    teacher.module.forward = lambda view: Features(
        interpolate(view, scale_factor=1 / patch, mode="area").flatten(2).mT, None, {}, None
    )
    target = targets.Frames(encoder, lambda encoder: teacher, standardise=False)
    frame, row, column = torch.meshgrid(
        torch.arange(16.0), torch.arange(224.0), torch.arange(224.0), indexing="ij"
    )
    view = torch.stack([frame, row, column])[None]
    values = ask(target, view)
    assert values.shape == (1, 1568, 3)
    found = values[0].unflatten(0, (8, 14, 14))
    middle = torch.arange(14) * 16 + 7.5
    at = slice(1, -1)  # at the border, bilinear resampling stays inside
    torch.testing.assert_close(
        found[..., 0], torch.arange(0, 16, 2.0).view(8, 1, 1).expand(8, 14, 14)
    )
    torch.testing.assert_close(found[:, at, :, 1], middle[at].view(1, 12, 1).expand(8, 12, 14))
    torch.testing.assert_close(found[:, :, at, 2], middle[at].view(1, 1, 12).expand(8, 14, 12))


def test_an_encoder_of_clips_is_refused():
    with pytest.raises(
        ValueError,
        match="Frames: teacher: expected an encoder of images, and the method's of clips",
    ):
        targets.Frames(video(), lambda encoder: Average(encoder))
