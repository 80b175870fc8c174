"""ConvNeXt: sizes, shapes, names, the answers of a peer, and masks."""

import pytest
import torch

from pymim import masks
from pymim.contracts import Draw, Mask
from pymim.encoders import ConvNeXt
from pymim.layers.patch import cells

SMALL = {"depths": (1, 2, 1), "dim": 8, "stem": 2}


@pytest.mark.parametrize(
    ("depths", "dim", "millions"),
    [
        ((2, 2, 6, 2), 40, 3.4),
        ((2, 2, 8, 2), 80, 15.0),
        ((3, 3, 9, 3), 96, 27.9),
        ((3, 3, 27, 3), 128, 87.7),
        ((3, 3, 27, 3), 352, 657.5),
    ],
)
def test_sizes_are_those_of_the_release_without_the_classes(depths, dim, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in ConvNeXt(depths, dim).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_names_are_those_of_timm():
    names = set(ConvNeXt(**SMALL, layer_scale=1e-6).state_dict())
    block = "stages.1.blocks.0."
    wanted = {"conv_dw.weight", "norm.bias", "mlp.fc1.weight", "mlp.grn.weight", "mlp.grn.bias"}
    assert {block + name for name in (*wanted, "mlp.fc2.bias", "gamma")} <= names
    assert {"stem.0.weight", "stem.1.weight", "stages.1.downsample.0.weight"} <= names
    assert {"stages.2.downsample.1.weight", "head.norm.weight"} <= names
    assert not any("grn" in name for name in ConvNeXt(**SMALL, grn="none").state_dict())


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_any_channel_count_and_rectangle(channels):
    encoder = ConvNeXt(**SMALL, channels=channels, taps=(2,), image=(16, 40))
    out = encoder(torch.randn(2, channels, 16, 40))
    shapes = [tuple(level.shape[1:]) for level in out.pyramid]
    assert shapes == [(8, 8, 20), (16, 4, 10), (32, 2, 5)]
    assert encoder.widths == (8, 16, 32) and encoder.patch == (8, 8) and encoder.base == (2, 5)
    torch.testing.assert_close(out.tokens.mT.unflatten(2, (2, 5)), out.pyramid[-1])
    torch.testing.assert_close(out.taps[2], out.pyramid[1].flatten(2).mT)
    ended = encoder.ended(2)
    assert (ended.width, ended.base, ended.patch) == (16, (4, 10), (4, 4))
    with pytest.raises(ValueError, match=r"ConvNeXt: view: expected \d+ channels, got 7"):
        encoder(torch.randn(2, 7, 16, 40))
    with pytest.raises(ValueError, match=r"sides divisible by \(8, 8\), got \(16, 41\)"):
        encoder(torch.randn(2, channels, 16, 41))


def test_choices_and_masks_are_refused():
    with pytest.raises(
        ValueError, match="ConvNeXt: grn: expected one of image, batch, none, got 'x'"
    ):
        ConvNeXt(**SMALL, grn="x")
    with pytest.raises(
        ValueError, match="ConvNeXt: hidden: expected one of none, sparse, got 'drop'"
    ):
        ConvNeXt(**SMALL, hidden="drop")
    mask = masks.Uniform(0.5)(torch.arange(2), (2, 2), Draw(0, 0))
    with pytest.raises(ValueError, match=r"ConvNeXt: mask: expected None, as .* got a mask"):
        ConvNeXt(**SMALL)(torch.randn(2, 3, 16, 16), mask)


@pytest.mark.parametrize("grn", ["image", "batch", "none"])
def test_sparse_maps_are_empty_where_hidden_and_never_see_hidden_pixels(grn):
    torch.manual_seed(0)
    encoder = ConvNeXt(**SMALL, grn=grn, hidden="sparse", image=(16, 24)).double()
    for name, parameter in encoder.named_parameters():
        if "grn" in name:
            torch.nn.init.normal_(parameter)
    mask = masks.Uniform(0.5)(torch.arange(2), (2, 3), Draw(0, 0))
    view, hidden = torch.randn(2, 3, 16, 24).double(), cells(mask.boolean(6), (2, 3), (8, 8))
    features = encoder(view, mask)
    other = encoder(torch.where(hidden, 100 * torch.randn_like(view), view), mask)
    for level, same in zip(features.pyramid, other.pyramid, strict=True):
        side = level.shape[2] // 2
        inside = cells(mask.boolean(6), (2, 3), (side, side)).expand_as(level)
        assert not level[inside].any() and level[~inside].any()
        assert torch.equal(level, same)
    seen = features.tokens[~mask.boolean(6)].view(2, 3, -1)
    torch.testing.assert_close(features.pooled, encoder.head["norm"](seen.mean(1)))


def test_a_mask_that_hides_nothing_changes_nothing():
    encoder = ConvNeXt(**SMALL, hidden="sparse", image=16)
    every, view = torch.arange(4).expand(2, -1), torch.randn(2, 3, 16, 16)
    whole = encoder(view, Mask(every, every[:, :0], every))
    torch.testing.assert_close(whole.tokens, encoder(view).tokens)


PEER = [
    ("embeddings.patch_embeddings", "stem.0"),
    ("embeddings.layernorm", "stem.1"),
    ("encoder.stages.", "stages."),
    (".downsampling_layer.", ".downsample."),
    (".layers.", ".blocks."),
    (".dwconv.", ".conv_dw."),
    (".layernorm.", ".norm."),
    (".pwconv1.", ".mlp.fc1."),
    (".pwconv2.", ".mlp.fc2."),
    (".grn.", ".mlp.grn."),
    ("layer_scale_parameter", "gamma"),
]


@pytest.mark.parametrize("version", [1, 2])
def test_transformers_gives_the_same(version):
    transformers = pytest.importorskip("transformers")
    sizes = {"num_stages": 3, "hidden_sizes": [8, 16, 32], "depths": [1, 2, 1], "patch_size": 2}
    sizes["layer_norm_eps"] = 1e-6
    if version == 1:
        config = transformers.ConvNextConfig(**sizes, layer_scale_init_value=0.1)
        peer, ours = transformers.ConvNextModel(config), {"grn": "none", "layer_scale": 0.1}
    else:
        peer, ours = transformers.ConvNextV2Model(transformers.ConvNextV2Config(**sizes)), {}
    renamed = {}
    for name, value in peer.eval().state_dict().items():
        for theirs, own in PEER:
            name = name.replace(theirs, own)
        grn = name.endswith(("grn.weight", "grn.bias"))
        name = f"head.norm{name[9:]}" if name.startswith("layernorm") else name
        renamed[name] = torch.randn(value.numel()) if grn else value
        if grn:
            value.copy_(renamed[name].view_as(value))
    encoder = ConvNeXt(**SMALL, **ours)
    encoder.load_state_dict(renamed)
    view = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        expected, found = peer(view), encoder(view)
    law = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found.pyramid[-1], expected.last_hidden_state, **law)
    torch.testing.assert_close(found.pooled, expected.pooler_output, **law)
