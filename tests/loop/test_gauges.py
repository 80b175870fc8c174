"""A collapse shows: in ranks, in how clusters are used, and in a loss that stays at chance."""

import math

import pytest
import torch

from pymim import losses, predictors, targets
from pymim.contracts import Batch
from pymim.loop.gauges import Gauges, effective_rank
from pymim.loop.seen import Seen
from pymim.measures import usage
from pymim.objective import Objective
from pymim.world import World
from tests.gauged import ALONE
from tests.launch import one_of_two
from tests.test_method import Labels, make_batch, make_method


def test_effective_rank_counts_directions():
    torch.manual_seed(0)
    assert effective_rank(torch.randn(5000, 6)).item() == pytest.approx(6, rel=1e-2)
    assert effective_rank(torch.randn(5000, 2) @ torch.eye(2, 6)).item() == pytest.approx(
        2, rel=1e-2
    )
    assert effective_rank(torch.randn(5000, 1) * torch.ones(6)).item() == pytest.approx(1, rel=1e-2)
    assert effective_rank(torch.ones(50, 6)).item() == 0
    assert effective_rank(torch.randn(500, 6).bfloat16() + 100).dtype == torch.float32


def test_a_collapse_is_below_the_alarm_in_any_width():
    """As singular values of float64 say: rounding of float32 squared is no direction."""
    torch.manual_seed(0)
    one = torch.randn(2048, 1) * torch.randn(1, 768)
    values = torch.linalg.svdvals(one.double() - one.double().mean(0))
    shares = values / values.sum()
    expected = float(torch.special.entr(shares).sum().exp())
    assert effective_rank(one).item() == pytest.approx(expected, abs=0.02) and expected < 1.01


def test_tokens_of_every_place_are_picked():
    """49 visible of each picture, where a stride of 49 sees the first one alone."""
    places = torch.arange(49.0).expand(2048, 49)[..., None]
    draws = [Seen(2048), Seen(2048)]
    for seen in draws:
        seen.pick("tokens", places)
    first, second = (seen.sample("tokens", ALONE) for seen in draws)
    assert len(first) == 2048 and len(first.unique()) == 49
    assert torch.equal(first, second)


@pytest.mark.parametrize("sizes", [(300, 300), (400, 150, 50), (7, 2)])
def test_each_piece_gives_its_share_of_tokens(sizes):
    seen = Seen(100)
    for number, size in enumerate(sizes):
        seen.pick("tokens", torch.full((size, 3, 1), number))
    found = seen.sample("tokens", ALONE).flatten().long().bincount()
    wanted = [size * min(100, 3 * sum(sizes)) / sum(sizes) for size in sizes]
    assert len(found) == len(sizes) and found.tolist() == pytest.approx(wanted, abs=1)


class Chance(Labels):
    chance = math.log(7)

    def gauges(self, prediction, target):
        return {"used": torch.tensor(0.5)}


class Learnt(targets.Pixels):
    def __init__(self, encoder):
        super().__init__(encoder)
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, *arguments):
        return super().forward(*arguments) * self.gain


def test_every_objective_gives_its_gauges():
    objectives = [
        Objective(Chance, predictors.Pooled, losses.CrossEntropy(), on="pooled", name="labels"),
        Objective(targets.Pixels, predictors.OneLayer, losses.MSE(), name="pixels"),
        Objective(Learnt, predictors.OneLayer, losses.MSE(), name="learnt"),
    ]
    method = make_method(objectives=objectives, mask=None)
    with torch.no_grad():
        method.objectives[0].predictor.head.weight.zero_()
    output, gauges = method(make_batch(), 0), Gauges()
    gauges.see(method, output)
    values = gauges.values(
        method, ALONE, {name: loss.mean().item() for name, loss in output.losses.items()}
    )
    assert gauges.values(method, ALONE, {}) == {}, "what was seen is forgotten"
    assert set(values) == {
        "features/rank",
        "labels/used",
        "labels/of_chance",
        "learnt/target_rank",
        "learnt/target_std",
    }
    assert values["labels/of_chance"] == pytest.approx(1)
    assert values["labels/used"] == 0.5
    assert 1 < values["features/rank"] <= 24


def test_a_lasting_condition_is_warned_of_once():
    gauges = Gauges(patience=3)
    bad = {"features/rank": 1.0, "labels/of_chance": 0.995, "learnt/target_std": 1e-3, "loss": 1.0}
    printed = [gauges.complaints(bad) for _ in range(5)]
    assert [len(lines) for lines in printed] == [0, 0, 3, 0, 0]
    assert printed[2][2] == (
        "collapse? labels/of_chance is 0.995, for 3 reports in a row: "
        "the loss is that of a uniform guess"
    )
    good = {"features/rank": 5.0, "labels/of_chance": 0.9}
    assert [gauges.complaints(values) for values in (bad, bad, good, bad, bad)] == [[]] * 5


class Grouped(Labels):
    """Counts labels; and says a scalar, which is averaged."""

    chance = math.log(7)

    def gauges(self, prediction, target):
        return usage(target, 7) | {"mean_label": target.float().mean()}


def one_label_a_piece():
    """Six pictures: each piece of two has one label, and pictures that are the same."""
    torch.manual_seed(0)
    objectives = [
        Objective(Grouped, predictors.Pooled, losses.CrossEntropy(), on="pooled", name="labels"),
        Objective(Learnt, predictors.OneLayer, losses.MSE(), name="learnt"),
    ]
    view = torch.randn(3, 3, 8, 8).repeat_interleave(2, 0)
    batch = Batch([view], torch.tensor([1, 1, 4, 4, 4, 4]), torch.zeros(6))
    return make_method(objectives=objectives, mask=None), batch


def gauged(world, batch, sizes, method):
    """The gauges of a step in pieces of these sizes."""
    gauges, first, total = Gauges(), 0, {}
    for size in sizes:
        piece = batch.map(lambda tensor, at=slice(first, first + size): tensor[at])
        output, first = method(piece, 0), first + size
        gauges.see(method, output, size / len(batch.index))
        for name, loss in output.losses.items():
            total[name] = total.get(name, 0) + loss.detach().mean() * size / len(batch.index)
    losses_of_step = dict(zip(total, world.mean(torch.stack(list(total.values()))), strict=True))
    return gauges.values(method, world, losses_of_step)


def gauged_as_one_of_two(rank, folder):
    with one_of_two(rank, folder):
        method, batch = one_label_a_piece()
        mine = batch.map(lambda tensor: tensor[3 * rank : 3 * rank + 3])
        found = gauged(World(rank, 2, torch.device("cpu")), mine, (2, 1), method)
        torch.save(found, folder / f"{rank}.pt")


def plainly():
    """The gauges of the six pictures, recomputed from the method's output."""
    method, batch = one_label_a_piece()
    output = method(batch, 0)
    tokens, learnt = output.features.tokens.detach(), output.targets["learnt"].detach()
    rank = {}
    for name, rows in {"features/rank": tokens, "learnt/target_rank": learnt}.items():
        rows = rows.flatten(0, -2).double()
        values = torch.linalg.svdvals(rows - rows.mean(0))
        shares = values / values.sum()
        rank[name] = float(torch.special.entr(shares).sum().exp())
    even = -(2 / 6 * math.log(2 / 6) + 4 / 6 * math.log(4 / 6))
    return rank | {
        "labels/entropy": 0.0,
        "labels/used": 2 / 6,  # of the seven, no more than six can be
        "labels/balance": even / math.log(6),
        "labels/mean_label": 3.0,
        "labels/of_chance": output.losses["labels"].mean().item() / math.log(7),
        "learnt/target_std": float(learnt.flatten(0, -2).std(0).mean()),
    }


@pytest.mark.parametrize("sizes", [(6,), (2, 2, 2), (4, 2), (1, 5)])
def test_gauges_are_of_all_pieces_of_a_step(sizes):
    """Where the last piece alone would say that one cluster is used: a false collapse."""
    method, batch = one_label_a_piece()
    assert gauged(ALONE, batch, sizes, method) == pytest.approx(plainly(), rel=1e-4)


def test_gauges_are_of_all_processes(tmp_path):
    torch.multiprocessing.spawn(gauged_as_one_of_two, (tmp_path,), nprocs=2)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(plainly(), rel=1e-4)
