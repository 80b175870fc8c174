"""The predicted loss: who teaches whom, whose score is whose, and what stays float32."""

import functools

import pytest
import torch
from torch import nn

from pymim import losses, masks, predictors, targets
from pymim.contracts import Draw, Mask
from pymim.encoders import Momentum
from pymim.objective import Objective
from pymim.rankers import Absolute, PredictedLoss
from tests.asking import batch_of
from tests.test_method import TINY, make_batch, make_method

HALF = functools.partial(Momentum, momentum=0.5)
RANKER = functools.partial(PredictedLoss, predictor=TINY, momentum=HALF)
RANKED = masks.Ranked(0.75, hard=0.5)


def make(ranker=RANKER, **slots):
    return make_method(**({"ranker": ranker, "mask": RANKED} | slots))


def test_a_score_is_the_mean_of_as_many_outputs_as_the_target_has():
    method = make()
    assert method.ranker.predictor.head.weight.shape == (48, 24)
    assert make(functools.partial(RANKER, width=1)).ranker.predictor.head.weight.shape == (1, 24)
    view = make_batch().views[0]
    scores = method.ranker(batch_of(view), Draw(0, 0))
    assert scores.shape == (4, 24)
    assert scores.dtype == torch.float32


def test_the_input_is_shared_and_the_rest_is_not():
    method = make()
    ours, theirs = method.ranker.predictor, method.objectives[0].predictor
    assert ours.embed is theirs.embed
    assert ours.mask_token is theirs.mask_token
    assert ours.pos_embed is theirs.pos_embed
    assert not {id(p) for p in ours.blocks.parameters()} & {
        id(p) for p in theirs.blocks.parameters()
    }
    apart = make(functools.partial(RANKER, share_input=False))
    assert apart.ranker.predictor.embed is not apart.objectives[0].predictor.embed
    other = functools.partial(predictors.Transformer, dim=16, depth=1, heads=2)
    with pytest.raises(
        ValueError, match=r"Transformer: share_input: expected a Transformer of the same dim"
    ):
        make(functools.partial(RANKER, predictor=other))


def test_gradient_of_its_loss_reaches_encoder_and_input_but_not_the_reconstruction():
    method, batch = make(), make_batch()
    method(batch, 0).losses["ranker"].mean().backward()
    has = {
        name: parameter.grad is not None and bool(parameter.grad.any())
        for name, parameter in method.named_parameters()
    }
    reconstruction = [
        name
        for name in has
        if name.startswith(
            (
                "objectives.0.predictor.blocks",
                "objectives.0.predictor.norm",
                "objectives.0.predictor.head",
            )
        )
    ]
    assert reconstruction and not any(has[name] for name in reconstruction)
    assert has["objectives.0.predictor.embed.weight"]
    assert has["objectives.0.predictor.mask_token"]
    assert has["encoder.patch_embed.proj.weight"]
    assert has["ranker.predictor.blocks.0.mlp.fc1.weight"]
    assert not any(has[name] for name in has if name.startswith(("ranker.teacher", "ranker.judge")))


def test_both_losses_count_and_are_reported_apart():
    out = make()(make_batch(), 0)
    assert out.losses["ranker"].shape == out.losses["pixels"].shape == (4, 18)
    torch.testing.assert_close(out.loss, out.losses["pixels"].mean() + out.losses["ranker"].mean())
    double = make(functools.partial(RANKER, weight=2.0))(make_batch(), 0)
    torch.testing.assert_close(double.losses["ranker"], 2 * out.losses["ranker"])
    absolute = make(functools.partial(RANKER, compare=Absolute()))(make_batch(), 0)
    assert absolute.losses["ranker"].shape == (4, 18)


def passing(method):
    """Tokens pass every block as they are, and scores are read off positions."""
    with torch.no_grad():
        for block in method.ranker.predictor.blocks:
            block.attn.proj.weight.zero_()
            block.mlp.fc2.weight.zero_()
        method.ranker.predictor.mask_token.zero_()
    method.ranker.predictor.norm = nn.Identity()
    method.ranker.predictor.head = nn.Identity()
    return method


def test_scores_stay_with_their_patches_also_while_it_learns():
    seen = {}

    def keep(scores, patch_losses):
        seen["scores"] = scores
        return scores

    method = passing(make(functools.partial(RANKER, compare=keep)))
    out = method(make_batch(), 3)
    expected = method.ranker.predictor.pos_embed[0, 1:].mean(-1)[out.mask.predicted]
    torch.testing.assert_close(seen["scores"], expected)


def test_the_teacher_sees_every_patch_and_scores_each_for_itself():
    torch.manual_seed(1)
    method, view = make(), make_batch().views[0][:1]
    features = method.ranker.teacher(view)
    assert features.tokens.shape[1] == 24
    every = torch.arange(24)[None]
    seen = Mask(every, every[:, :0], every[:, :0])
    assert method.ranker.judge.module(features, seen, (4, 6)).shape == (1, 0, 1)
    scores = method.ranker(batch_of(view), Draw(0, 0))
    for row, column in ((0, 0), (1, 4), (3, 5)):
        other = view.clone()
        other[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 3
        change = (method.ranker(batch_of(other), Draw(0, 0)) - scores).abs()[0]
        assert change.argmax() == 6 * row + column


def test_the_hardest_are_hidden():
    method, batch = make(), make_batch()
    hidden = method(batch, 0).mask.boolean(24)
    hardest = method.ranker(batch, Draw(0, 0)).topk(9)[1]
    assert hidden.gather(1, hardest).all()


def test_copies_follow_encoder_and_predictor():
    method, batch = make(), make_batch()
    before = method.ranker(batch, Draw(0, 0))
    with torch.no_grad():
        method.encoder.blocks[0].mlp.fc2.bias += 1
        method.ranker.predictor.head.bias += 4
    torch.testing.assert_close(method.ranker(batch, Draw(0, 0)), before)
    method.after_step(0)
    assert method.ranker.judge.module.head.bias[0] == 2
    assert method.ranker.teacher.module.blocks[0].mlp.fc2.bias[0] == 0.5


def test_the_first_teacher_is_a_copy_of_the_start():
    method = make()
    for mine, theirs in zip(
        method.ranker.teacher.parameters(), method.encoder.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_a_target_shares_its_momentum_encoder():
    target = functools.partial(targets.Tokens, teacher=HALF)
    method = make(objectives=[Objective(target, TINY, losses.CosineDistance(), weight=2.0)])
    assert method.ranker.teacher is method.objectives[0].target.teacher
    assert method.ranker.predictor.head.weight.shape == (24, 24)
    method(make_batch(), 0).loss.backward()


def test_without_momentum_it_learns_and_masks_stay_uniform():
    method, batch = make(functools.partial(RANKER, momentum=None)), make_batch()
    assert method.ranker(batch, Draw(0, 0)) is None
    out = method(batch, 2)
    expected = masks.Ranked(0.75)(batch.index, (4, 6), Draw(0, 2))
    assert torch.equal(out.mask.hidden, expected.hidden)
    assert "ranker" in out.losses
    assert not [name for name, _ in method.named_parameters() if "teacher" in name]


def test_scores_are_float32_under_autocast():
    kinds = []

    def note(scores, patch_losses):
        kinds.append((scores.dtype, patch_losses.dtype))
        return scores

    method, batch = make(functools.partial(RANKER, compare=note)), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        assert method.ranker(batch, Draw(0, 0)).dtype == torch.float32
        method(batch, 0)
    assert kinds == [(torch.float32, torch.float32)]


def test_only_branches_with_its_objective_teach_it():
    objectives = [Objective(targets.Pixels, TINY, losses.MSE(), source=source) for source in (0, 1)]
    out = make(functools.partial(RANKER, of="pixels_1"), objectives=objectives)(
        make_batch(views=2), 0
    )
    assert out.losses["ranker"].shape == (4, 18)


@pytest.mark.parametrize(
    ("options", "objective", "message"),
    [
        (
            {"of": "tokens"},
            {},
            "PredictedLoss: of: expected one of the objectives pixels, got 'tokens'; name one",
        ),
        (
            {},
            {"on": "visible"},
            "expected an objective on the predicted patches of one branch, got pixels on visible",
        ),
        ({}, {"source": (0, 1)}, "of one branch, got pixels on 2 branches; set of to another"),
    ],
)
def test_an_objective_that_cannot_be_ranked_by_is_refused(options, objective, message):
    objectives = [Objective(targets.Pixels, TINY, losses.MSE(), **objective)]
    with pytest.raises(ValueError, match=message):
        make(functools.partial(RANKER, **options), objectives=objectives)


def test_it_learns_which_patches_are_hard():
    batch = make_batch(b=8)
    batch.views[0][:, :, :, 12:] *= 0.05  # the right half is nearly empty
    raw = functools.partial(targets.Pixels, normalise="none")
    method = make(objectives=[Objective(raw, TINY, losses.MSE())], mask=masks.Uniform(0.5))
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)
    for step in range(40):
        optimizer.zero_grad()
        method(batch, step).loss.backward()
        optimizer.step()
        method.after_step(step)
    left, right = method.ranker(batch, Draw(0, 0)).view(8, 4, 6).split(3, 2)
    assert left.mean() > right.mean() + 0.3
