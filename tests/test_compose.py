"""Parts of different papers compose: every mask with every target and predictor that can go together learns from
two steps; what cannot is refused when the method is built, with the reason."""

from functools import partial

import pytest
import torch

from pymim import encoders, losses, masks, predictors, targets
from pymim.contracts import Batch
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
    "some": masks.Some(masks.Uniform(0.5), 0.3),
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
    "linear": predictors.Linear,
}


class Contrast(torch.nn.Module):
    """A ranker, for the masks that listen to one."""

    def __init__(self, encoder, objectives):
        super().__init__()

    def forward(self, batch, draw):
        return batch.views[0].unfold(2, 4, 4).unfold(3, 4, 4).std((1, 4, 5)).flatten(1)


def method(mask, target, predictor, hidden="drop", on="predicted"):
    torch.manual_seed(0)
    encoder = encoders.ViT(16, 1, 2, image=24, patch=4, hidden=hidden)
    make, loss = TARGETS[target]
    objective = Objective(make, PREDICTORS.get(predictor, predictors.Pooled), loss, on=on)
    return Method(encoder, [objective], mask, Contrast)


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mask", MASKS)
def test_two_steps(mask, target, predictor):
    composed = method(MASKS[mask], target, predictor, "token" if predictor == "linear" else "drop")
    batch = Batch([torch.rand(4, 3, 24, 24)], torch.arange(4), torch.full((4,), -1))
    optimizer = torch.optim.SGD([p for p in composed.parameters() if p.requires_grad], 0.1)
    before = composed.encoder.patch_embed.proj.weight.clone()
    for step in range(2):
        loss = composed(batch, step).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        composed.after_step(step)
        assert loss.isfinite()
    assert not torch.equal(composed.encoder.patch_embed.proj.weight, before)


@pytest.mark.parametrize(
    ("mask", "predictor", "hidden", "on", "reason"),
    [
        (None, "transformer", "drop", "all", "Method: mask: expected a policy, as Transformer"),
        (masks.Uniform(), "linear", "drop", "predicted", "Objective: predictor: .* as ViT drops them"),
        (masks.Uniform(), "cross", "drop", "pooled", "Objective: on: expected predicted, visible or all"),
        (masks.Uniform(), "pooled", "drop", "predicted", "Objective: on: expected pooled, as Pooled"),
    ],
)
def test_misfits_are_refused_when_built(mask, predictor, hidden, on, reason):
    with pytest.raises(ValueError, match=reason):
        method(mask, "pixels", predictor, hidden, on)


def test_nothing_is_hidden_from_a_residual_network():
    encoder = encoders.ResNet((1,), 8)
    with pytest.raises(ValueError, match="Method: mask: expected None, as ResNet sees every patch"):
        Method(encoder, [Objective(targets.Pixels, predictors.Linear, losses.MSE())], masks.Uniform())
