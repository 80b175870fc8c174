"""Mixup and CutMix, pixel by pixel against their formulas."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from pymim.errors import ConfigError
from pymim.probes import mixing
from pymim.probes.mixing import Mixing, beta, smoothed


def batch(shape=(4, 3, 6, 9)):
    random = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=random), smoothed(torch.tensor([0, 1, 2, 1]), 3, 0.1)


def loop(images, targets, share, box=None):
    """Mix every pixel and label by itself: by the share, or by whether a pixel is in the box."""
    mixed, labels = torch.empty_like(images), torch.empty_like(targets)
    count, _, height, width = images.shape
    for i in range(count):
        j = count - 1 - i
        for y in range(height):
            for x in range(width):
                s = (
                    share
                    if box is None
                    else float(not (box[0] <= y < box[1] and box[2] <= x < box[3]))
                )
                mixed[i, :, y, x] = s * images[i, :, y, x] + (1 - s) * images[j, :, y, x]
        labels[i] = share * targets[i] + (1 - share) * targets[j]
    return mixed, labels


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_the_formula(monkeypatch, share):
    monkeypatch.setattr(mixing, "beta", lambda alpha: {0.8: share}[alpha])
    images, targets = batch()
    got = Mixing(mixup=0.8, cutmix=0)(images, targets)
    for ours, theirs in zip(got, loop(images, targets, share), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.2, 0.75, 1.0])
def test_cutmix_is_the_formula(monkeypatch, share, seed):
    monkeypatch.setattr(mixing, "beta", lambda alpha: {1.0: share}[alpha])
    images, targets = batch()
    torch.manual_seed(seed)
    torch.rand(())  # whether the batch is mixed
    y, x = int(torch.randint(6, ())), int(torch.randint(9, ()))
    h, w = int(6 * math.sqrt(1 - share)), int(9 * math.sqrt(1 - share))
    top, left = y - h // 2, x - w // 2
    box = (max(top, 0), min(top + h, 6), max(left, 0), min(left + w, 9))
    kept = 1 - (box[1] - box[0]) * (box[3] - box[2]) / 54
    torch.manual_seed(seed)
    got = Mixing(mixup=0, cutmix=1.0)(images, targets)
    for ours, theirs in zip(got, loop(images, targets, kept, box), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_switch_and_chance_are_kept_to():
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    targets = smoothed(torch.tensor([0, 1]), 2)
    torch.manual_seed(0)
    found = [Mixing(1.0, 1.0, switch=0.25, p=0.5)(images, targets)[0] for _ in range(800)]

    def kind(mixed):
        if torch.equal(mixed, images):
            return "same"
        return "cut" if mixed.unique().tolist() == [0, 1] else "mix"

    kinds = [kind(mixed) for mixed in found]
    assert abs(kinds.count("same") / 800 - 0.5) < 0.06  # a cut of nothing is among them
    assert abs(kinds.count("mix") / 800 - 0.375) < 0.06 and kinds.count("cut") > 60


def test_shares_are_of_the_beta_distribution():
    torch.manual_seed(0)
    drawn = torch.tensor([beta(0.8) for _ in range(4000)])
    assert abs(drawn.mean() - 0.5) < 0.02 and abs(drawn.var() - 1 / (4 * (2 * 0.8 + 1))) < 0.006
    assert all(0 <= beta(1e-4) <= 1 for _ in range(100))


def test_clips_of_any_channels_are_mixed_frame_by_frame():
    clips = torch.randn(4, 5, 1, 6, 9).expand(4, 5, 3, 6, 9)
    for seed in range(6):
        torch.manual_seed(seed)
        mixed, _ = Mixing()(clips, batch()[1])
        assert torch.equal(mixed[:, :, 0], mixed[:, :, 2]) and not torch.equal(mixed, clips)


def test_smoothed_labels_are_those_of_torchs_loss():
    scores, labels = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    ours = -(smoothed(labels, 7, 0.1) * scores.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(ours, cross_entropy(scores, labels, label_smoothing=0.1))


def test_mixing_of_nothing_is_refused():
    with pytest.raises(
        ConfigError, match="Mixing: mixup, cutmix: expected at least one above 0, got 0"
    ):
        Mixing(mixup=0, cutmix=0)
    with pytest.raises(ConfigError, match="Mixing: switch: expected a share from 0 to 1, got 2"):
        Mixing(switch=2)
