"""Crops that go through the encoder together, against plain loops of torch's own batch norm."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pymim import encoders, losses, masks, predictors, targets
from pymim.contracts import Batch, Features, Source
from pymim.method import Method
from pymim.objective import Objective

HEADS = functools.partial(predictors.Heads, kind="unit")


def make_batch(sides=(16, 8, 16, 8, 8), b=4):
    torch.manual_seed(1)
    return Batch(
        [torch.randn(b, 3, side, side) * (1 + n) + n for n, side in enumerate(sides)],
        torch.arange(b),
        -1,
    )


class Means(encoders.ViT):
    """Norms the mean of each channel over the batch: what its batch norm sees is known by hand."""

    def __init__(self):
        super().__init__(12, 1, 1, image=16, patch=4)
        self.batch_norm = nn.BatchNorm1d(3)

    def forward(self, view, mask=None):
        return super().forward(view)._replace(pooled=self.batch_norm(view.mean((2, 3))))


def trunk(kind):
    torch.manual_seed(0)
    sizes = {"depths": (1, 1), "dim": 4, "stem": "small", "image": 16}
    if kind == "sobel":
        return encoders.Sobel(encoders.ResNet(**sizes, channels=2))
    return (
        encoders.ResNet(**sizes) if kind == "resnet" else encoders.ViT(12, 1, 2, image=16, patch=4)
    )


def make_method(encoder, sources=(0, 1, 2, 3, 4), target=None, together=True, **options):
    target = target or functools.partial(targets.Assigned, clusters=5, transport=None)
    loss = losses.CrossEntropy(0.1)
    objective = Objective(
        target, HEADS, loss, on="pooled", source=sources, to=(0, 2), pairs="others"
    )
    torch.manual_seed(2)
    return Method(encoder, [objective], together=together, **options)


def plainly(encoder, views):
    """Encode as SwAV: crops of one size as one batch in the trunk, all as one batch in the head."""
    inner, head, pooled = encoder.trunk, encoder.head, {}
    for side in (16, 8):
        numbers = [n for n, view in enumerate(views) if view.shape[-1] == side]
        made = inner(torch.cat([views[n] for n in numbers])).pooled
        pooled |= zip(numbers, made.chunk(len(numbers)), strict=True)
    every = head(torch.cat([pooled[n] for n in range(len(views))]))
    return F.normalize(every, dim=1).chunk(len(views))


@pytest.mark.parametrize("kind", ["resnet", "sobel", "vit"])
def test_norms_are_over_crops_of_one_size_and_the_head_s_over_all(kind):
    encoder = encoders.Projected(trunk(kind), (8, 6), unit=True)
    twin, batch = copy.deepcopy(encoder), make_batch()
    branches = make_method(encoder, target=Looks).encode(batch, 0)
    expected = plainly(twin, batch.views)
    for number, wanted in enumerate(expected):
        branch = branches[Source(number)]
        assert branch.features.tokens.shape[0] == 4 and branch.view is batch.views[number]
        torch.testing.assert_close(branch.features.pooled, wanted)
    for mine, theirs in zip(encoder.buffers(), twin.buffers(), strict=True):  # running statistics
        torch.testing.assert_close(mine, theirs)
    up = [torch.randn_like(wanted) for wanted in expected]
    made = [branches[Source(n)].features.pooled for n in range(5)]
    mine = torch.autograd.grad(made, list(encoder.parameters()), up, allow_unused=True)
    theirs = torch.autograd.grad(expected, list(twin.parameters()), up, allow_unused=True)
    for one, other in zip(mine, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class Looks(nn.Module):
    """A target of pixels: it says which colour each picture has most of."""

    width = 5

    def __init__(self, encoder):
        super().__init__()

    def forward(self, asked):
        return asked.view.mean((2, 3)).argmax(1)[:, None]


@pytest.mark.parametrize(("together", "updates", "share"), [(True, 2, 0.526), (False, 8, 0.823)])
def test_the_share_of_small_crops_in_running_statistics(together, updates, share):
    """Large crops are 0 and small ones 1, so the running mean is the share of the small ones."""
    encoder = Means()
    views = [torch.zeros(2, 3, 16, 16)] * 2 + [torch.ones(2, 3, 8, 8)] * 6
    method = make_method(encoder, tuple(range(8)), Looks, together)
    method.encode(Batch(views, torch.arange(2), -1), 0)
    norm = encoder.batch_norm
    assert norm.num_batches_tracked == updates
    seen = 1 - 0.9**updates  # what the running mean has taken up at all
    assert (norm.running_mean / seen).tolist() == pytest.approx([share] * 3, abs=1e-3)


def test_together_changes_nothing_without_batch_norms():
    encoder = encoders.Projected(trunk("vit"), (8, 6), norm="none")
    batch = make_batch()
    apart, joint = (make_method(encoder, target=Looks, together=flag) for flag in (False, True))
    joint.objectives[0].predictor.load_state_dict(apart.objectives[0].predictor.state_dict())
    grads = [
        torch.autograd.grad(m(batch, 0).loss, list(encoder.parameters()), allow_unused=True)
        for m in (apart, joint)
    ]
    for one, other in zip(*grads, strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_views_whose_features_a_target_reads_are_of_the_same_batch():
    """SimCLR: both views' projections, from one batch of all of them, as in its paper's listing."""
    encoder = trunk("resnet")
    twin, batch = copy.deepcopy(encoder), make_batch((16, 16))
    target = functools.partial(targets.Predicted, width=6)
    torch.manual_seed(0)
    objective = Objective(
        target, predictors.Heads, losses.Contrast(0.1), on="pooled", source=0, to=1
    )
    method = Method(encoder, [objective], together=True)
    found = method(batch, 0).loss
    head = copy.deepcopy(objective.predictor)
    pooled = twin(torch.cat(batch.views))
    z = F.normalize(head(pooled, None, (4, 4)).flatten(1), dim=1)
    scores = (z @ z.T / 0.1).fill_diagonal_(-torch.inf)
    expected = F.cross_entropy(scores, torch.arange(8).roll(4))
    torch.testing.assert_close(found, expected)
    mine = torch.autograd.grad(found, list(encoder.parameters()))
    torch.testing.assert_close(
        mine, torch.autograd.grad(expected, list(twin.parameters())), rtol=1e-3, atol=1e-5
    )


def test_features_split_into_what_was_put_together():
    torch.manual_seed(0)
    whole = Features(
        torch.randn(5, 4, 3), torch.randn(5, 1, 3), {2: torch.randn(5, 5, 3)}, torch.randn(5, 3),
        (torch.randn(5, 2, 4, 4),), torch.arange(20).view(5, 4), {"own": torch.randn(5, 2)},
    )  # fmt: skip
    parts = whole.split([2, 3])
    assert [len(part.tokens) for part in parts] == [2, 3]
    for name in ("tokens", "prefix", "pooled", "ids"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    for inner in (lambda f: f.taps[2], lambda f: f.pyramid[0], lambda f: f.losses["own"]):
        assert torch.equal(torch.cat([inner(part) for part in parts]), inner(whole))


def test_together_is_refused_where_it_has_no_effect():
    encoder = trunk("vit")
    with pytest.raises(
        ValueError, match="Method: together: expected several encoded views, got only view 1"
    ):
        Method(
            encoder,
            [Objective(Looks, HEADS, losses.CrossEntropy(), on="pooled", source=1)],
            together=True,
        )
    with pytest.raises(
        ValueError, match=r"Method: together: expected False with a mask, .* got True with Uniform"
    ):
        make_method(encoder, target=Looks, mask=masks.Uniform(0.5))
