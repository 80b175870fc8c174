"""The ResNet: sizes, shapes, names, and the answers of a peer."""

import subprocess
import sys

import pytest
import torch

from pymim import losses, masks, predictors, targets
from pymim.contracts import Draw, Mask
from pymim.encoders import Projected, ResNet, Sobel, ViT
from pymim.layers.patch import cells
from pymim.method import Method
from pymim.objective import Objective


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"depths": (2, 2, 2, 2)}, 11_176_512),
        ({"depths": (3, 4, 6, 3)}, 21_284_672),
        ({"depths": (3, 4, 6, 3), "bottleneck": True}, 23_508_032),
    ],
)
def test_sizes_are_those_of_18_34_and_50_layers(arguments, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet(**arguments).parameters()) == count


def test_names_are_those_of_timm():
    names = set(ResNet((1, 1, 1, 1), dim=4, bottleneck=True).state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv3.weight",
        "layer4.0.bn3.weight",
    } <= names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_var"} <= names
    assert "layer1.0.downsample.0.weight" not in ResNet((1, 1, 1, 1), dim=4).state_dict()


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize(("stem", "grid"), [("image", (2, 3)), ("small", (5, 9))])
def test_any_channel_count_and_side(channels, stem, grid):
    encoder = ResNet((1, 1, 1, 1), dim=4, stem=stem, channels=channels)
    view = torch.randn(2, channels, 40, 66)
    out = encoder(view)
    assert encoder.grid(view.shape) == grid
    assert (
        out.tokens.shape == (2, grid[0] * grid[1], 32) and encoder.width == encoder.embedding == 32
    )
    assert out.prefix.shape == (2, 0, 32)
    torch.testing.assert_close(out.pooled, out.pyramid[-1].mean((2, 3)))
    torch.testing.assert_close(out.tokens.mT.unflatten(2, grid), out.pyramid[-1])
    with pytest.raises(
        ValueError, match=r"ResNet: view: expected \d+ channels, got 7; set ResNet.channels = 7"
    ):
        encoder(torch.randn(2, 7, 32, 32))


def test_pyramid_halves_and_doubles_and_taps_are_its_maps():
    encoder = ResNet((1, 2, 1, 1), dim=4, bottleneck=True, stem="small", image=32, taps=(2,))
    out = encoder(torch.randn(2, 3, 32, 32))
    shapes = [tuple(stage.shape[1:]) for stage in out.pyramid]
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)]
    torch.testing.assert_close(out.taps[2], out.pyramid[1].flatten(2).mT)
    assert encoder.base == (4, 4) and encoder.patch == (8, 8)


def test_masks_and_unknown_stems_are_refused():
    encoder = ResNet((1, 1), dim=4, stem="small", image=8)
    mask = masks.Uniform(0.5)(torch.arange(2), (4, 4), Draw(0, 0))
    with pytest.raises(
        ValueError, match="ResNet: mask: expected None, as convolutions see every patch, got a mask"
    ):
        encoder(torch.randn(2, 3, 8, 8), mask)
    with pytest.raises(ValueError, match="ResNet: stem: expected one of image, small, got 'big'"):
        ResNet(stem="big")


@pytest.mark.parametrize(("at", "side"), [(1, 8), (2, 4), (3, 2)])
def test_a_token_is_added_to_hidden_cells_of_a_stage(at, side):
    """A hidden patch of the last map is 4 x 4 cells of the first stage's."""
    torch.manual_seed(0)
    encoder = ResNet(
        (1, 1, 1), dim=4, stem="small", image=8, hidden="add", at=at, taps=(at,)
    ).eval()
    view, every = torch.randn(1, 3, 8, 8), torch.arange(4)[None]
    mask = Mask(every[:, :3], every[:, 3:], every[:, 3:])
    stage = encoder(view, mask).taps[at] - encoder(view).taps[at]
    expected = torch.zeros(side, side, encoder.mask_token.shape[1])
    expected[side // 2 :, side // 2 :] = encoder.mask_token.flatten()
    torch.testing.assert_close(stage[0].unflatten(0, (side, side)), expected, atol=1e-5, rtol=1e-4)
    assert encoder.dense and encoder.hidden == "add"


def test_sides_that_do_not_divide_have_their_hidden_cells_too():
    encoder = ResNet((1, 1), dim=4, stem="small", image=7, hidden="add", at=1, taps=(1,)).eval()
    view, every = torch.randn(1, 3, 7, 7), torch.arange(16)[None]
    mask = Mask(every[:, :15], every[:, 15:], every[:, 15:])
    changed = (encoder(view, mask).taps[1] != encoder(view).taps[1]).any(-1)
    assert changed.nonzero().tolist() == [[0, 48]]  # of the last patch the map has one cell left


def test_unknown_ways_to_hide_are_refused():
    with pytest.raises(
        ValueError, match="ResNet: hidden: expected one of none, add, sparse, got 'drop'; name one"
    ):
        ResNet((1, 1), dim=4, hidden="drop")
    with pytest.raises(ValueError, match="ResNet: at: expected a stage from 1 to 2, got 3"):
        ResNet((1, 1), dim=4, hidden="add")


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_sparse_maps_are_empty_where_hidden_and_never_see_hidden_pixels(bottleneck, training):
    torch.manual_seed(0)
    law = {"depths": (2, 1, 1), "dim": 4, "image": (32, 48), "bottleneck": bottleneck}
    encoder = ResNet(**law, hidden="sparse").double().train(training)
    outputs = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    view = torch.randn(2, 3, 32, 48).double()
    mask = masks.Uniform(0.5)(torch.arange(2), encoder.base, Draw(0, 0))
    hidden = cells(mask.boolean(6), encoder.base, encoder.patch)
    features = encoder(view, mask)
    for output in outputs:
        side = output.shape[2] // 2
        inside = cells(mask.boolean(6), (2, 3), (side, side)).expand_as(output)
        assert not output[inside].any() and output[~inside].any()
    other = encoder(torch.where(hidden, 100 * torch.randn_like(view), view), mask)
    for level, same in zip(features.pyramid, other.pyramid, strict=True):
        assert torch.equal(level, same)
    seen = features.tokens[~mask.boolean(6)].view(2, 3, -1)
    torch.testing.assert_close(features.pooled, seen.mean(1))


def test_a_sparse_block_is_the_dense_one_on_what_is_visible():
    """In float64: convolutions of maps that are 0 where hidden, batch norms of visible cells."""
    torch.manual_seed(0)
    encoder = ResNet((1,), dim=4, stem="small", image=6, hidden="sparse").double()
    (block,) = encoder.blocks
    visible = torch.tensor([[0, 7, 8, 30]])
    hidden = torch.tensor([sorted({*range(36)} - {0, 7, 8, 30})])
    mask = Mask(visible, hidden, hidden)
    view, shown = torch.randn(1, 3, 6, 6).double(), ~mask.boolean(36).view(1, 1, 6, 6)

    def normed(x):
        kept = x.permute(0, 2, 3, 1)[shown[:, 0]]
        variance, mean = torch.var_mean(kept, 0, unbiased=False)
        mean, scale = mean[:, None, None], (variance + 1e-5).sqrt()[:, None, None]
        return torch.where(shown, (x - mean) / scale, 0)

    stem = normed(encoder.conv1(view * shown)).relu()
    inner = normed(block.conv1(stem)).relu()
    expected = (normed(block.conv2(inner)) + stem).relu()
    torch.testing.assert_close(encoder(view, mask).pyramid[0], expected)


def test_an_encoder_of_sparse_convolutions_is_a_plain_one_without_a_mask():
    encoder, plain = (ResNet((1, 1), dim=4, hidden=hidden) for hidden in ("sparse", "none"))
    plain.load_state_dict(encoder.state_dict())
    view = torch.randn(2, 3, 41, 23)  # sides may be any number
    torch.testing.assert_close(encoder(view).tokens, plain(view).tokens)


def test_sides_under_a_mask_are_multiples_of_the_patch():
    encoder = ResNet((1, 1), dim=4, stem="small", image=7, hidden="sparse")
    mask = masks.Uniform(0.5)(torch.arange(2), (4, 4), Draw(0, 0))
    with pytest.raises(
        ValueError, match=r"view: expected sides divisible by \(2, 2\), got \(7, 7\)"
    ):
        encoder(torch.randn(2, 3, 7, 7), mask)


def test_masks_of_other_counts_in_each_image_are_refused():
    encoder = ResNet((1, 1), dim=4, stem="small", image=8, hidden="sparse")
    objective = Objective(targets.Pixels, predictors.OneLayer, losses.MSE())
    with pytest.raises(ValueError, match="as ResNet computes without them, got RaggedBlock"):
        Method(encoder, (objective,), masks.RaggedBlock(0.4, area=(1, None)))


def test_sizes_at_a_tap_are_those_of_its_map():
    encoder = ResNet((1, 1, 1), dim=4, bottleneck=True, stem="small", image=(9, 16), taps=(1, 2, 3))
    features = encoder(torch.randn(2, 3, 9, 16))
    for tap in (1, 2, 3):
        ended, at = encoder.ended(tap), features.at(tap)
        assert (at.tokens.shape[1], at.tokens.shape[2]) == (
            ended.base[0] * ended.base[1],
            ended.width,
        )
        assert at.pooled.shape == (2, ended.embedding) and at.prefix.shape == (2, 0, ended.width)
    assert encoder.ended(3).base == encoder.base and encoder.ended(1).base == (9, 16)


PEER = [
    ("embedder.embedder.convolution", "conv1"),
    ("embedder.embedder.normalization", "bn1"),
    ("encoder.stages.", "layer"),
    (".layers.", "."),
    ("shortcut.convolution", "downsample.0"),
    ("shortcut.normalization", "downsample.1"),
    *((f".layer.{i}.convolution", f".conv{i + 1}") for i in range(3)),
    *((f".layer.{i}.normalization", f".bn{i + 1}") for i in range(3)),
]


@pytest.mark.parametrize("bottleneck", [False, True])
def test_transformers_gives_the_same(bottleneck):
    transformers = pytest.importorskip("transformers")
    expansion, kind = (4, "bottleneck") if bottleneck else (1, "basic")
    sizes = {
        "embedding_size": 8,
        "hidden_sizes": [8 * expansion * 2**i for i in range(3)],
        "depths": [2, 1, 2],
    }
    peer = transformers.ResNetModel(transformers.ResNetConfig(layer_type=kind, **sizes)).eval()
    renamed = {}
    for name, value in peer.state_dict().items():
        for theirs, ours in PEER:
            name = name.replace(theirs, ours)
        if name.startswith("layer"):
            name = f"layer{int(name[5]) + 1}{name[6:]}"
        renamed[name] = value
    encoder = ResNet((2, 1, 2), dim=8, bottleneck=bottleneck).eval()
    encoder.load_state_dict(renamed)
    view = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected, found = peer(view), encoder(view)
    torch.testing.assert_close(found.pyramid[-1], expected.last_hidden_state, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        found.pooled, expected.pooler_output[:, :, 0, 0], rtol=1e-4, atol=1e-4
    )


def test_projection_has_both_signs_and_leaves_tokens_alone():
    trunk = ResNet((1, 1), dim=8, stem="small", image=8)
    view = torch.randn(64, 3, 8, 8)
    assert (trunk(view).pooled >= 0).all()
    encoder = Projected(trunk, (32, 6))
    out = encoder(view)
    assert out.pooled.shape == (64, 6) and encoder.embedding == 6 and encoder.width == 16
    assert (out.pooled < 0).any() and (out.pooled > 0).any()
    torch.testing.assert_close(out.tokens, trunk(view).tokens)
    parts = "Dropout", "Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"
    assert tuple(type(part).__name__ for part in encoder.head) == parts
    unit = Projected(trunk, (32, 6), norm="none", unit=True)(view).pooled
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(64))
    assert Projected(ViT(12, 1, 2, image=8, patch=4), (5,))(view).pooled.shape == (64, 5)
    with pytest.raises(
        ValueError, match="Projected: norm: expected one of batch, layer, none, got 'group'"
    ):
        Projected(trunk, norm="group")


def test_sobel_sees_edges_of_the_mean_of_the_channels():
    seen = []
    trunk = ResNet((1, 1), dim=4, stem="small", image=8, channels=2)
    trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder = Sobel(trunk)
    flat = torch.full((1, 3, 8, 8), 2.5)
    ramp = torch.arange(8.0).expand(1, 3, 8, 8) * torch.tensor([0.0, 0.0, 3.0])[:, None, None]
    encoder(torch.cat([flat, ramp]))
    edges = seen[0]
    assert edges.shape == (2, 2, 8, 8)
    assert (edges[0, :, 1:-1, 1:-1] == 0).all()
    assert (edges[0, 0, 1:-1, 0] == -10).all()  # there are zeros around it
    assert (edges[1, 0, 1:-1, 1:-1] == -8).all()  # blue counts as much as green
    assert (edges[1, 1, 1:-1, 1:-1] == 0).all()
    assert not any("filters" in name for name, _ in encoder.named_parameters())
    with pytest.raises(ValueError, match="Sobel: trunk: expected 2 channels, got 3"):
        Sobel(ResNet((1,), dim=4))


NARROW = """
import torch
from pymim.encoders import ResNet

for threads in (3, 5, 2):
    torch.set_num_threads(threads)
    for seed in range(10):
        encoder = ResNet(dim=4, depths=(1, 1), stem="small", channels=2, image=16)
        for batch in (16, 32):
            encoder(torch.randn(batch, 2, 16, 16)).pooled.square().sum().backward()
"""


def test_a_narrow_network_writes_into_its_own_memory_alone():
    """In channels last this process aborts: malloc finds a double free or another corruption."""
    done = subprocess.run(
        [sys.executable, "-c", NARROW], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
