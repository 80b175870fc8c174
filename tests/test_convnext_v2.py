"""What gin/convnext_v2.gin and its full-scale recipe come to, number by number."""

import pytest
import torch

from pymim import config
from pymim.contracts import Draw
from pymim.layers.patch import cells, patchify
from tests.built import batch, method_of

TINY = [
    "encoders.ConvNeXt.dim=4",
    "encoders.ConvNeXt.depths=(1, 1, 1)",
    "predictors.Convolved.dim=8",
    "STATISTICS='none'",
]


def test_loss_is_of_hidden_patches_alone_each_normalised_by_itself():
    method, given = method_of("gin/convnext_v2.gin", *TINY), batch()
    out = method(given, 0)
    branch, objective = next(iter(out.branches.values())), method.objectives[0]
    predicted = objective.predictor.predict_all(branch.features, branch.mask, branch.grid).double()
    target = patchify(given.views[0], (8, 8), last=True).double()
    target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    hidden = branch.mask.boolean(16).double()
    losses = (predicted - target).square().mean(-1)
    expected = (losses * hidden).sum() / hidden.sum()
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("path", "grid", "visible"),
    [("gin/convnext_v2.gin", (4, 4), 6), ("gin/recipe/convnext_v2.gin", (7, 7), 19)],
)
def test_as_many_cells_of_the_last_map_are_visible_as_released(path, grid, visible):
    """int(49 (1 - 0.6)) = 19, one fewer than SparK at the same ratio."""
    with torch.device("meta"):
        method = method_of(path)
    mask = method.mask(torch.arange(100), grid, Draw(0, 0))
    assert method.encoder.base == grid and mask.visible.shape == (100, visible)


def test_gradients_reach_everything_that_learns_and_no_hidden_pixel():
    """All but the norm of the pooled vector, which is for what comes after."""
    method, given = method_of("gin/convnext_v2.gin", *TINY), batch()
    given.views[0].requires_grad_()
    out = method(given, 0)
    out.loss.backward()
    unreached = [name for name, p in method.named_parameters() if p.grad is None]
    assert unreached == ["encoder.head.norm.weight", "encoder.head.norm.bias"]
    reached = patchify(given.views[0].grad, (8, 8)).abs().sum(-1) > 0
    assert torch.equal(reached, ~out.mask.boolean(16))
    encoder = method.encoder
    assert encoder.stages[0].blocks[0].mlp.grn.weight.grad.any()  # though it starts at 0


def test_hidden_pixels_change_the_target_and_nothing_else():
    method, given = method_of("gin/convnext_v2.gin", *TINY), batch()
    out = method(given, 0)
    hidden = cells(out.mask.boolean(16), (4, 4), (8, 8))
    other = given._replace(views=[torch.where(hidden, torch.randn(3, 3, 32, 32), given.views[0])])
    changed = method(other, 0)
    assert torch.equal(changed.predictions["pixels"], out.predictions["pixels"])
    assert not torch.equal(changed.targets["pixels"], out.targets["pixels"])


@pytest.mark.parametrize(("channels", "sides"), [(1, (16, 48)), (4, (40, 24))])
def test_any_channel_count_and_rectangle(channels, sides):
    method = method_of(
        "gin/convnext_v2.gin", *TINY, f"CHANNELS={channels}", f"ConvNeXt.image={sides}"
    )
    out = method(batch(2, sides, channels), 0)
    patches = sides[0] * sides[1] // 64
    assert out.predictions["pixels"].shape == (2, patches - int(patches * 0.4), 64 * channels)


def test_its_encoder_takes_the_other_decoder_too():
    """SparK's recipe for ConvNeXt: all maps, each with a norm of its cells."""
    bindings = "Objective.predictor=@predictors.Pyramid", "Pyramid.norm='layer'", "Pyramid.dim=16"
    method = method_of("gin/convnext_v2.gin", *TINY[:2], TINY[3], *bindings)
    method(batch(), 0).loss.backward()
    assert len(method.objectives[0].predictor.norms) == 3
    assert method.encoder.stem[0].weight.grad.any()


def test_numbers_of_the_recipe():
    with torch.device("meta"):
        method = method_of("gin/recipe/convnext_v2.gin")
    optimizer = config.build("train.Trainer", "optimizer")
    steps = config.value("train.Trainer", "steps", 0)
    assert steps == 1600 * (1281167 // 4096)
    rate = optimizer.schedule(4096)
    peak = 1.5e-4 * 4096 / 256
    assert [rate(s, steps) for s in (0, steps // 40, steps)] == pytest.approx([0, peak, 0])
    assert method.encoder.widths == (128, 256, 512, 1024)
    assert [len(stage.blocks) for stage in method.encoder.stages] == [3, 3, 27, 3]
    predictor = method.objectives[0].predictor
    assert predictor.embed.weight.shape == (512, 1024, 1, 1) and len(predictor.blocks) == 1
    assert predictor.head.weight.shape == (3072, 512, 1, 1)
    assert not any(block.mlp.grn.batch for block in method.encoder.blocks)
