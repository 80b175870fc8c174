"""Which parameter is decayed, and how fast each learns."""

import pytest
import torch
from torch import nn

from pymim.errors import ConfigError
from pymim.optim import AdamW, Group
from pymim.schedule import Constant


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.encoder.patch_embed = nn.Linear(4, 4)
        self.encoder.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Linear(4, 2)


def groups(recipe, toy):
    optimizer = recipe(toy)
    names = {id(p): n for n, p in toy.named_parameters()}
    recipe.set(optimizer, 10, 100, 256)
    return {
        names[id(p)]: (g["lr"], g["weight_decay"])
        for g in optimizer.param_groups
        for p in g["params"]
    }


def test_only_parameters_of_one_axis_escape_decay():
    found = groups(AdamW(warmup=0), Toy())
    assert found["encoder.cls_token"][1] == found["head.weight"][1] == 0.05
    assert found["head.bias"][1] == found["encoder.patch_embed.bias"][1] == 0.0
    assert groups(AdamW(no_decay="token"), Toy())["encoder.cls_token"][1] == 0.0


def test_rates_by_depth_and_name():
    rates = {n: r for n, (r, _) in groups(AdamW(warmup=0, layer_decay=0.5), Toy()).items()}
    top = rates["head.weight"]
    assert rates["encoder.blocks.1.weight"] == pytest.approx(top / 2)
    assert rates["encoder.blocks.0.weight"] == pytest.approx(top / 4)
    assert rates["encoder.cls_token"] == pytest.approx(top / 8)
    slow = {
        n: r
        for n, (r, _) in groups(AdamW(warmup=0, multipliers={"patch_embed": 0.2}), Toy()).items()
    }
    assert slow["encoder.patch_embed.weight"] == pytest.approx(0.2 * slow["head.weight"])


def test_stages_of_a_residual_network_and_wrapped_blocks_are_depths_too():
    toy = Toy()
    toy.encoder.trunk = nn.Module()
    toy.encoder.trunk.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    toy.encoder.layer1 = nn.Sequential(nn.Linear(4, 4))
    rates = {n: r for n, (r, _) in groups(AdamW(warmup=0, layer_decay=0.5), toy).items()}
    assert rates["encoder.trunk.blocks.1.weight"] == rates["head.weight"] / 2
    assert (
        rates["encoder.layer1.0.weight"]
        == rates["encoder.trunk.blocks.0.weight"]
        == rates["head.weight"] / 4
    )


def test_a_group_has_its_own_rate_schedule_and_decay():
    head = Group("^head", Constant(0.5), weight_decay=0.01, betas=(0.9, 0.999))
    found = groups(recipe := AdamW(warmup=0, groups=(head,)), Toy())
    assert found["head.weight"] == (0.5, 0.01)
    assert found["head.bias"] == (0.5, 0.0)
    assert (
        found["encoder.blocks.0.weight"]
        == groups(AdamW(warmup=0), Toy())["encoder.blocks.0.weight"]
    )
    betas = {part["group"]: part["betas"] for part in recipe(Toy()).param_groups}
    assert betas == {0: (0.9, 0.999), 1: (0.9, 0.95)}


def test_a_group_scales_its_rate_by_the_batch():
    found = groups(AdamW(warmup=0, groups=(Group("^head", 1e-3, warmup=0, scale_by=128),)), Toy())
    assert found["head.weight"][0] / found["encoder.cls_token"][0] == pytest.approx(
        1e-3 / 1.5e-4 * 2
    )


def test_a_group_may_decay_its_vectors():
    def groups_of(**more):
        head = Group("^head", 1e-3, 0, 0.01, **more)
        return groups(AdamW(warmup=0, groups=(head,)), Toy())

    assert groups_of()["head.bias"][1] == 0
    assert groups_of(vectors=True)["head.bias"][1] == 0.01


def test_the_end_is_scaled_by_the_batch_too():
    schedule = AdamW(rate=1.5e-4, end=1e-5).schedule(640)
    assert [schedule(step, 100) for step in (0, 100)] == [0, pytest.approx(2.5e-5)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"no_decay": "wieght"},
            "no_decay: expected .* 'wieght', which matches none; did you mean 'weight'?",
        ),
        ({"multipliers": {"patch_embd": 0.2}}, "multipliers: .* none; did you mean 'patch_embed'?"),
        (
            {"no_decay": r"encoder\.cls_tokn$"},
            "no_decay: .* none; did you mean 'encoder.cls_token'?",
        ),
        ({"no_decay": r"(^|\.)maks$|cls_tkoen"}, "no_decay: .* none; did you mean 'cls_token'?"),
        ({"groups": (Group("^haed"),)}, "groups: .* none; did you mean 'head'?"),
        (
            {"groups": (Group("zzzz"),)},
            "groups: .* 'zzzz', which matches none; the nearest name is '.*'",
        ),
        ({"groups": (Group(r"\d{9}"),)}, "groups: .* which matches none; the nearest name is '.*'"),
    ],
)
def test_a_pattern_that_matches_no_parameter_is_refused_with_the_nearest_name(options, message):
    with pytest.raises(ConfigError, match=f"AdamW: {message.replace('?', '[?]')}$"):
        AdamW(**options)(Toy())
