"""The life of a batch: a method trains, and says everything by name."""

import functools
import pickle

import pytest
import torch

from pymim import encoders, losses, masks, predictors, targets
from pymim.contracts import Batch, Draw, Made, Mask, Source
from pymim.forward import Pass
from pymim.method import Method
from pymim.objective import Objective
from tests.asking import ask

TINY = functools.partial(predictors.Transformer, dim=24, depth=1, heads=2)


def make_batch(b=4, channels=3, sides=(16, 24), views=1):
    torch.manual_seed(0)
    return Batch(
        [torch.randn(b, channels, *sides) for _ in range(views)],
        torch.arange(b),
        torch.full((b,), -1),
    )


def make_method(channels=3, sides=(16, 24), patch=4, **slots):
    torch.manual_seed(0)
    encoder = encoders.ViT(24, 2, 2, image=sides, patch=patch, channels=channels)
    slots = {
        "objectives": [Objective(targets.Pixels, TINY, losses.MSE())],
        "mask": masks.Uniform(0.75),
    } | slots
    return Method(encoder, **slots)


def test_training_lowers_the_loss():
    method, batch = make_method(), make_batch()
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)
    first = method(batch, 0).loss.item()
    for step in range(30):
        optimizer.zero_grad()
        method(batch, step).loss.backward()
        optimizer.step()
        method.after_step(step)
    assert method(batch, 0).loss.item() < 0.9 * first


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize(
    ("sides", "patch"), [((16, 16), 4), ((8, 24), (4, 8)), ((4, 8, 16), (2, 4, 4))]
)
def test_every_shape_and_channel_count(channels, sides, patch):
    method, batch = make_method(channels, sides, patch), make_batch(2, channels, sides)
    out = method(batch, 0)
    m = out.mask.predicted.shape[1]
    assert out.losses["pixels"].shape == (2, m)
    assert out.predictions["pixels"].shape == out.targets["pixels"].shape
    out.loss.backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_output_says_everything_by_name():
    method, batch = make_method(), make_batch()
    out = method(batch, 3)
    assert list(out.losses) == list(out.predictions) == list(out.targets) == ["pixels"]
    assert out.losses["pixels"].shape == (4, 18)
    torch.testing.assert_close(out.loss, out.losses["pixels"].mean())
    assert out.mask.hidden.shape == (4, 18)
    assert out.features.tokens.shape == (4, 6, 24)


def test_masks_are_a_function_of_seed_step_and_index():
    batch = make_batch()
    masks_of = lambda step, **slots: make_method(**slots)(batch, step).mask.hidden  # noqa: E731
    assert torch.equal(masks_of(3), masks_of(3))
    assert not torch.equal(masks_of(3), masks_of(4))
    assert not torch.equal(masks_of(3), masks_of(3, seed=1))
    half = Batch([batch.views[0][2:]], batch.index[2:], batch.label[2:])
    assert torch.equal(make_method()(half, 3).mask.hidden, masks_of(3)[2:])


def test_gradient_is_zero_on_visible_predictions_and_targets():
    method, batch = make_method(), make_batch()
    branch = method.encode(batch, 0)[Source(0)]
    objective = method.objectives[0]
    everywhere = objective.predictor.predict_all(branch.features, branch.mask, branch.grid)
    everywhere.retain_grad()
    ids = branch.mask.predicted[..., None].expand(-1, -1, everywhere.shape[2])
    target = ask(objective.target, batch, branch.mask)
    objective.loss(everywhere.gather(1, ids), target).mean().backward()
    used = everywhere.grad.abs().sum(-1) > 0
    assert torch.equal(used, branch.mask.boolean(24))


def test_loss_does_not_see_visible_targets():
    method, batch = make_method(), make_batch()
    out = method(batch, 0)
    hidden = (
        out.mask.boolean(24).view(4, 1, 4, 1, 6, 1).expand(4, 3, 4, 4, 6, 4).reshape(4, 3, 16, 24)
    )
    other = torch.where(hidden, batch.views[0], batch.views[0] + 1)
    target = ask(method.objectives[0].target, other, out.mask)
    torch.testing.assert_close(target, out.targets["pixels"])


def test_mean_is_over_all_masked_patches_of_the_batch():
    losses_per_patch = torch.tensor([[1.0, 1, 1, 9], [3, 3, 3, 3]])
    asked = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 1]]).bool()
    assert losses_per_patch[asked].mean() == pytest.approx(4.2)  # per image first it would be 6
    out = make_method()(make_batch(), 0)
    torch.testing.assert_close(out.loss, out.losses["pixels"].flatten().mean())


def test_losses_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        out = make_method()(make_batch(), 0)
    assert out.loss.dtype == out.losses["pixels"].dtype == torch.float32
    assert out.predictions["pixels"].dtype == torch.bfloat16
    assert out.targets["pixels"].dtype == torch.float32


def test_several_objectives_and_views():
    objectives = [
        Objective(targets.Pixels, TINY, losses.MSE(), weight=0.5),
        Objective(targets.Pixels, predictors.OneLayer, losses.L1(), on="visible", source=1),
        Objective(targets.Pixels, TINY, losses.MSE(), on="all", source=1, to=0, name="crossed"),
    ]
    out = make_method(objectives=objectives)(make_batch(views=2), 0)
    assert {name: loss.shape[1] for name, loss in out.losses.items()} == {
        "pixels": 18,
        "pixels_1": 6,
        "crossed": 24,
    }
    assert not torch.equal(out.branches[0, 0].mask.hidden, out.branches[1, 0].mask.hidden)
    means = [loss.mean() for loss in out.losses.values()]
    torch.testing.assert_close(out.loss, 0.5 * means[0] + means[1] + means[2])


def test_several_draws_of_one_view():
    class Twice:
        masks_per_view = 2

        def __call__(self, index, grid, draw, difficulty=None):
            first = masks.Uniform(0.5)(index, grid, draw)
            return [first, Mask(first.hidden, first.visible, first.visible)]

    objectives = [
        Objective(targets.Pixels, TINY, losses.MSE(), source=(source,))
        for source in ((0, 0), (0, 1))
    ]
    out = make_method(objectives=objectives, mask=Twice())(make_batch(), 0)
    assert torch.equal(out.branches[0, 0].mask.hidden, out.branches[0, 1].mask.visible)
    assert out.branches[0, 1].source.view == 0


class Labels(torch.nn.Module):
    """Looks labels up by dataset index, as clustering methods do."""

    width = 7

    def __init__(self, encoder):
        super().__init__()
        self.calls = []

    def forward(self, asked):
        return Made((asked.index % 7)[:, None], torch.full((len(asked.index), 3), 2.0))

    def before_run(self, run):
        self.calls.append(("run", run))

    def before_epoch(self, run):
        self.calls.append(("epoch", run))

    def before_load(self, run):
        self.calls.append(("load", run))

    def after_forward(self, batch, output):
        self.calls.append((len(batch.index), sorted(output.losses)))

    def after_step(self, encoder, step):
        self.calls.append((encoder.width, step))


def test_no_mask_and_pooled_tokens_make_a_clustering_method():
    objective = Objective(Labels, predictors.Pooled, losses.CrossEntropy(), on="pooled")
    method = make_method(objectives=[objective], mask=None)
    out = method(make_batch(), 0)
    assert out.mask is None
    assert out.losses["labels"].shape == (4, 1)
    assert out.losses["labels.target"].shape == (4, 3)
    torch.testing.assert_close(out.loss, out.losses["labels"].mean() + 2)
    method.before_load("a")
    method.before_run("a")
    method.before_epoch("b")
    method.after_forward(make_batch(), out)
    method.after_step(5)
    calls = method.objectives[0].target.calls
    assert calls == [
        ("load", "a"),
        ("run", "a"),
        ("epoch", "b"),
        (4, ["labels", "labels.target"]),
        (24, 5),
    ]


def test_one_objective_may_predict_from_several_views():
    objective = Objective(
        Labels, predictors.Pooled, losses.CrossEntropy(), on="pooled", source=(0, 1, 2)
    )
    method, batch = make_method(objectives=[objective], mask=None), make_batch(views=3)
    out = method(batch, 0)
    assert out.losses["labels"].shape == out.targets["labels"].shape == (4, 3)
    assert out.predictions["labels"].shape == (4, 3, 7)
    taken = Pass(batch, 0, out.branches, [objective])
    alone = [pair.losses for pair in objective(taken)]
    torch.testing.assert_close(out.losses["labels"], torch.cat(alone, 1))


class Brightness(torch.nn.Module):
    """Ranks patches by a learned gain times their mean."""

    def __init__(self, encoder, objectives):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.names = [objective.name for objective in objectives]

    def forward(self, batch, draw):
        view = batch.views[draw.view]
        return view.view(len(view), 3, 4, 4, 6, 4).mean((1, 3, 5)).flatten(1)

    def loss(self, branch, losses):
        assert not any(loss.requires_grad for loss in losses.values())
        return self.gain * losses["pixels"]


def test_ranker_guides_the_mask_and_learns_from_the_losses():
    class Brightest:
        def __call__(self, index, grid, draw, difficulty=None):
            ids = difficulty.argsort(1, descending=True)
            visible, hidden = ids[:, 12:].sort(1)[0], ids[:, :12].sort(1)[0]
            return Mask(visible, hidden, hidden)

    method, batch = make_method(mask=Brightest(), ranker=Brightness), make_batch()
    out = method(batch, 0)
    expected = method.ranker(batch, Draw(0, 0)).topk(12)[1].sort(1)[0]
    assert torch.equal(out.mask.hidden, expected)
    torch.testing.assert_close(out.loss, 2 * out.losses["pixels"].mean())
    out.loss.backward()
    assert method.ranker.gain.grad is not None


def test_bad_objective_is_refused():
    with pytest.raises(
        ValueError, match=r"Objective: on: expected one of predicted, .* got 'masked'"
    ):
        Objective(targets.Pixels, TINY, losses.MSE(), on="masked")


def test_method_compiles_whole():
    method, batch = make_method(), make_batch()
    expected = method(batch, 2).loss
    compiled = torch.compile(
        method, fullgraph=True, backend="aot_eager"
    )  # C++ from inductor takes a minute
    torch.testing.assert_close(compiled(batch, 2).loss, expected)


def test_method_pickles():
    method = pickle.loads(pickle.dumps(make_method()))
    torch.testing.assert_close(method(make_batch(), 0).loss, make_method()(make_batch(), 0).loss)
