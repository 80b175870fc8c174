"""Clusters learned online: what they learn from, what stays as it is, and memory of one chunk."""

import copy
import functools
import math

import pytest
import torch
from torch.nn.functional import normalize

from pymim import clusters, losses, masks, predictors, targets
from pymim.clusters import transport
from pymim.contracts import Batch, Mask
from pymim.encoders import Momentum, ViT
from pymim.method import Method
from pymim.objective import Objective
from tests.asking import ask
from tests.ops.ranks import two_ranks
from tests.peaks import Largest, grown

CROSS = functools.partial(
    predictors.Cross, dim=24, depth=1, heads=2, positions="rotary", head="cosine", embed=False
)
HALF = functools.partial(Momentum, momentum=0.5)


def make(b=8, k=12, mask=None, **options):
    torch.manual_seed(0)
    encoder = ViT(24, 1, 2, image=16, patch=4, positions="rotary", class_token=False, pool="mean")
    target = functools.partial(targets.Online, teacher=HALF, clusters=k, **options)
    objective = Objective(target, CROSS, losses.CrossEntropy(0.12), name="clusters")
    mask = mask or masks.PredictShare(masks.InverseBlock(0.65), 0.2)
    batch = Batch([torch.randn(b, 3, 16, 16)], torch.arange(b), torch.full((b,), -1))
    return Method(encoder, [objective], mask), batch


def plain(target, tokens):
    """Shares and losses, all at once, in plain torch."""
    scores = normalize(tokens, dim=-1) @ target.weight.T
    shares = (scores.detach() / target.transport.epsilon).transpose(0, 1).exp()
    for _ in range(target.transport.iterations):
        shares = shares / shares.sum(1, keepdim=True) * (len(tokens) / target.width)
        shares = shares / shares.sum(2, keepdim=True)
    shares = shares.transpose(0, 1)
    logs = ((scores + target.bias) / target.temperature).log_softmax(-1)
    return shares, -(shares * logs).sum(-1)


def test_values_are_the_shares_at_predicted_places_of_assignments_of_all():
    method, batch = make()
    out = method(batch, 0)
    target = method.objectives[0].target
    shares, own = plain(target, target.teacher(batch.views[0]).tokens)
    expected = shares[torch.arange(8)[:, None], out.mask.predicted]
    torch.testing.assert_close(out.targets["clusters"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.losses["clusters.target"], own, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        out.loss, out.losses["clusters"].mean() + own.mean(), rtol=1e-4, atol=1e-5
    )


def test_transport_own_loss_and_objective_have_a_temperature_each():
    method, batch = make()
    objective = method.objectives[0]
    assert (objective.target.transport.epsilon, objective.target.temperature) == (0.06, 0.12)
    assert objective.loss.temperature == 0.12
    first = method(batch, 0).losses
    objective.target.transport.epsilon, objective.target.temperature = 0.12, 0.06
    for name, loss in method(batch, 0).losses.items():
        assert (loss - first[name]).abs().mean() > 0.05, name


def test_each_loss_trains_its_own_parameters():
    method, batch = make()
    out = method(batch, 0)
    named = {name: p for name, p in method.named_parameters() if p.requires_grad}

    def reached(loss):
        found = torch.autograd.grad(
            loss, list(named.values()), retain_graph=True, allow_unused=True
        )
        return {name for name, grad in zip(named, found, strict=True) if grad is not None}

    head = {"objectives.0.target.weight", "objectives.0.target.bias"}
    assert reached(out.losses["clusters.target"].sum()) == head
    assert reached(out.losses["clusters"].sum()) == set(named) - head
    assert not any(p.requires_grad for p in method.objectives[0].target.teacher.parameters())
    assert not out.targets["clusters"].requires_grad


def test_the_teacher_follows_and_its_head_does_not():
    method, _ = make()
    target = method.objectives[0].target
    teacher, head = target.teacher.module.patch_embed.proj.weight, target.weight.clone()
    before = teacher.clone()
    with torch.no_grad():
        method.encoder.patch_embed.proj.weight += 1
    method.after_step(0)
    torch.testing.assert_close(teacher, before + 0.5)
    assert torch.equal(target.weight, head)


def test_the_clusters_and_the_students_head_start_differently():
    method, _ = make(k=400)
    target, student = method.objectives[0].target, method.objectives[0].predictor.head
    assert target.weight.norm(dim=1).mean().item() == pytest.approx(
        math.sqrt(24), rel=0.05
    )  # 32 at width 1024
    assert torch.equal(target.bias, torch.zeros(400))
    assert not hasattr(student, "bias")
    assert target.weight.shape == student.weight.shape
    assert target.weight.data_ptr() != student.weight.data_ptr()


@pytest.mark.parametrize("by", ["position", "batch"])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("mass", [None, 0.4])
def test_gradients_are_those_of_plain_torch_whether_losses_count_alike_or_not(
    by, alike, mass, monkeypatch
):
    monkeypatch.setattr(transport, "_most", lambda tensor: 5 * 8 * 12)
    method, batch = make(transport=clusters.Transport(0.06, 3, by, mass))
    target, view = method.objectives[0].target, batch.views[0]
    counts = torch.full((8, 16), 0.3) if alike else torch.rand(8, 16)
    own = ask(target, batch._replace(views=[view])).losses
    found = torch.autograd.grad((own * counts).sum(), [target.weight, target.bias])
    tokens = normalize(target.teacher(view).tokens, dim=-1)
    scores = tokens @ target.weight.T
    shares = target.transport.shares(scores, target.transport(tokens, target.weight))
    logs = ((scores + target.bias) / target.temperature).log_softmax(-1)
    losses = -(shares * logs).sum(-1)
    torch.testing.assert_close(own, losses)
    for one, other in zip(
        found,
        torch.autograd.grad((losses * counts).sum(), [target.weight, target.bias]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_nothing_is_learned_without_gradients():
    method, batch = make()
    with torch.no_grad():
        found = method(batch, 0)
    torch.testing.assert_close(found.loss, method(batch, 0).loss.detach())
    assert not found.loss.requires_grad


@pytest.mark.parametrize("by", ["position", "batch"])
def test_chunks_give_the_same_values_losses_and_gradients(by, monkeypatch):
    def run():
        method, batch = make(transport=clusters.Transport(0.06, 3, by))
        out = method(batch, 0)
        out.loss.backward()
        target = method.objectives[0].target
        return (
            out.targets["clusters"],
            out.losses["clusters.target"],
            target.weight.grad,
            target.bias.grad,
        )

    whole = run()
    monkeypatch.setattr(transport, "_most", lambda tensor: 5 * 8 * 12)
    for one, other in zip(run(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_no_tensor_is_as_large_as_a_table_of_scores(monkeypatch):
    monkeypatch.setattr(transport, "_most", lambda tensor: 2**16)
    method, batch = make(b=32, k=4096)  # 16 x 32 x 4096 scores are 2**21, 8 MiB
    target = method.objectives[0].target
    with Largest() as largest:
        found = ask(target, batch, Mask(*[torch.arange(1).expand(32, 1)] * 3))
        found.losses.sum().backward()
    assert target.weight.grad is not None
    assert largest.bytes <= 2**20


LEARN = """
import torch
from pymim import clusters, targets
from pymim.contracts import Features, Mask
from tests.asking import ask

class Teacher(torch.nn.Module):
    width, base = 16, (16, 16)

    def forward(self, view):
        return Features(view, view[:, :0], {{}}, view[:, 0])

def learn(images):
    view = torch.randn(images, 256, 16)
    mask = Mask(*[torch.arange(8).expand(images, 8)] * 3)
    ask(target, view, mask).losses.mean().backward()

transport = clusters.Transport(0.06, 3, "{by}")
target = targets.Online(Teacher(), lambda encoder: encoder, transport, clusters=8192)
learn(1)
"""


@pytest.mark.parametrize("by", ["position", "batch"])
def test_memory_is_that_of_some_places(by):
    """Of a table of 512 MiB, there and back: 128 MiB of scores, and a little."""
    assert grown(LEARN.format(by=by), "learn(64)") < 256


def test_two_processes_learn_what_one_does():
    made, _ = make()

    def run(views, group=None):
        target = copy.deepcopy(made.objectives[0].target)
        target.transport.group = group
        mask = Mask(*[torch.tensor([[1, 5]]).expand(len(views), -1)] * 3)
        found = ask(target, views, mask)
        found.losses.mean().backward()
        return found.values, found.losses.mean().detach(), target.weight.grad

    torch.manual_seed(1)
    views = torch.randn(8, 3, 16, 16)
    whole = run(views)
    halves = two_ranks(lambda rank, group: run(views[4 * rank : 4 * rank + 4], group))
    torch.testing.assert_close(
        torch.cat([half[0] for half in halves]), whole[0], rtol=1e-4, atol=1e-5
    )
    for item in (1, 2):
        mean = (halves[0][item] + halves[1][item]) / 2
        torch.testing.assert_close(mean, whole[item], rtol=1e-4, atol=1e-6)


def test_products_in_bfloat16_are_within_what_is_stated():
    torch.manual_seed(0)
    method, batch = make(b=64, k=64)
    target = method.objectives[0].target
    mask = Mask(*[torch.arange(16).expand(64, -1)] * 3)
    exact = ask(target, batch, mask).values
    target.precision = "bf16"
    rough = ask(target, batch, mask).values
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.1
    assert (rough.argmax(-1) == exact.argmax(-1)).float().mean() > 0.97
    torch.testing.assert_close(rough.sum(-1), torch.ones(64, 16))


def test_without_autocast_of_its_own_it_computes_in_float32(monkeypatch):
    method, batch = make()
    expected = method(batch, 0).targets["clusters"]
    target = method.objectives[0].target
    tokens = target.teacher(batch.views[0])
    monkeypatch.setattr(target.teacher, "forward", lambda view: tokens)
    with torch.autocast("cpu", torch.bfloat16):
        found = method(batch, 0)
    torch.testing.assert_close(found.targets["clusters"], expected)
    assert found.losses["clusters.target"].dtype == torch.float32


def test_bad_precision_is_refused():
    with pytest.raises(
        ValueError, match="Online: precision: expected one of float32, bf16, got 'half'"
    ):
        make(precision="half")
