"""Layer-wise decay of the learning rate, against the layer numbers of fine-tuning codes."""

import re

import pytest
from torch import nn

from pymim.encoders import Projected, ResNet, ViT
from pymim.optim import SGD, AdamW
from pymim.schedule import Constant

BEFORE = ("cls_token", "reg_token", "mask_token", "pos_embed", "patch_embed", "conv1", "bn1")


def numbered(name, depth):
    """Number a layer: 0 before the blocks, i + 1 for block i, depth + 1 for all the rest."""
    name = re.sub(r"^encoder\.(trunk\.)*", "", name)
    if name.split(".")[0] in BEFORE:
        return 0
    if found := re.match(r"blocks\.(\d+)\.", name):
        return int(found[1]) + 1
    if found := re.match(r"layer(\d+)\.", name):
        return int(found[1])
    return depth + 1


class Tuned(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.fc_norm, self.head = encoder, nn.LayerNorm(4), nn.Linear(4, 2)


def vit(**options):
    return ViT(8, 3, 2, image=8, patch=4, **options)


ENCODERS = {
    "norm": (vit(), 3),
    "mean-norm": (vit(pool="mean-norm"), 3),
    "tokens": (vit(hidden="token", registers=2, positions="learned"), 3),
    "clips": (ViT(12, 3, 2, image=(2, 8, 8), patch=(1, 4, 4), positions="separable"), 3),
    "residual": (ResNet((1, 2, 1), dim=4, stem="small", image=16), 3),
    "wrapped": (Projected(vit(), (6, 5)), 3),
    "wrapped twice": (Projected(Projected(vit(), (6,)), (5,)), 3),
    "wrapped residual": (Projected(ResNet((1, 1), dim=4, stem="small", image=16), (5,)), 2),
}


def rates(recipe, model):
    optimizer = recipe(model)
    recipe.set(optimizer, 5, 100, 256)
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(p)]: part["lr"] for part in optimizer.param_groups for p in part["params"]}


@pytest.mark.parametrize("kind", ENCODERS)
def test_rates_are_those_of_the_table_of_layers(kind):
    encoder, depth = ENCODERS[kind]
    model = Tuned(encoder)
    expected = {
        name: 0.75 ** (depth + 1 - numbered(name, depth)) for name, _ in model.named_parameters()
    }
    assert rates(AdamW(Constant(1.0), layer_decay=0.75), model) == pytest.approx(expected)
    assert rates(SGD(Constant(1.0), layer_decay=0.75), model) == pytest.approx(expected)


def test_the_norm_behind_twelve_blocks_keeps_the_rate():
    model = Tuned(ViT(8, 12, 2, image=8, patch=4))
    found = rates(AdamW(Constant(1.0), layer_decay=0.75), model)
    assert found["encoder.norm.weight"] == found["fc_norm.weight"] == found["head.weight"] == 1
    assert found["encoder.patch_embed.proj.weight"] == pytest.approx(0.0238, abs=1e-4)
    assert found["encoder.blocks.11.norm1.weight"] == pytest.approx(0.75)


def test_layers_count_although_they_do_not_learn():
    model = Tuned(vit())
    model.encoder.blocks[2].requires_grad_(False)
    found = rates(AdamW(Constant(1.0), layer_decay=0.5), model)
    assert found["encoder.blocks.1.attn.qkv.weight"] == 0.25
    assert found["encoder.norm.weight"] == 1
    assert "encoder.blocks.2.attn.qkv.weight" not in found


def test_without_blocks_all_rates_are_equal():
    model = Tuned(nn.Sequential(nn.Linear(4, 4)))
    assert set(rates(AdamW(Constant(1.0), layer_decay=0.5), model).values()) == {1.0}
