"""Parts of different papers compose: any mask, target and predictor that fit together learn.

A method of parts that do not fit is refused when it is built, with the reason.
"""

from functools import partial

import pytest
import torch

from pymim import encoders, losses, masks, predictors, rankers, targets
from pymim.contracts import Batch
from pymim.errors import ConfigError
from pymim.method import Method
from pymim.objective import Objective

GRID = (6, 6)
MASKS = {
    "uniform": masks.Uniform(0.5),
    "disjoint": masks.Disjoint(0.5),
    "blocks": masks.Block(0.5),
    "inverse block": masks.InverseBlock(0.5),
    "multi-block": masks.MultiBlock(),
    "noise": masks.Noise(),
    "ranked": masks.Ranked(0.5),
    "weighted": masks.Weighted(0.5),
    "priority": masks.Priority(0.5),
    "some": masks.PredictShare(masks.Uniform(0.5), 0.3),
}
TARGETS = {
    "pixels": (targets.Pixels, losses.MSE()),
    "clusters": (
        partial(targets.Online, teacher=partial(encoders.Momentum, momentum=0.9), clusters=8),
        losses.CrossEntropy(0.1),
    ),
}
PREDICTORS = {
    "transformer": partial(predictors.Transformer, dim=16, depth=1, heads=2),
    "cross": partial(predictors.Cross, dim=16, depth=1, heads=2),
    "linear": predictors.OneLayer,
}
SPARSE = {"sparse": partial(predictors.Transformer, dim=16, depth=1, heads=2, sparse=True)}
HIDDEN = ("drop", "token", "add", "altered")
ON = ("predicted", "visible", "all")


TAPS = [
    (2, "pooled", "Objective: tap: expected one of 1, 3, got 2; add it to ResNet.taps"),
    (
        1,
        "all",
        r"Objective: tap: expected one with the encoder's grid \(6, 6\), .* got 1 with \(24, 24\); "
        "set on = 'pooled'",
    ),
]


class Mean(torch.nn.Module):
    """A target: the mean colour of the image."""

    width = 3

    def __init__(self, encoder):
        super().__init__()

    def forward(self, asked):
        return asked.view.mean((2, 3))[:, None]


class Contrast(torch.nn.Module):
    """A ranker, for the masks that listen to one."""

    def __init__(self, encoder, objectives):
        super().__init__()

    def forward(self, batch, draw):
        return batch.views[0].unfold(2, 4, 4).unfold(3, 4, 4).std((1, 4, 5)).flatten(1)


def encoder_of(hidden):
    options = {"image": 24, "patch": 4}
    if hidden == "altered":
        return encoders.Altered(encoders.ViT(16, 1, 2, **options), encoders.Fill)
    return encoders.ViT(16, 1, 2, hidden=hidden, **options)


def method(mask, target, predictor, hidden="drop", on="predicted", **options):
    torch.manual_seed(0)
    make, loss = TARGETS[target]
    objective = Objective(
        make, (PREDICTORS | SPARSE).get(predictor, predictors.Pooled), loss, on=on, **options
    )
    return Method(encoder_of(hidden), [objective], mask, Contrast)


def misfit(predictor, hidden, on):
    """The reason why parts cannot go together, if there is one."""
    if predictor == "linear" and hidden == "drop" and on != "visible":
        return (
            "Objective: predictor: expected one that makes tokens of hidden patches, as ViT drops "
            "them"
        )
    return None


@pytest.mark.parametrize("on", ON)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("target", TARGETS)
def test_two_steps(target, predictor, hidden, on):
    """Under every mask."""
    for mask in MASKS.values():
        if (reason := misfit(predictor, hidden, on)) is not None:
            with pytest.raises(ValueError, match=reason):
                method(mask, target, predictor, hidden, on)
            continue
        learns(method(mask, target, predictor, hidden, on))


def learns(composed):
    batch = Batch([torch.rand(4, 3, 24, 24)], torch.arange(4), torch.full((4,), -1))
    trained = {name: p for name, p in composed.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimizer = torch.optim.SGD(trained.values(), 0.1)
    for step in range(2):
        loss = composed(batch, step).loss
        loss.backward()
        optimizer.step()
        assert not [name for name, p in trained.items() if p.grad is None]
        optimizer.zero_grad()
        composed.after_step(step)
        assert loss.isfinite()
    first = next(name for name in trained if name.endswith("patch_embed.proj.weight"))
    assert not torch.equal(trained[first], before[first])


@pytest.mark.parametrize(
    ("mask", "predictor", "hidden", "on", "reason"),
    [
        (None, "transformer", "drop", "all", "Method: mask: expected a policy, as Transformer"),
        (
            masks.Uniform(),
            "linear",
            "drop",
            "predicted",
            "Objective: predictor: .* as ViT drops them",
        ),
        (
            masks.Uniform(),
            "cross",
            "drop",
            "pooled",
            "Objective: on: expected predicted, visible or all",
        ),
        (
            masks.Uniform(),
            "pooled",
            "drop",
            "predicted",
            "Objective: on: expected pooled, as the predictor is Pooled",
        ),
        (
            masks.Uniform(),
            "sparse",
            "drop",
            "visible",
            r"Objective: on: expected predicted, as Transformer\.sparse",
        ),
        (
            masks.Uniform(),
            "sparse",
            "token",
            "predicted",
            "Transformer: sparse: expected False, as ViT has a token",
        ),
    ],
)
def test_misfits_are_refused_when_built(mask, predictor, hidden, on, reason):
    with pytest.raises(ValueError, match=reason):
        method(mask, "pixels", predictor, hidden, on)


def test_nothing_is_hidden_from_a_residual_network():
    encoder = encoders.ResNet((1,), 8)
    with pytest.raises(ValueError, match="Method: mask: expected None, as ResNet sees every patch"):
        Method(
            encoder, [Objective(targets.Pixels, predictors.OneLayer, losses.MSE())], masks.Uniform()
        )


@pytest.mark.parametrize(("tap", "on", "reason"), TAPS)
def test_a_missing_tap_or_one_with_another_grid_is_refused(tap, on, reason):
    predictor = predictors.Pooled if on == "pooled" else predictors.OneLayer
    encoder = encoders.ResNet((1, 1, 1), 8, stem="small", image=24, taps=(1, 3))
    objective = Objective(targets.Pixels, predictor, losses.MSE(), on=on, tap=tap)
    with pytest.raises(ValueError, match=reason):
        Method(encoder, [objective])


@pytest.mark.parametrize(("tap", "on"), [(1, "pooled"), (3, "pooled"), (3, "all"), (None, "all")])
def test_a_predictor_at_a_tap_has_the_width_there(tap, on):
    predictor = predictors.Pooled if on == "pooled" else predictors.OneLayer
    encoder = encoders.ResNet((1, 1, 1), 8, stem="small", image=24, taps=(1, 3))
    target = Mean if on == "pooled" else targets.Pixels
    composed = Method(encoder, [Objective(target, predictor, losses.MSE(), on=on, tap=tap)])
    assert composed.objectives[0].predictor.head.in_features == {1: 8, 3: 32, None: 32}[tap]
    batch = Batch([torch.rand(4, 3, 24, 24)], torch.arange(4), torch.full((4,), -1))
    composed(batch, 0).loss.backward()
    assert encoder.conv1.weight.grad.abs().max() > 0


def test_a_loss_of_frequencies_needs_the_whole_picture():
    whole = partial(targets.Whole, of=targets.Pixels)
    objective = Objective(whole, predictors.OneLayer, losses.Spectrum())
    with pytest.raises(
        ValueError, match="Objective: on: expected all, as Spectrum needs the whole picture"
    ):
        Method(encoder_of("token"), [objective], masks.Uniform(0.5))
    with pytest.raises(ValueError, match="Whole: of: expected a target of pixels, got Mean"):
        Objective(partial(targets.Whole, of=Mean), predictors.OneLayer, losses.MSE()).build(
            encoder_of("token"), {}
        )


def test_a_ranker_predicts_losses_behind_a_dense_encoder_too():
    transformer = PREDICTORS["transformer"]
    momentum = partial(encoders.Momentum, momentum=0.9)
    ranker = partial(rankers.PredictedLoss, predictor=transformer, momentum=momentum)
    objective = Objective(targets.Pixels, transformer, losses.MSE())
    learns(Method(encoder_of("token"), [objective], masks.Ranked(0.5), ranker))


@pytest.mark.parametrize(
    ("target", "loss", "reason"),
    [
        (
            targets.Pixels,
            losses.Spectrum(),
            r"the further arguments of Pixels \(nothing\), got Spectrum: missing",
        ),
        (
            partial(targets.Whole, of=targets.Pixels),
            losses.MSE(),
            r"\(grid, patch, extra\), got MSE: got an unexpected",
        ),
    ],
)
def test_a_loss_that_does_not_take_the_targets_arguments_is_refused(target, loss, reason):
    composed = Method(
        encoder_of("token"),
        [Objective(target, predictors.OneLayer, loss, on="all")],
        MASKS["uniform"],
    )
    batch = Batch([torch.rand(4, 3, 24, 24)], torch.arange(4), torch.full((4,), -1))
    with pytest.raises(ConfigError, match=reason):
        composed(batch, 0)
