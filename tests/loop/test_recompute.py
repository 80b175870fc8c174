"""Recomputed blocks: what is learned, kept and counted is that of a plain pass."""

import copy
import functools

import pytest
import torch
from torch import nn

from pymim import encoders, losses, masks, predictors, targets
from pymim.contracts import Batch
from pymim.errors import ConfigError
from pymim.loop.wrap import wrap
from pymim.method import Method
from pymim.objective import Objective
from pymim.world import World

ALONE = World(0, 1, torch.device("cpu"))
SIZES = {"depths": (2, 1), "dim": 16, "stem": "small", "image": 16}


class Colours(nn.Module):
    """Which channel each picture has most of."""

    width = 3

    def __init__(self, encoder):
        super().__init__()

    def forward(self, asked):
        return asked.view.mean((2, 3)).argmax(1)[:, None]


def residual(**options):
    torch.manual_seed(0)
    objective = Objective(
        Colours, predictors.Heads, losses.CrossEntropy(), on="pooled", source=(0, 1)
    )
    return Method(encoders.ResNet(**SIZES, **options), [objective])


def projected():
    torch.manual_seed(0)
    objective = Objective(
        Colours, predictors.Heads, losses.CrossEntropy(), on="pooled", source=(0, 1)
    )
    return Method(encoders.Projected(encoders.ResNet(**SIZES), (8, 6)), [objective], together=True)


def transformer():
    torch.manual_seed(0)
    decoder = functools.partial(predictors.Transformer, dim=12, depth=1, heads=2)
    encoder = encoders.ViT(12, 2, 2, image=16, patch=4, drop_path=0.5)
    return Method(encoder, [Objective(targets.Pixels, decoder, losses.MSE())], masks.Uniform(0.5))


def stacked():
    objective = Objective(Colours, predictors.Heads, losses.CrossEntropy(), on="pooled")
    return Method(encoders.Stacked(((4, 3, 1, 1), (2, 2)), image=16), [objective])


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        views = [torch.randn(6, 3, 16, 16, generator=generator) for _ in range(2)]
        yield Batch(views, torch.arange(6), torch.zeros(6))


def trained(method, recompute):
    """Gradients, weights and buffers after three steps, and how often the first block was run."""
    runs = []
    first = next(m for m in method.encoder.modules() if hasattr(m, "blocks")).blocks[0]
    part = next(m for m in first.modules() if isinstance(m, nn.Conv2d | nn.LayerNorm))
    part.register_forward_hook(lambda *_: runs.append(1))
    forward = wrap(method, ALONE, False, recompute)
    optimizer = torch.optim.SGD(method.parameters(), 0.1)
    grads = []
    for step, batch in enumerate(batches()):
        torch.manual_seed(step)
        optimizer.zero_grad()
        forward(batch, step).loss.backward()
        grads += [p.grad.clone() for p in method.parameters() if p.grad is not None]
        optimizer.step()
    return grads, list(method.state_dict().values()), len(runs)


@pytest.mark.parametrize(
    "make", [residual, functools.partial(residual, bottleneck=True), projected, transformer]
)
def test_gradients_and_running_statistics_are_those_of_a_plain_pass(make):
    plain, again = trained(make(), False), trained(make(), True)
    for mine, theirs in zip(again[:2], plain[:2], strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert torch.equal(one, other)
    assert again[2] == 2 * plain[2], "each block ran twice"


def kept(method):
    """Bytes that autograd keeps for the backward pass of one batch, tensors counted once."""
    found = {}
    keep = lambda tensor: found.setdefault(tensor.data_ptr(), tensor.nbytes) and tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (keep(t), t)[1], lambda t: t):
        output = method(next(batches()), 0)
    del output
    return sum(found.values())


def test_a_residual_network_keeps_less():
    plain, again = residual(), residual()
    wrap(again, ALONE, False, True)
    assert kept(again) < 0.6 * kept(plain)


def test_a_copy_of_a_recomputed_network_runs_its_own_blocks_and_counts_once():
    method = residual()
    wrap(method, ALONE, False, True)
    twin, plain = copy.deepcopy(method), residual()
    for made in (twin, plain):
        made(next(batches()), 0).loss.backward()
    assert all(p.grad is None for p in method.parameters())
    for one, other in zip(twin.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    fresh = residual().state_dict().values()
    for one, other in zip(method.state_dict().values(), fresh, strict=True):
        assert torch.equal(one, other)


def test_evaluation_uses_the_running_statistics_and_changes_none():
    plain, again = residual().eval(), residual().eval()
    wrap(again, ALONE, False, True)
    losses_of = [method(next(batches()), 0).loss for method in (plain, again)]
    for loss in losses_of:
        loss.backward()
    assert torch.equal(*losses_of)
    assert again.encoder.bn1.num_batches_tracked == 0
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_what_cannot_be_recomputed_is_refused():
    with pytest.raises(
        ConfigError,
        match="compile: expected False with recompute, as batch norms in recomputed blocks",
    ):
        wrap(residual(), ALONE, True, True)
    with pytest.raises(
        ConfigError, match="Trainer: recompute: expected False, as Stacked has no blocks to recomp"
    ):
        wrap(stacked(), ALONE, False, True)
