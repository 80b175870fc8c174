"""The sampler: chances of patches to be shown, and what it learns from hidden ones."""

import copy
import functools
import math

import pytest
import torch

from pymim import encoders, losses, masks, targets
from pymim.contracts import Branch, Draw, Mask, Source
from pymim.objective import Objective
from pymim.rankers import Sampler
from tests.asking import batch_of
from tests.test_method import TINY, make_batch, make_method

RANKER = functools.partial(Sampler, heads=2)


def make(ranker=RANKER, **slots):
    return make_method(**({"ranker": ranker, "mask": masks.Weighted(0.75)} | slots))


def branch_of(chances, mask):
    """A branch of one image under this mask."""
    return Branch(Source(0), None, None, Draw(0, 0), (1, chances.shape[1]), mask, chances, None)


def test_chances_are_a_softmax_over_the_patches_of_the_view():
    method, batch = make(), make_batch()
    chances = method.ranker(batch, Draw(0, 0))
    assert chances.shape == (4, 24) and chances.dtype == torch.float32
    torch.testing.assert_close(chances.sum(1), torch.ones(4))
    ranker, embedding = method.ranker, method.encoder.patch_embed(batch.views[0])
    assert not ranker.pos_embed.any()  # a table of its own, which starts at zero
    logits = ranker.head(ranker.block(embedding))[..., 0]
    torch.testing.assert_close(chances, logits.exp() / logits.exp().sum(1, keepdim=True))
    with torch.no_grad():
        ranker.pos_embed[0, 5] += 1
    assert not torch.allclose(method.ranker(batch, Draw(0, 0)), chances)
    with torch.autocast("cpu", torch.bfloat16):
        assert method.ranker(batch, Draw(0, 0)).dtype == torch.float32


def test_the_loss_is_that_of_the_formula():
    """Four patches of chances 0.1 to 0.4; those hidden, 1 and 3, have losses of 2 and 5."""
    chances = torch.tensor([[0.1, 0.2, 0.3, 0.4]], requires_grad=True)
    hidden = torch.tensor([[1, 3]])
    mask = Mask(torch.tensor([[0, 2]]), hidden, hidden)
    ranker = make(functools.partial(RANKER, weight=0.5)).ranker
    found = ranker.loss(branch_of(chances, mask), {"pixels": torch.tensor([[2.0, 5.0]])})
    expected = torch.tensor([[-0.5 * 2 * math.log(0.2), -0.5 * 5 * math.log(0.4)]])
    torch.testing.assert_close(found, expected)
    found.mean().backward()
    torch.testing.assert_close(
        chances.grad, torch.tensor([[0, -0.5 * 2 / 0.2 / 2, 0, -0.5 * 5 / 0.4 / 2]])
    )


def test_the_gradient_of_the_logits_is_that_of_a_categorical():
    """w / M (p_j sum of losses - loss_j where j is hidden), worked out by hand."""
    logits = torch.tensor([[0.3, -1.0, 0.5, 2.0, 0.0]], requires_grad=True)
    hidden = torch.tensor([[0, 2, 4]])
    mask = Mask(torch.tensor([[1, 3]]), hidden, hidden)
    losses_of = torch.tensor([[1.0, 4.0, 0.5]])
    ranker = make(functools.partial(RANKER, weight=1e-4)).ranker
    ranker.loss(branch_of(logits.softmax(1), mask), {"pixels": losses_of}).mean().backward()
    chances = logits.detach().softmax(1)
    shown = torch.tensor([[1.0, 0, 4.0, 0, 0.5]])
    torch.testing.assert_close(logits.grad, 1e-4 / 3 * (chances * 5.5 - shown))
    assert (
        logits.grad[0, 2] < 0 < logits.grad[0, 3]
    )  # a step makes the hard hidden one likelier to be shown


def test_only_the_sampler_and_the_embedding_it_reads_learn_by_it():
    method, batch = make(), make_batch()
    method(batch, 0).losses["ranker"].mean().backward()
    learning = {
        name for name, p in method.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert {name for name in learning if name.startswith("encoder")} == {
        "encoder.patch_embed.proj.weight",
        "encoder.patch_embed.proj.bias",
    }
    assert not [name for name in learning if name.startswith("objectives")]
    assert {name for name, _ in method.ranker.named_parameters(prefix="ranker")} - learning <= {
        "ranker.head.bias"
    }
    apart = make(functools.partial(RANKER, train_embedding=False))
    apart(batch, 0).losses["ranker"].mean().backward()
    assert all(p.grad is None for p in apart.encoder.parameters())
    assert apart.ranker.pos_embed.grad.any()


def test_the_objective_does_not_teach_the_sampler():
    method, batch = make(), make_batch()
    method(batch, 0).losses["pixels"].mean().backward()
    assert all(p.grad is None for p in method.ranker.parameters())
    assert method.encoder.patch_embed.proj.weight.grad.any()


def test_losses_are_detached():
    """The sampler changes the encoder's gradient at the embedding alone, which both read."""
    grads = []
    for weight in (0.0, 1.0):
        method = make(functools.partial(RANKER, weight=weight))
        method(make_batch(), 0).loss.backward()
        grads.append(
            {name: p.grad for name, p in method.named_parameters() if not name.startswith("ranker")}
        )
    different = {name for name in grads[0] if not torch.equal(grads[0][name], grads[1][name])}
    assert different <= {"encoder.patch_embed.proj.weight", "encoder.patch_embed.proj.bias"}


def test_visible_patches_are_drawn_by_the_chances():
    class Fixed(torch.nn.Module):
        def __init__(self, encoder, objectives):
            super().__init__()

        def forward(self, batch, draw):
            chances = torch.ones(len(batch.index), 24)
            chances[:, 3] = 12.0
            return chances / chances.sum(1, keepdim=True)

    method = make(Fixed, mask=masks.Weighted(0.75))
    batch = batch_of(torch.randn(400, 3, 16, 24))
    shown = ~method(batch, 0).mask.boolean(24)
    assert shown[:, 3].float().mean() > 0.85
    assert shown.sum(1).unique().tolist() == [6]
    assert abs(shown[:, 10].float().mean() - 5 / 23) < 0.06


def test_a_hard_patch_becomes_visible_more_often():
    """Patch 7 alone cannot be predicted: the sampler learns to show it."""
    method = make(functools.partial(RANKER, weight=1.0))
    batch = batch_of(torch.randn(64, 3, 16, 24))
    optimizer = torch.optim.Adam(method.ranker.parameters(), 2e-2)
    before = method.ranker(batch, Draw(0, 0))[:, 7].mean().item()
    for step in range(30):
        chances = method.ranker(batch, Draw(0, step))
        mask = method.mask(batch.index, (4, 6), Draw(0, step), chances)
        hard = (mask.predicted == 7).float() + 0.05
        optimizer.zero_grad()
        method.ranker.loss(branch_of(chances, mask), {"pixels": hard}).mean().backward()
        optimizer.step()
    chances = method.ranker(batch, Draw(0, 0))
    assert chances[:, 7].mean() > 2 * before
    shown = ~method.mask(batch.index, (4, 6), Draw(0, 99), chances).boolean(24)
    assert shown[:, 7].float().mean() > 2 * 0.25


def test_a_loss_does_not_depend_on_later_calls():
    """The loss of one branch is right also after chances of another batch were made."""
    method, batch = make(), make_batch()
    expected = method(batch, 0).losses["ranker"]
    taken = method.start(batch, 0)
    method.ranker(batch_of(torch.randn(4, 3, 16, 24)), Draw(0, 0))
    pairs = method.objectives[0](taken)
    found = method.ranker.loss(taken.branches[Source(0)], {"pixels": pairs[0].losses.detach()})
    torch.testing.assert_close(found, expected)


def test_chances_that_round_to_nothing_have_finite_losses():
    chances = torch.tensor([[1.0, 0.0, 0.0]])
    hidden = torch.tensor([[1, 2]])
    found = make().ranker.loss(
        branch_of(chances, Mask(torch.tensor([[0]]), hidden, hidden)), {"pixels": torch.ones(1, 2)}
    )
    assert found.isfinite().all()


def test_every_branch_is_sampled_by_its_own_view():
    objectives = [Objective(targets.Pixels, TINY, losses.MSE(), source=source) for source in (0, 1)]
    method = make(objectives=objectives)
    out = method(make_batch(views=2), 0)
    assert out.losses["ranker"].shape == (4, 18)  # by the first objective's losses only
    assert not torch.equal(out.branches[Source(0)].difficulty, out.branches[Source(1)].difficulty)
    other = make(
        functools.partial(RANKER, of="pixels_1"),
        objectives=[
            Objective(targets.Pixels, TINY, losses.MSE(), source=source) for source in (0, 1)
        ],
    )
    assert other.ranker.of == "pixels_1"


def test_views_of_another_size_have_resampled_positions():
    method = make()
    with torch.no_grad():
        method.ranker.pos_embed.normal_()
    assert method.ranker(batch_of(torch.randn(2, 3, 32, 32)), Draw(0, 0)).shape == (2, 64)


def test_a_copied_method_reads_its_own_embedding():
    method, batch = make(), make_batch()
    other = copy.deepcopy(method)
    before = other.ranker(batch, Draw(0, 0))
    with torch.no_grad():
        method.encoder.patch_embed.proj.weight.normal_()
    assert torch.equal(other.ranker(batch, Draw(0, 0)), before)
    assert not [
        name for name in method.state_dict() if name.startswith("ranker.") and "patch_embed" in name
    ]


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match="Sampler: encoder: expected an encoder with a patch embedding, got ResNet"
    ):
        Sampler(encoders.ResNet(), [])
    with pytest.raises(
        ValueError, match="Sampler: of: expected one of the objectives pixels, got 'tokens'; name"
    ):
        make(functools.partial(RANKER, of="tokens"))
    with pytest.raises(
        ValueError,
        match="Sampler: of: expected an objective on the predicted patches of one branch",
    ):
        make(objectives=[Objective(targets.Pixels, TINY, losses.MSE(), source=(0, 1), to=0)])


class Losses(Sampler):
    losses = Sampler.loss


def test_a_misspelt_loss_is_refused():
    with pytest.raises(
        ValueError, match=r"Method: Losses\.losses: expected a ranker's method loss, got losses"
    ):
        make(functools.partial(Losses, heads=2))
