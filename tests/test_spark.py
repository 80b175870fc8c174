"""What gin/spark.gin and its full-scale recipe come to, number by number."""

import pytest
import torch

from pymim import config
from pymim.contracts import Draw
from pymim.draw import reconstruction
from pymim.draw.reconstruction import _columns
from pymim.layers.patch import cells, patchify
from pymim.loop.wrap import synchronise_norms, wrap
from pymim.world import World
from tests.built import batch, method_of

TINY = [
    "encoders.ResNet.dim=4",
    "encoders.ResNet.depths=(1, 1, 1, 1)",
    "predictors.Pyramid.dim=8",
    "STATISTICS='none'",
]


def test_loss_is_of_hidden_patches_alone_each_normalised_by_itself():
    """As a loop in float64: pixels of a patch less their mean, over their deviation."""
    method, given = method_of("gin/spark.gin", *TINY), batch()
    out = method(given, 0)
    branch, objective = next(iter(out.branches.values())), method.objectives[0]
    predicted = objective.predictor.predict_all(branch.features, branch.mask, branch.grid)
    hidden, sums = branch.mask.boolean(16), []
    for image in range(3):
        for patch in range(16):
            if hidden[image, patch]:
                row, column = 8 * (patch // 4), 8 * (patch % 4)
                pixels = given.views[0][image, :, row : row + 8, column : column + 8].double()
                normed = (pixels - pixels.mean()) / (pixels.var() + 1e-6).sqrt()
                made = predicted[image, patch].view(8, 8, 3).permute(2, 0, 1).double()
                sums.append((made - normed).square().mean().item())
    assert out.loss.item() == pytest.approx(sum(sums) / (hidden.sum().item() + 1e-8), rel=1e-5)


@pytest.mark.parametrize(
    ("path", "grid", "visible"),
    [("gin/spark.gin", (4, 4), 6), ("gin/recipe/spark.gin", (7, 7), 20)],
)
def test_as_many_cells_of_the_last_map_are_visible_as_released(path, grid, visible):
    """round(49 (1 - 0.6)) = 20; MAE's rule and ConvNeXt V2's keep 19."""
    with torch.device("meta"):
        method = method_of(path)
    mask = method.mask(torch.arange(4000), grid, Draw(0, 0))
    assert method.encoder.base == grid
    assert mask.visible.shape[1] == visible
    share = (~mask.boolean(grid[0] * grid[1])).float().mean(0)
    law = visible / (grid[0] * grid[1])
    assert (share - law).abs().max() < 5 * (law * (1 - law) / 4000) ** 0.5


def test_gradients_reach_everything_that_learns_and_no_hidden_pixel():
    method, given = method_of("gin/spark.gin", *TINY), batch()
    given.views[0].requires_grad_()
    out = method(given, 0)
    out.loss.backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None or not p.grad.any()]
    reached = patchify(given.views[0].grad, (8, 8)).abs().sum(-1) > 0
    assert torch.equal(reached, ~out.mask.boolean(16))


def test_hidden_pixels_change_the_target_and_nothing_else():
    method, given = method_of("gin/spark.gin", *TINY), batch()
    out = method(given, 0)
    hidden = cells(out.mask.boolean(16), (4, 4), (8, 8))
    other = given._replace(views=[torch.where(hidden, torch.randn(3, 3, 32, 32), given.views[0])])
    changed = method(other, 0)
    assert torch.equal(changed.predictions["pixels"], out.predictions["pixels"])
    assert not torch.equal(changed.targets["pixels"], out.targets["pixels"])


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("sides", [(16, 48), (40, 24)])
def test_any_channel_count_and_rectangle(channels, sides):
    method = method_of(
        "gin/spark.gin", *TINY, f"CHANNELS={channels}", f"encoders.ResNet.image={sides}"
    )
    out = method(batch(2, sides, channels), 0)
    patches = sides[0] * sides[1] // 64
    hidden = patches - round(patches * 0.4)
    assert out.predictions["pixels"].shape == (2, hidden, 64 * channels)


def test_sides_that_the_strides_do_not_divide_are_refused():
    method = method_of("gin/spark.gin", *TINY)
    with pytest.raises(ValueError, match=r"sides divisible by \(8, 8\), got \(36, 32\); resize"):
        method(batch(2, (36, 32)), 0)


def test_running_statistics_are_of_visible_cells_and_serve_the_evaluation():
    method, given = method_of("gin/spark.gin", *TINY), batch()
    out = method(given, 0)
    encoder, view = method.encoder, given.views[0]
    seen = ~cells(out.mask.boolean(16), (4, 4), (8, 8))
    values = encoder.conv1(view * seen).permute(0, 2, 3, 1)[seen[:, 0]]
    torch.testing.assert_close(encoder.bn1.running_mean, 0.1 * values.mean(0))
    torch.testing.assert_close(encoder.bn1.running_var, 0.9 + 0.1 * values.var(0))
    with torch.no_grad():
        whole = encoder.eval()(view)
    assert whole.tokens.any(-1).all()


def test_recomputed_blocks_give_the_same_step():
    given, gradients = batch(), []
    for recompute in (False, True):
        method = method_of("gin/spark.gin", *TINY)
        wrap(method, World(0, 1, torch.device("cpu")), compiled=False, recompute=recompute)
        method(given, 0).loss.backward()
        kept = method.encoder.state_dict()["layer2.0.bn1.running_mean"]
        gradients.append((method.encoder.conv1.weight.grad, kept))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_norms_of_several_processes_are_torchs_own():
    """They are no classes of their own, so that what several processes share them by finds them."""
    method = method_of("gin/spark.gin", *TINY)
    synchronise_norms(method)
    norms = [part for part in method.modules() if "BatchNorm" in type(part).__name__]
    assert {type(norm) for norm in norms} == {torch.nn.SyncBatchNorm} and len(norms) > 15


def test_pictures_show_visible_patches_and_paste_hidden_ones(tmp_path):
    method, given = method_of("gin/spark.gin", *TINY).eval(), batch()
    branch, objective = next(iter(method.encode(given, 0).values())), method.objectives[0]
    columns = _columns(method.encoder, objective, objective.target, branch, lambda view: view)
    assert list(columns) == ["input", "visible", "prediction", "pasted"]
    hidden = cells(branch.mask.boolean(16), (4, 4), (8, 8))
    pasted = torch.where(hidden, columns["prediction"], given.views[0])
    torch.testing.assert_close(columns["pasted"], pasted)
    assert reconstruction.draw(method, given, 0, tmp_path / "drawn.png", lambda view: view)


def test_numbers_of_the_recipe():
    with torch.device("meta"):
        method = method_of("gin/recipe/spark.gin")
    optimizer = config.build("train.Trainer", "optimizer")
    steps = config.value("train.Trainer", "steps", 0)
    assert config.value("train.Trainer", "clip", None) == 5.0
    assert steps == 1600 * -(-1281167 // 4096)
    made, warm = optimizer(method), steps // 40
    rates = [optimizer.set(made, step, steps, 4096) for step in (0, warm // 2, warm, steps)]
    peak = 2e-4 * 4096 / 256
    middle = (0.005 + 0.995 / 2) * peak
    assert rates == pytest.approx([0.005 * peak, middle, peak, 0.001 * peak])
    names = {id(p): name for name, p in method.named_parameters()}
    plain = {names[id(p)] for g in made.param_groups if not g["decayed"] for p in g["params"]}
    assert {f"objectives.0.predictor.mask_tokens.{number}" for number in range(4)} <= plain
    assert all(p.ndim == 1 or "mask_token" in n for n, p in method.named_parameters() if n in plain)
    decays = []
    for step in (0, steps // 2, steps):
        optimizer.set(made, step, steps, 4096)
        decays.append(max(g["weight_decay"] for g in made.param_groups))
    assert decays == pytest.approx([0.04, 0.12, 0.2])
    assert {(*g["betas"], g["eps"]) for g in made.param_groups} == {(0.9, 0.95, 1e-6)}
    assert method.encoder.widths == (256, 512, 1024, 2048) and method.encoder.hidden == "sparse"
    assert len(method.objectives[0].predictor.norms) == 4
