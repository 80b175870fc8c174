"""What a classifier reads of an encoder, computed by hand, and how it learns."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pymim import views
from pymim.encoders import Projected, ResNet, Stacked, ViT
from pymim.errors import ConfigError
from pymim.layers.block import DropPath
from pymim.optim import LARS, SGD, AdamW
from pymim.precision import autocast
from pymim.probes import Classifier, FineTune, Learning, Mixing, Readout
from pymim.probes.learning import Lesson
from pymim.schedule import Constant

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


def vit(depth=4, dim=16, **options):
    torch.manual_seed(0)
    return ViT(dim, depth, 2, image=8, patch=4, **options).eval()


def classifier(encoder=None, frozen=False, drop_path=None, **readout):
    torch.manual_seed(1)
    return Classifier(encoder or vit(), 3, frozen, Readout(**readout), drop_path).eval()


def test_class_tokens_of_the_last_blocks_are_each_normed():
    encoder = vit(taps=(1, 2, 3, 4))
    features = encoder(IMAGES)
    wanted = [encoder.norm(features.taps[number])[:, 0] for number in (2, 3, 4)]
    read = classifier(pool="class", layers=3).read(IMAGES)
    torch.testing.assert_close(read, torch.cat(wanted, 1))
    both = classifier(pool="class-mean").read(IMAGES)
    torch.testing.assert_close(both, torch.cat([features.prefix[:, 0], features.tokens.mean(1)], 1))
    assert classifier(pool="class-mean", layers=2).head.in_features == 48
    around = Projected(vit(), (5,)).eval()
    torch.testing.assert_close(
        classifier(around, pool="class", layers=3).read(IMAGES), torch.cat(wanted, 1)
    )


def test_without_the_final_norm_the_mean_is_of_the_last_blocks_tokens():
    encoder = vit(taps=(4,))
    model = classifier(encoder, final_norm=False)
    tokens = encoder(IMAGES).taps[4][:, 1:]
    torch.testing.assert_close(model.read(IMAGES), tokens.mean(1))
    assert not any("encoder.norm" in name for name in model.state_dict())
    assert isinstance(encoder.norm, nn.LayerNorm)


def test_attention_is_the_formula_head_by_head():
    model = classifier(vit(dim=128), pool="attention", std=0.5)
    tokens, query = model.read(IMAGES), model.query
    keys, values = (tokens @ query.kv.weight.T + query.kv.bias).split(128, 2)
    wanted = torch.zeros(6, 128)
    for image in range(6):
        for head in range(2):
            part = slice(64 * head, 64 * head + 64)
            scores = keys[image, :, part] @ query.query[part] / math.sqrt(64)
            wanted[image, part] = scores.softmax(0) @ values[image, :, part]
    torch.testing.assert_close(query(tokens), wanted)


def test_the_encoders_own_vector_and_the_norms():
    encoder = ResNet((1, 1), dim=4, stem="small", image=8).eval()
    model = classifier(encoder, frozen=True, pool="encoder", norm="batch", std=0.01)
    torch.testing.assert_close(model.read(IMAGES), encoder(IMAGES).pooled)
    assert model.fc_norm.eps == 1e-6 and not list(model.fc_norm.parameters())
    assert isinstance(classifier(encoder, norm="none").fc_norm, nn.Identity)
    wide = Classifier(vit(dim=512), 100, readout=Readout(std=0.01)).head.weight
    assert wide.std().item() == pytest.approx(0.01 * 1.0, rel=0.03) and wide.abs().max() < 0.06


def test_cells_of_a_layers_map_are_averaged():
    torch.manual_seed(0)
    encoder = Stacked(((6, 3, 1, 1), (2, 2), (4, 3, 1, 1)), image=8).eval()
    kept = Stacked(((6, 3, 1, 1), (2, 2), (4, 3, 1, 1)), image=8, taps=(1,)).eval()
    kept.load_state_dict(encoder.state_dict())
    model = classifier(encoder, True, pool="cells", tap=1, cells=(2, 4))
    layer = kept(IMAGES).taps[1].mT.unflatten(2, (8, 8))
    wanted = torch.stack(
        [
            layer[:, :, 4 * r : 4 * r + 4, 2 * c : 2 * c + 2].mean((2, 3))
            for r in range(2)
            for c in range(4)
        ],
        2,
    )
    torch.testing.assert_close(model.read(IMAGES), wanted.flatten(1))
    assert model.head.in_features == 48 and encoder.taps == ()
    torch.testing.assert_close(
        classifier(tap=2).read(IMAGES), vit(taps=(2,))(IMAGES).taps[2][:, 1:].mean(1)
    )


def test_paths_are_dropped_by_a_ramp_in_the_copy_alone():
    encoder = vit(drop_path=0.5)
    model = classifier(encoder, drop_path=0.3)
    found = [part.rate for part in model.encoder.modules() if isinstance(part, DropPath)]
    assert found == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [part.rate for part in encoder.modules() if isinstance(part, DropPath)][-1] == 0.5


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        (
            vit(class_token=False, pool="mean"),
            {"pool": "class"},
            "pool: expected an encoder with a class token for 'class'",
        ),
        (
            vit(),
            {"pool": "class", "layers": 5},
            "layers: expected at most 4, the blocks of ViT, got 5",
        ),
        (vit(), {"layers": 2}, "layers: expected 1 with pool = 'mean', got 2"),
        (
            ResNet((1,), dim=4, stem="small", image=8),
            {"final_norm": False},
            "final_norm: expected True, as ResNet",
        ),
        (
            ResNet((1,), dim=4, stem="small", image=8),
            {"drop_path": 0.1},
            "drop_path: expected None, as ResNet",
        ),
        (
            vit(dim=72),
            {"pool": "attention"},
            "pool: expected an encoder of 64 n channels for 'attention', got 72",
        ),
        (
            vit(),
            {"pool": "cells"},
            r"cells: expected \(rows, columns\) if pool = 'cells', else None, got None",
        ),
        (vit(), {"pool": "class", "tap": 2}, "tap: expected None with pool = 'class', got 2"),
        (vit(), {"tap": 5}, "tap: expected a layer of ViT from 1 to 4, got 5"),
        (
            ResNet((1,), dim=4, stem="small", image=8),
            {"tap": 2},
            "tap: expected a layer of ResNet from 1 to 1",
        ),
        (
            ResNet((2, 1), dim=4, stem="small", image=8),  # of three blocks
            {"tap": 3},
            "tap: expected a layer of ResNet from 1 to 2",
        ),
        (vit(), {"norm": "rms"}, "norm: expected one of layer, batch, none, got 'rms'"),
    ],
)
def test_what_an_encoder_lacks_is_refused(encoder, options, message):
    with pytest.raises(ConfigError, match=message):
        classifier(encoder, **options)


def lesson(frozen=False, readout=None, **options):
    torch.manual_seed(2)
    model = Classifier(vit(), 3, frozen, readout or Readout(std=0.5)).train()
    return Lesson(Learning(SGD(Constant(0.1), weight_decay=0.0), **options), model)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_the_average_is_followed_by_hand():
    taught = lesson(average=0.9)
    wanted = weights(taught.model)
    for step in range(4):
        taught.step(IMAGES, LABELS, step, 4)
        wanted = 0.9 * wanted + 0.1 * weights(taught.model)
        torch.testing.assert_close(weights(taught.learnt), wanted)
    assert not torch.allclose(weights(taught.learnt), weights(taught.model))
    plain = lesson()
    assert plain.learnt is plain.model


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("mixing", [None, Mixing()])
def test_pieces_of_a_batch_learn_as_the_whole(frozen, mixing):
    norm = Readout(norm="batch" if frozen else "layer", std=0.5)
    found = []
    for micro in (None, 4):
        taught = lesson(frozen, norm, micro=micro, mixing=mixing, smoothing=0.1)
        torch.manual_seed(3)
        losses = [taught.step(IMAGES, LABELS, step, 2) for step in range(2)]
        found.append((weights(taught.model), torch.stack(losses)))
    torch.testing.assert_close(found[0], found[1], atol=3e-3, rtol=2e-2)  # in bfloat16


def test_a_step_is_the_gradient_of_the_mixed_loss():
    taught = lesson(mixing=Mixing(p=0.0), smoothing=0.2)
    before = taught.model.head.weight.detach().clone()
    with autocast(IMAGES.device):
        loss = cross_entropy(taught.model(IMAGES).float(), LABELS, label_smoothing=0.2)
    (gradient,) = torch.autograd.grad(loss, [taught.model.head.weight])
    torch.testing.assert_close(taught.step(IMAGES, LABELS, 0, 1), loss.detach())
    torch.testing.assert_close(taught.model.head.weight.detach(), before - 0.1 * gradient)


def test_gradients_are_clipped():
    taught = lesson(clip=1e-3)
    before = weights(taught.model)
    taught.step(IMAGES, LABELS, 0, 1)
    moved = weights(taught.model) - before
    assert moved.norm().item() == pytest.approx(0.1 * 1e-3, rel=0.05)


def test_rates_of_twelve_layers_by_hand():
    model = Classifier(vit(depth=12, dim=8), 3)
    recipe = AdamW(Constant(1.0), layer_decay=0.75)
    optimizer = recipe(model)
    recipe.set(optimizer, 0, 1, 256)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(p)]: part["lr"] for part in optimizer.param_groups for p in part["params"]}
    by_hand = {"patch_embed.proj.weight": 0.023757, "cls_token": 0.023757}
    by_hand |= {"blocks.0.attn.qkv.weight": 0.031676, "blocks.5.mlp.fc1.weight": 0.133484}
    by_hand |= {"blocks.11.norm2.bias": 0.75, "norm.weight": 1.0}
    assert {name: rates[f"encoder.{name}"] for name in by_hand} == pytest.approx(by_hand, rel=1e-4)
    assert rates["fc_norm.weight"] == rates["head.weight"] == 1.0


def test_a_linear_probe_moves_its_head_alone():
    model = Classifier(vit(), 3, True, Readout("class", norm="batch")).train()
    taught = Lesson(Learning(LARS(Constant(0.1))), model)
    before = {name: value.clone() for name, value in taught.model.state_dict().items()}
    taught.step(IMAGES, LABELS.clamp_max(1), 0, 1)
    moved = {
        name
        for name, value in taught.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    counted = {"fc_norm.running_mean", "fc_norm.running_var", "fc_norm.num_batches_tracked"}
    assert moved == {"head.weight", "head.bias"} | counted


def test_fine_tuning_with_every_option_learns():
    labels = torch.arange(80) % 2
    images = 0.1 * torch.randn(
        80, 3, 8, 8, generator=torch.Generator().manual_seed(0)
    ) + labels.view(-1, 1, 1, 1)
    changes = [
        views.RandAugment(names=("sharpness", "rotate"), statistics="half"),
        views.Erasing(statistics="half"),
    ]
    probe = FineTune(
        20,
        steps=60,
        rate=5e-3,
        mixing=Mixing(),
        average=0.8,
        drop_path=0.1,
        clip=1.0,
        view=views.Pretrain(8, scale=(0.5, 1.0), changes=changes, statistics="half"),
        readout=Readout("mean", final_norm=False),
    )
    assert probe(vit(2), images[:40], labels[:40], images[40:], labels[40:]) > 0.9
    with pytest.raises(
        ConfigError, match="FineTune: view: expected a view that normalises, got MultiCrop"
    ):
        FineTune(view=views.MultiCrop((views.Pretrain(8),), (1,)))
