"""AlexNet and VGG as one list of layers."""

import pytest
import torch

from pymim import config, masks
from pymim.encoders import Stacked, ViT
from pymim.method import Method
from pymim.objective import Objective
from pymim.predictors import Pooled
from pymim.targets import Pixels


def layers(name):
    config.load(["gin/mae.gin", f"gin/model/{name}.gin"])
    return config.value("encoders.Stacked", "layers", None)


def test_vgg16_and_alexnet_have_their_sizes():
    with torch.device("meta"):
        vgg, alexnet = Stacked(layers("vgg16")), Stacked(layers("alexnet"), channels=2)
    assert sum(p.numel() for p in vgg.parameters()) == 14_723_136
    assert vgg.base == (7, 7) and vgg.embedding == 25088
    assert alexnet.base == (6, 6) and alexnet.embedding == 9216 and alexnet.patch == (32, 32)
    assert {"features.0.weight", "features.1.running_mean", "features.40.weight"} <= set(
        vgg.state_dict()
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_maps_and_vectors(channels):
    encoder = Stacked([(4, 5, 2, 1), (3, 2), (6, 3, 1, 1)], image=33, channels=channels)
    out = encoder(torch.randn(2, channels, 33, 33))
    assert (
        encoder.grid((2, channels, 33, 33)) == encoder.base == (7, 7)
        and encoder.embedding == 6 * 49
    )
    torch.testing.assert_close(out.pooled, out.pyramid[0].flatten(1))
    torch.testing.assert_close(out.tokens.mT, out.pyramid[0].flatten(2))
    larger = encoder(torch.randn(2, channels, 65, 41))
    assert larger.tokens.shape == (2, 15 * 9, 6) and larger.pooled.shape == (2, 6 * 49)
    mean = Stacked([(4, 3, 1, 1)], image=8, channels=channels, pool="mean")
    out = mean(torch.randn(2, channels, 8, 8))
    torch.testing.assert_close(out.pooled, out.tokens.mean(1))
    with pytest.raises(ValueError, match="Stacked: view: expected larger sides, got"):
        encoder.grid((1, channels, 4, 4))
    with pytest.raises(
        ValueError, match=r"Stacked: view: expected . channels, got 7; set Stacked.channels = 7"
    ):
        encoder(torch.randn(2, 7, 33, 33))
    with pytest.raises(ValueError, match="Stacked: pool: expected one of mean, flat, got 'max'"):
        Stacked([(4, 3, 1, 1)], pool="max")


def test_taps_are_the_maps_of_their_layers():
    encoder = Stacked([(4, 5, 2, 1), (3, 2), (6, 3, 1, 1)], image=33, taps=(1, 2, 3))
    view = torch.randn(2, 3, 33, 33)
    features, maps = encoder(view), []
    for part in encoder.features:
        view = part(view)
        maps.append(view)
    for tap, number in ((1, 2), (2, 3), (3, 6)):  # a convolution is three parts, a pool is one
        torch.testing.assert_close(features.taps[tap], maps[number].flatten(2).mT)
        ended, at = encoder.ended(tap), features.at(tap)
        assert (at.tokens.shape[1], at.tokens.shape[2]) == (
            ended.base[0] * ended.base[1],
            ended.width,
        )
        assert at.pooled.shape == (2, ended.embedding) and at.prefix.shape[1] == 0
        assert ended.patch == ((2, 2) if tap == 1 else (4, 4))
    assert (
        encoder.embedding == 6 * 49 and encoder.ended(3).embedding == 6
    )  # at a tap it is the mean


def test_masks_are_refused():
    objective = Objective(Pixels, Pooled, lambda *_: None, on="pooled")
    with pytest.raises(
        ValueError, match="Method: mask: expected None, as Stacked sees every patch"
    ):
        Method(Stacked([(4, 3, 1, 1)], image=8), [objective], masks.Uniform(0.5))
    assert ViT(4, 1, 1, image=8, patch=4).hidden == "drop"
