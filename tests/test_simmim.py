"""What gin/simmim.gin and its full-scale recipe come to, number by number."""

import pytest
import torch

from pymim import config
from pymim.contracts import Batch, Draw
from pymim.layers.patch import patchify

TINY = ["DIM=12", "DEPTH=1", "HEADS=2", "STATISTICS='none'"]


def make(path="gin/simmim.gin", *bindings):
    config.load([path], bindings)
    return config.build("train.Trainer", "method")


def batch(count=3, side=32):
    return Batch([torch.randn(count, 3, side, side)], torch.arange(count), torch.full((count,), -1))


def test_loss_is_the_mean_absolute_error_of_hidden_pixels_by_the_released_formula():
    """Sum of |x - x'| m over (sum of m + 1e-5), over 3: m has one channel."""
    method, given = make("gin/simmim.gin", *TINY), batch()
    out = method(given, 0)
    branch, objective = next(iter(out.branches.values())), method.objectives[0]
    predicted = objective.predictor.predict_all(branch.features, branch.mask, branch.grid)
    hidden, total, count = branch.mask.boolean(64), 0.0, 0
    for image in range(3):
        for patch in range(64):
            if hidden[image, patch]:
                row, column = 4 * (patch // 8), 4 * (patch % 8)
                pixels = given.views[0][image, :, row : row + 4, column : column + 4]
                made = predicted[image, patch].view(4, 4, 3).permute(2, 0, 1)
                total += (pixels - made).abs().sum().item()
                count += 16
    assert out.loss.item() == pytest.approx(total / (count + 1e-5) / 3, rel=1e-5)


def test_hidden_are_squares_of_four_patches_and_as_many_as_released():
    for path, side, units, hidden in (
        ("gin/simmim.gin", 8, 16, 10),
        ("gin/recipe/simmim.gin", 14, 49, 30),
    ):
        with torch.device("meta"):
            mask = make(path).mask
        drawn = mask(torch.arange(5), (side, side), Draw(0, 0)).boolean(side * side)
        squares = drawn.view(5, side // 2, 2, side // 2, 2).transpose(2, 3).flatten(3).flatten(1, 2)
        assert squares.shape == (5, units, 4)
        assert (squares.all(2) == squares.any(2)).all()
        assert (squares.all(2).sum(1) == hidden).all()


def test_a_learned_token_replaces_hidden_patches_before_positions_are_added():
    method, given = make("gin/simmim.gin", *TINY), batch()
    encoder, embedded = method.encoder, []
    encoder.blocks[0].register_forward_pre_hook(lambda module, inputs: embedded.append(inputs[0]))
    mask = method(given, 0).mask
    patches = encoder.patch_embed(given.views[0])
    for image in range(3):
        for patch in range(64):
            hidden = patch in mask.hidden[image].tolist()
            token = encoder.mask_token[0, 0] if hidden else patches[image, patch]
            expected = token + encoder.pos_embed[0, 1 + patch]
            torch.testing.assert_close(embedded[0][image, 1 + patch], expected)


def test_targets_are_raw_pixels_and_the_head_is_one_linear_map():
    with torch.device("meta"):
        method = make("gin/recipe/simmim.gin")
    assert method.objectives[0].target.normalise == "none"
    assert {
        name: tuple(p.shape) for name, p in method.objectives[0].predictor.named_parameters()
    } == {
        "head.weight": (768, 768),
        "head.bias": (768,),
    }
    view = torch.randn(2, 3, 32, 32)
    small = make("gin/simmim.gin", *TINY)
    values = small.objectives[0].target._pixels(view, None).flatten(2)
    torch.testing.assert_close(values, patchify(view, (4, 4), last=True))


def test_rate_and_decay_of_the_recipe():
    with torch.device("meta"):
        method = make("gin/recipe/simmim.gin")
    optimizer, steps = (
        config.build("train.Trainer", "optimizer"),
        config.value("train.Trainer", "steps", 0),
    )
    assert steps == 800 * (1281167 // 2048)
    rate = optimizer.schedule(config.value("train.Trainer", "batch", 0))
    epoch = steps // 800
    found = [rate(epoch * number, steps) for number in (0, 10, 699, 700)]
    assert found == pytest.approx([5e-7 * 4, 1e-4 * 4, 1e-4 * 4, 1e-5 * 4])
    made = optimizer(method)
    decayed = {id(p) for part in made.param_groups if part["decayed"] for p in part["params"]}
    assert id(method.encoder.mask_token) in decayed and id(method.encoder.cls_token) not in decayed
