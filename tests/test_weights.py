"""How much a patch counts: said by a target, or by the mask."""

import torch

from pymim import masks
from pymim.contracts import Made
from pymim.objective import Objective
from tests.test_method import TINY, make_batch, make_method
from tests.test_objective import Counted, First


class Weighing(Counted):
    """Counts the first patch three times, and the others not at all."""

    def forward(self, asked):
        values = super().forward(asked)
        weight = torch.zeros(values.shape[:2])
        weight[:, 0] = 3.0
        return Made(values, weight=weight, beside={"shift": 2.0})


class Shifted:
    def __call__(self, prediction, target, shift):
        return (prediction - target)[..., 0] + shift


def test_a_target_weighs_its_patches_and_hands_the_loss_more():
    objective = Objective(Weighing, TINY, Shifted())
    out = make_method(objectives=[objective])(make_batch(), 0)
    first = out.predictions["weighing"][:, 0, 0] + 2.0
    torch.testing.assert_close(out.loss, first.mean())


def test_weights_of_zero_everywhere_cost_nothing():
    class Nothing(Counted):
        def forward(self, asked):
            values = super().forward(asked)
            return Made(values, weight=torch.zeros(values.shape[:2]))

    out = make_method(objectives=[Objective(Nothing, TINY, First())])(make_batch(), 0)
    assert out.loss.item() == 0


def test_the_masks_weight_counts_too():
    class Half:
        def __call__(self, index, grid, draw, difficulty=None):
            mask = masks.Uniform(0.75)(index, grid, draw)
            weight = torch.zeros(mask.predicted.shape)
            weight[:, :9] = 1
            return mask._replace(weight=weight)

    out = make_method(objectives=[Objective(Counted, TINY, First())], mask=Half())(make_batch(), 0)
    torch.testing.assert_close(out.loss, out.predictions["counted"][:, :9, 0].mean())
