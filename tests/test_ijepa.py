"""I-JEPA (Assran et al. 2023) as a method: separate blocks, targets of the whole picture."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from pymim import encoders, losses, masks, optim, predictors, schedule, targets
from pymim.contracts import Batch, Draw, Source
from pymim.method import Method
from pymim.objective import Objective
from pymim.ops import block as ops

PREDICTOR = functools.partial(predictors.Transformer, dim=24, depth=2, heads=2)
TEACHER = functools.partial(encoders.Momentum, momentum=schedule.Ramp(0.996, 1.0), steps=10)


def make(policy=None):
    torch.manual_seed(0)
    encoder = encoders.ViT(24, 2, 2, image=56, patch=4, class_token=False, pool="mean")
    target = functools.partial(targets.Tokens, teacher=TEACHER, normalise=True)
    objective = Objective(target, PREDICTOR, losses.SmoothL1(), name="blocks")
    return Method(encoder, [objective], policy or masks.MultiBlock(0.2))


def pictures(count=3):
    torch.manual_seed(1)
    return Batch([torch.randn(count, 3, 56, 56)], torch.arange(count), torch.full((count,), -1))


def test_targets_are_normalised_tokens_of_the_whole_picture_at_every_block():
    method, batch = make(), pictures()
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    out = method(batch, 0)
    whole = method.objectives[0].target.teacher.module(batch.views[0]).tokens
    normed = (whole - whole.mean(-1, keepdim=True)) / (
        whole.var(-1, unbiased=False, keepdim=True) + 1e-5
    ).sqrt()
    places = out.mask.predicted
    expected = normed[torch.arange(3)[:, None], places]
    torch.testing.assert_close(out.targets["blocks"], expected)
    assert any(
        len(row.unique()) < len(row) for row in places
    )  # blocks overlap, and each predicts its own
    exact = F.smooth_l1_loss(out.predictions["blocks"], expected)
    torch.testing.assert_close(out.loss, exact)


def test_the_prediction_of_a_block_does_not_see_another_block():
    method, batch = make(), pictures()
    branch = method.encode(batch, 0)[Source(0)]
    count = branch.mask.predicted.shape[1] // 4
    predict = lambda mask: method.objectives[0].predictor(branch.features, mask, branch.grid)  # noqa: E731
    first = predict(branch.mask)
    for block in range(4):
        ids = branch.mask.predicted.clone()
        ids[:, block * count : (block + 1) * count] = torch.arange(count)
        changed = (predict(branch.mask._replace(predicted=ids)) - first).abs().amax(-1) > 1e-6
        assert changed[:, block * count : (block + 1) * count].any()
        changed[:, block * count : (block + 1) * count] = False
        assert not changed.any()


def test_the_context_sees_nothing_of_the_blocks_and_the_teacher_everything():
    method, batch = make(), pictures()
    out = method(batch, 0)
    hidden = (
        out.mask.boolean(196)
        .view(3, 1, 14, 1, 14, 1)
        .expand(-1, 3, -1, 4, -1, 4)
        .reshape(3, 3, 56, 56)
    )
    other = batch._replace(views=[torch.where(hidden, 5.0, batch.views[0])])
    again = method(other, 0)
    torch.testing.assert_close(again.predictions["blocks"], out.predictions["blocks"])
    assert not torch.allclose(again.targets["blocks"], out.targets["blocks"])
    assert not out.mask.visible.unsqueeze(2).eq(out.mask.predicted.unsqueeze(1)).any()


def test_encoder_and_predictor_learn_and_the_teacher_follows():
    method, batch = make(), pictures()
    method(batch, 0).loss.backward()
    teacher = method.objectives[0].target.teacher
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    learning = [*method.encoder.parameters(), *method.objectives[0].predictor.parameters()]
    assert all(p.grad is not None for p in learning)
    before = teacher.module.blocks[0].mlp.fc1.weight.clone()
    with torch.no_grad():
        method.encoder.blocks[0].mlp.fc1.weight.add_(1)
    method.after_step(5)  # half-way from 0.996 to 1
    torch.testing.assert_close(teacher.module.blocks[0].mlp.fc1.weight, before + 0.002)


def test_weight_decay_rises_by_half_a_cosine():
    method = make()
    recipe = optim.AdamW(1e-3, weight_decay=schedule.Cosine(0.04, end=0.4))
    optimizer = recipe(method)
    for step, expected in ((0, 0.04), (50, 0.22), (100, 0.4)):
        recipe.set(optimizer, step, 100, 256)
        assert {round(part["weight_decay"], 6) for part in optimizer.param_groups} == {
            0.0,
            expected,
        }


def test_one_random_number_drives_share_and_aspect_of_a_block():
    """On 14 x 14: sizes of n = floor(196 (0.15 + 0.05 u)) patches at aspect 0.75 + 0.75 u."""
    expected = set()
    for number in range(100001):
        u = number / 100000
        area, aspect = math.floor(196 * (0.15 + 0.05 * u)), 0.75 + 0.75 * u
        expected.add((round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))))
    found = {
        ops.block_size((14, 14), share=(0.15, 0.2), aspect=(0.75, 1.5), step=step)
        for step in range(2000)
    }
    assert found == expected
    apart = {
        ops.block_size((14, 14), share=(0.15, 0.2), aspect=(0.75, 1.5), step=step, together=False)
        for step in range(2000)
    }
    assert apart - expected


def test_contexts_of_14_and_16_patches_are_13_and_15_wide_as_released():
    for side in (14, 16):
        sizes = {
            ops.block_size((side, side), share=(0.85, 1.0), which=1, step=s, edges=False)
            for s in range(300)
        }
        assert sizes == {(side - 1, side - 1)}


@pytest.mark.parametrize("edges", [True, False])
def test_the_union_of_blocks_is_that_of_the_released_sampler(edges):
    """45 % of the grid, on 14 x 14."""
    policy, unions = masks.MultiBlock(0.15, edges=edges), []
    for step in range(60):
        mask = policy(torch.arange(8), (14, 14), Draw(0, step))
        unions += [len(row.unique()) / 196 for row in mask.predicted]
    assert sum(unions) / len(unions) == pytest.approx(0.45, abs=0.03)
