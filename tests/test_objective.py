"""Objectives: pairs of views, shared parts, weights that change, groups, losses of a batch."""

import math

import pytest
import torch

from pymim import losses, masks, predictors, schedule, targets
from pymim.contracts import Made, Source, Target
from pymim.errors import ConfigError
from pymim.objective import Objective
from tests.test_method import TINY, make_batch, make_method


class Counted(Target):
    """Gives the number of the view it looks at, and counts how often it is asked."""

    def __init__(self, encoder, width=5, reads="pixels", graph=False):
        super().__init__()
        self.width, self.reads, self.graph = width, reads, graph
        self.asked = []

    def forward(self, asked):
        self.asked.append(asked)
        rows = 1 if asked.ids is None else asked.ids.shape[1]
        return torch.full((len(asked.index), rows, self.width), float(asked.number))


class CountedPooled(predictors.Pooled):
    calls = 0

    def forward(self, features, mask, grid):
        self.calls += 1
        return super().forward(features, mask, grid)


class First:
    """A loss that tells pairs apart: the prediction's first value less the target's."""

    def __call__(self, prediction, target):
        return (prediction - target)[..., 0]


def pooled(**options):
    return Objective(Counted, CountedPooled, First(), on="pooled", **options)


def pairs_of(views=3, **options):
    objective = pooled(**options)
    method = make_method(objectives=[objective], mask=None)
    out = method(make_batch(views=views), 0)
    return objective, out, [(pair.source.view, pair.to) for pair in out.pairs["counted"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"source": (0, 1, 2)}, [(0, 0), (1, 1), (2, 2)]),
        ({"source": (1, 2), "to": 0}, [(1, 0), (2, 0)]),
        ({"source": 0, "to": (1, 2)}, [(0, 1), (0, 2)]),
        ({"source": (0, 1, 2), "to": (0, 1)}, [(0, 1), (1, 0), (2, 0), (2, 1)]),
        ({"source": (0, 1), "to": (0, 1), "pairs": "same"}, [(0, 0), (1, 1)]),
        ({"source": (0, 1), "to": (0, 1), "pairs": "all"}, [(0, 0), (0, 1), (1, 0), (1, 1)]),
    ],
)
def test_pairs_of_views(options, expected):
    objective, out, found = pairs_of(**options)
    assert found == expected
    assert objective.predictor.calls == len({source for source, _ in expected})
    assert sorted(asked.number for asked in objective.target.asked) == sorted(
        {to for _, to in expected}
    )
    by_hand = []
    for source, to in expected:
        scores = objective.predictor.head(out.branches[source, 0].features.pooled)
        by_hand.append(scores[:, 0] - to)
    torch.testing.assert_close(out.losses["counted"], torch.stack(by_hand, 1))
    torch.testing.assert_close(out.loss, torch.stack(by_hand).mean())


def test_a_target_is_computed_once_for_each_mask_and_view():
    objective = Objective(Counted, TINY, First(), source=(0, 1), to=(0, 1), pairs="all")
    make_method(objectives=[objective])(make_batch(views=2), 0)
    asked = [(question.number, question.mask.predicted) for question in objective.target.asked]
    assert [number for number, _ in asked] == [0, 1, 0, 1]
    assert torch.equal(asked[0][1], asked[1][1]) and not torch.equal(asked[0][1], asked[2][1])


class Self(Counted):
    """Predicts what the objective's own predictor makes of the view looked at."""

    def __init__(self, encoder, graph=False):
        super().__init__(encoder, reads="prediction", graph=graph)

    def forward(self, asked):
        self.asked.append(asked)
        return asked.predict()


@pytest.mark.parametrize("graph", [False, True])
def test_a_target_may_read_the_prediction_of_the_view_it_looks_at(graph):
    objective = Objective(
        lambda e: Self(e, graph), CountedPooled, First(), on="pooled", source=(0, 1), to=(0, 1)
    )
    method = make_method(objectives=[objective], mask=None)
    out = method(make_batch(views=2), 0)
    assert objective.predictor.calls == 2
    one, two = out.pairs["self"]
    torch.testing.assert_close(one.target, two.prediction)
    assert one.target.requires_grad == graph
    asked = objective.target.asked[0]
    assert asked.branch.features.pooled.requires_grad == graph


def test_a_view_that_only_a_target_reads_is_encoded_without_a_graph():
    objective = Objective(Self, CountedPooled, First(), on="pooled", source=0, to=1)
    out = make_method(objectives=[objective], mask=None)(make_batch(views=2), 0)
    assert out.branches[1, 0].features.pooled.grad_fn is None
    assert out.branches[0, 0].features.pooled.grad_fn is not None


def test_objectives_share_parts_by_name():
    first = Objective(Counted, CountedPooled, First(), on="pooled", name="first")
    second = Objective("first", "first", losses.MSE(), on="pooled")
    method = make_method(objectives=[first, second], mask=None)
    out = method(make_batch(), 0)
    assert second.target is first.target and second.predictor is first.predictor
    assert len(first.target.asked) == 1 and first.predictor.calls == 1
    assert sum(p.numel() for p in method.objectives.parameters()) == 24 * 5 + 5
    torch.testing.assert_close(
        out.losses["counted"][:, 0], out.predictions["first"][:, 0].square().mean(-1)
    )


def test_a_name_that_no_earlier_objective_has_is_refused():
    with pytest.raises(ValueError, match=r"an earlier objective's name \(none\), got 'it'"):
        make_method(objectives=[Objective("it", TINY, losses.MSE())])


def test_a_target_meets_the_predictor():
    class Following(Counted):
        def follow(self, predictor):
            self.met = predictor

    objective = Objective(Following, CountedPooled, First(), on="pooled")
    make_method(objectives=[objective], mask=None)
    assert objective.target.met is objective.predictor


def test_a_loss_gets_the_width_and_chooses_the_predicted_one():
    class Wide(losses.MSE):
        def predicts(self, width, encoder):
            return 2 * width

        def build(self, width, encoder):
            self.heard = width, encoder.embedding

        def __call__(self, prediction, target):
            return super().__call__(prediction[..., : target.shape[-1]], target)

    objective = Objective(Counted, predictors.Pooled, Wide(), on="pooled")
    make_method(objectives=[objective], mask=None)
    assert objective.loss.heard == (5, 24)
    assert objective.predictor.head.out_features == 10


def test_an_objective_switches_on():
    late = schedule.Ramp(-1.0, 1.0)  # -1, 0, 1 at steps 0, 5 and 10 of 10
    objectives = [
        Objective(Counted, TINY, First(), name="always"),
        Objective(Counted, TINY, First(), weight=late, steps=10, name="late", source=1),
    ]
    method, batch = make_method(objectives=objectives), make_batch(views=2)
    off, on = method(batch, 5), method(batch, 10)
    assert set(off.losses) == {"always"} and set(off.branches) == {Source(0)}
    assert set(on.losses) == {"always", "late"} and set(on.branches) == {Source(0), Source(1)}
    assert not objectives[1].target.asked[:-1]
    torch.testing.assert_close(on.loss, on.losses["always"].mean() + on.losses["late"].mean())


def test_a_step_without_objectives_is_refused():
    objective = Objective(Counted, TINY, First(), weight=schedule.Constant(0.0), steps=10)
    with pytest.raises(ConfigError, match="expected one with a weight above 0 at step 3"):
        make_method(objectives=[objective])(make_batch(), 3)


class Whole:
    """A loss that exists for the whole batch alone: the variance of all predictions."""

    together = True

    def __call__(self, prediction, target):
        return prediction.var()


def test_a_loss_of_the_whole_batch_sees_all_pairs_at_once():
    objective = Objective(Counted, CountedPooled, Whole(), on="pooled", source=(0, 1, 2))
    out = make_method(objectives=[objective], mask=None)(make_batch(views=3), 0)
    assert out.losses["counted"].shape == (1, 1)
    scores = [objective.predictor.head(out.branches[view, 0].features.pooled) for view in range(3)]
    torch.testing.assert_close(out.loss, torch.stack(scores).var())


def test_an_objective_at_a_tap_reads_what_the_encoder_has_there():
    from pymim.encoders import ViT
    from pymim.method import Method

    encoder = ViT(24, 2, 2, image=(16, 24), patch=4, hidden="token", taps=(1,))
    objective = Objective(targets.Pixels, predictors.OneLayer, losses.MSE(), tap=1)
    method = Method(encoder, [objective], masks.Uniform(0.75))
    out = method(make_batch(), 0)
    out.loss.backward()
    assert encoder.blocks[0].mlp.fc1.weight.grad is not None
    assert encoder.blocks[1].mlp.fc1.weight.grad is None
    with pytest.raises(ValueError, match="tap: expected one of 1, got 2"):
        out.features.at(2)


def test_one_group_of_the_grid():
    from pymim.encoders import ViT
    from pymim.method import Method

    encoder = ViT(24, 1, 2, image=(2, 16, 24), patch=(1, 4, 4))
    objectives = [
        Objective(targets.Pixels, TINY, losses.MSE(), group=group, name=f"of{group}")
        for group in (0, 1)
    ]
    whole = Objective(targets.Pixels, TINY, losses.MSE(), name="whole")
    method = Method(encoder, [*objectives, whole], masks.Uniform(0.5))
    batch = make_batch()
    clip = torch.stack([batch.views[0], batch.views[0].flip(3)], 2)
    out = method(batch._replace(views=[clip]), 0)
    hidden = out.mask.boolean(48)
    for group, objective in enumerate(objectives):
        one = out.losses[objective.name]
        assert one.shape == (4, 24)
        assert torch.equal(one > 0, hidden[:, 24 * group : 24 * (group + 1)])
        wanted = objective.target(_all(batch._replace(views=[clip])))[
            :, 24 * group : 24 * (group + 1)
        ]
        torch.testing.assert_close(out.targets[objective.name], wanted)


def _all(batch):
    from pymim.contracts import Asked

    return Asked(batch, 0, None, 0)


def test_own_losses_are_added_and_logged_once():
    class Own(Counted):
        def forward(self, asked):
            return Made(super().forward(asked), losses=torch.full((len(asked.index), 2), 0.25))

    first = Objective(Own, CountedPooled, First(), on="pooled", name="first")
    second = Objective("first", CountedPooled, First(), on="pooled", name="second")
    out = make_method(objectives=[first, second], mask=None)(make_batch(), 0)
    assert set(out.losses) == {"first", "second", "first.target"}
    torch.testing.assert_close(
        out.loss, out.losses["first"].mean() + out.losses["second"].mean() + 0.25
    )


def test_hooks_reach_what_a_policy_or_a_loss_wraps():
    class Inner(masks.Uniform):
        heard = None

        def before_run(self, run):
            self.heard = run

    policy = masks.PredictShare(Inner(0.75), 0.5)
    method = make_method(mask=policy)
    method.before_run("run")
    assert policy.policy.heard == "run"


def test_a_policy_may_hide_nothing_of_a_view():
    class Only:
        def __call__(self, index, grid, draw, difficulty=None):
            return masks.Uniform(0.75)(index, grid, draw) if draw.view == 0 else None

    objective = Objective(Counted, CountedPooled, First(), on="pooled", source=(0, 1))
    out = make_method(objectives=[objective], mask=Only())(make_batch(views=2), 0)
    assert out.branches[0, 0].features.tokens.shape[1] == 6
    assert out.branches[1, 0].mask is None and out.branches[1, 0].features.tokens.shape[1] == 24
    assert math.isfinite(out.loss.item())
