"""The encoder: timm's names, every shape, and what it may and may not see."""

import pytest
import torch

from pymim.contracts import Draw, Mask
from pymim.encoders import ViT
from pymim.masks import Uniform

BLOCK = [
    f"{part}.{kind}" for part in ("norm1", "attn.qkv", "attn.proj") for kind in ("weight", "bias")
]
BLOCK += ["ls1.gamma"]
BLOCK += [
    f"{part}.{kind}" for part in ("norm2", "mlp.fc1", "mlp.fc2") for kind in ("weight", "bias")
]
BLOCK += ["ls2.gamma"]


def make(**options):
    torch.manual_seed(0)
    return ViT(**{"dim": 24, "depth": 2, "heads": 2, "image": (16, 24), "patch": 4} | options)


def draw(b, grid, ratio=0.5):
    return Uniform(ratio)(torch.arange(b), grid, Draw(0, 0))


def test_parameters_bear_timm_names():
    names = [
        "cls_token",
        "reg_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
    ]
    names += [f"blocks.{n}.{part}" for n in range(2) for part in BLOCK] + [
        "norm.weight",
        "norm.bias",
    ]
    encoder = make(registers=3, layer_scale=1e-5, positions="learned")
    assert [name for name, _ in encoder.named_parameters()] == names
    assert sorted(make(registers=3, layer_scale=1e-5).state_dict()) == sorted(names)


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize(
    ("image", "patch", "grid"),
    [((16, 24), 4, (4, 6)), ((8, 16), (4, 2), (2, 8)), ((4, 8, 8), (2, 4, 4), (2, 2, 2))],
)
@pytest.mark.parametrize("hidden", ["drop", "token"])
def test_features_have_the_sizes_of_the_view_and_the_mask(channels, image, patch, grid, hidden):
    encoder = make(
        channels=channels, image=image, patch=patch, registers=2, hidden=hidden, taps=(1,)
    )
    view = torch.randn(3, channels, *image)
    mask = draw(3, grid)
    assert encoder.grid(view.shape) == grid
    for given in (None, mask):
        features = encoder(view, given)
        whole = given is None or hidden == "token"
        count = mask.visible.shape[1] * (2 if whole else 1)
        assert features.tokens.shape == (3, count, 24)
        assert features.taps[1].shape == (3, 3 + count, 24)  # behind the prefix
        assert features.at(1).tokens.shape == (3, count, 24)
        assert features.prefix.shape == (3, 3, 24)
        assert features.pooled.shape == (3, 24)


@pytest.mark.parametrize(
    "positions", ["sincos", "learned", "interleaved", "rotary", "rotary-coupled", "none"]
)
def test_visible_order_only_permutes_the_outputs(positions):
    encoder, view = make(positions=positions), torch.randn(2, 3, 16, 24)
    mask, order = draw(2, (4, 6)), torch.randperm(12)
    straight = encoder(view, mask)
    shuffled = encoder(view, mask._replace(visible=mask.visible[:, order]))
    torch.testing.assert_close(shuffled.tokens, straight.tokens[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled.prefix, straight.prefix, rtol=1e-4, atol=1e-5)


def test_hidden_pixels_are_never_seen():
    view = torch.randn(2, 3, 16, 24, requires_grad=True)
    mask = draw(2, (4, 6))
    for hidden in ("drop", "token"):
        (gradient,) = torch.autograd.grad(
            make(hidden=hidden)(view, mask).tokens.square().sum(), view
        )
        seen = gradient.view(2, 3, 4, 4, 6, 4).abs().sum((1, 3, 5)).flatten(1) > 0
        assert torch.equal(seen, ~mask.boolean(24))


def test_all_visible_equals_no_mask():
    encoder, view = make(positions="rotary"), torch.randn(2, 3, 16, 24)
    every = torch.arange(24).expand(2, -1)
    none = every[:, :0]
    torch.testing.assert_close(encoder(view, Mask(every, none, none)).tokens, encoder(view).tokens)


def test_pooling_of_fine_tuning_norms_the_mean():
    encoder = make(pool="mean-norm", taps=(2,))
    assert "fc_norm.weight" in encoder.state_dict()
    assert "norm.weight" not in encoder.state_dict()
    features = encoder(torch.randn(2, 3, 16, 24))
    torch.testing.assert_close(features.pooled, encoder.fc_norm(features.at(2).tokens.mean(1)))
    assert "fc_norm.weight" not in make().state_dict()


def test_initial_weights_are_those_of_mae():
    encoder = ViT(768, 1, 12, registers=64)
    patch = encoder.patch_embed.proj.weight
    assert 0.062 < patch.abs().max() <= (6 / (768 + 768)) ** 0.5 == 0.0625
    assert encoder.blocks[0].attn.qkv.weight.abs().max() <= (6 / (4 * 768)) ** 0.5
    assert all(
        (bias == 0).all() for name, bias in encoder.named_parameters() if name.endswith("bias")
    )
    assert abs(encoder.reg_token.std() - 0.02) < 1e-3
    assert encoder.norm.eps == encoder.blocks[0].norm1.eps == 1e-6


def test_another_resolution_resamples_positions():
    encoder = make()
    assert encoder(torch.randn(1, 3, 8, 12)).tokens.shape == (1, 6, 24)
    prefix, rows = encoder.positions((8, 12))
    torch.testing.assert_close(prefix, encoder.pos_embed[:, :1])
    assert rows.shape == (1, 96, 24)
    assert encoder.positions((4, 6))[1].data_ptr() == encoder.pos_embed[:, 1:].data_ptr()


def test_separable_positions_are_sums():
    encoder = make(image=(4, 8, 8), patch=(2, 4, 4), positions="separable")
    table, part = encoder.positions((2, 2, 2))[1], encoder.pos_embed
    assert torch.equal(table[0, 5], part.temporal[0, 1, 0] + part.spatial[0, 0, 1])
    assert {f"pos_embed.{name}" for name in ("temporal", "spatial", "prefix")} <= set(
        encoder.state_dict()
    )


def test_drop_path_acts_in_training_only():
    encoder, view = make(drop_path=0.9), torch.randn(64, 3, 16, 24)
    assert torch.equal(encoder.eval()(view).pooled, encoder(view).pooled)
    assert not torch.equal(encoder.train()(view).pooled, encoder(view).pooled)


def test_rms_norm_and_no_bias():
    encoder = make(norm="rms", bias=False)
    biased = [name for name, _ in encoder.named_parameters() if name.endswith("bias")]
    assert biased == ["patch_embed.proj.bias"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": "fill"}, "ViT: hidden: expected one of drop, token, add, mix, got 'fill'"),
        ({"pool": "max"}, "ViT: pool: expected one of class, mean, mean-norm, got 'max'"),
        ({"pool": "class", "class_token": False}, "ViT: pool: expected one of mean, mean-norm"),
        ({"positions": "sine"}, "positions: expected one of sincos, .* got 'sine'"),
        ({"norm": "batch"}, "norm: kind: expected one of layer, rms, got 'batch'"),
        ({"heads": 5}, "Attention: heads: expected a divisor of dim = 24, got 5"),
        ({"dim": 26}, "sincos: dim: expected a multiple of 4, got 26"),
        (
            {"image": (16, 25)},
            r"patches: view: expected sides divisible by \(4, 4\), got \(16, 25\)",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_wrong_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"ViT: view: expected 3 channels, got 4; set ViT.channels = 4"
    ):
        make()(torch.randn(1, 4, 16, 24))


def test_placed_registers_follow_the_visible_patches():
    encoder = make(
        positions="rotary", class_token=False, registers=4, place_registers=True, pool="mean"
    )
    loose = make(positions="rotary", class_token=False, registers=4, pool="mean")
    loose.load_state_dict(encoder.state_dict())
    view, corner = torch.randn(1, 3, 16, 24), torch.tensor([[0, 1, 6, 7]])
    mask = Mask(corner, corner[:, :0], corner[:, :0])
    assert not torch.allclose(encoder(view, mask).tokens, loose(view, mask).tokens)
    turn = encoder.rotary.tokens((4, 6), corner, view.device)
    assert turn.cos.shape == (1, 1, 8, 12)
    highest = 2 * torch.pi * 7 * torch.tensor([1 / 3, 1 / 5])  # the box is two by two patches
    torch.testing.assert_close(turn.cos[0, 0, 2, [0, 3]], highest.cos())


def test_bias_free_blocks_and_a_plain_final_norm():
    encoder = make(bias=False, norm="rms", norm_affine=False, class_token=False, pool="mean")
    names = [name for name, _ in encoder.named_parameters()]
    assert [name for name in names if "bias" in name] == ["patch_embed.proj.bias"]
    assert not [name for name in names if name.startswith("norm")]


def test_subset_drop_path_has_one_rate_in_every_block():
    encoder = make(depth=3, drop_path=0.2, drop="subset")
    assert [block.drop_path.rate for block in encoder.blocks] == [0.2, 0.2, 0.2]
    assert [block.drop_path.rate for block in make(depth=3, drop_path=0.2).blocks] == pytest.approx(
        [0, 0.1, 0.2]
    )
    view = torch.randn(8, 3, 16, 24)
    assert not torch.equal(encoder(view).tokens, encoder(view).tokens)
    assert torch.equal(encoder.eval()(view).tokens, encoder(view).tokens)
    with pytest.raises(ValueError, match="ViT: drop: expected one of ramp, subset, got 'some'"):
        make(drop="some")


def test_a_token_is_added_to_those_of_hidden_patches():
    plain, adding = make(), make(hidden="add", depth=2)
    view, mask = torch.randn(2, 3, 16, 24), draw(2, (4, 6))
    adding.load_state_dict(plain.state_dict() | {"mask_token": adding.mask_token})
    embedded = []
    adding.blocks[0].register_forward_pre_hook(lambda module, inputs: embedded.append(inputs[0]))
    adding(view)
    features = adding(view, mask)
    added = (embedded[1] - embedded[0])[:, 1:]
    expected = mask.boolean(24)[..., None] * adding.mask_token
    torch.testing.assert_close(added, expected.expand_as(added), atol=1e-6, rtol=1e-4)
    assert features.ids is None and adding.dense
    features.tokens.square().sum().backward()
    assert (adding.mask_token.grad != 0).all()
    torch.testing.assert_close(adding(view).tokens, plain(view).tokens)


class Halved:
    """Projects tokens: each is the mean of itself and its neighbour."""

    def project(self, tokens):
        return (tokens + tokens.roll(1, 1)) / 2


def test_tokens_are_mixed_before_they_have_places():
    mixing, view = make(hidden="mix"), torch.randn(2, 3, 16, 24)
    every = torch.arange(24).expand(2, -1)
    mask = Mask(every, every[:, :0], every, extra=Halved())
    embedded = []
    mixing.blocks[0].register_forward_pre_hook(lambda module, inputs: embedded.append(inputs[0]))
    mixing(view, mask)
    patches = mixing.patch_embed(view)
    expected = (patches + patches.roll(1, 1)) / 2 + mixing.pos_embed[:, 1:]
    torch.testing.assert_close(embedded[0][:, 1:], expected)
    torch.testing.assert_close(
        embedded[0][:, :1], mixing.cls_token.expand(2, -1, -1) + mixing.pos_embed[:, :1]
    )
    assert "mask_token" not in mixing.state_dict()
