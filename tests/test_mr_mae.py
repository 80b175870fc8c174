"""MR-MAE mimics a teacher and reconstructs pixels: two objectives with no patch in common."""

import pytest
import torch
import torch.nn.functional as F

from pymim import config
from pymim.contracts import Batch

SMALL = [
    "DIM=16",
    "DEPTH=2",
    "HEADS=2",
    "Transformer.dim=8",
    "Transformer.heads=2",
    "STATISTICS='half'",
]


@pytest.fixture
def method():
    torch.manual_seed(0)
    config.load(["gin/mr_mae.gin"], SMALL)
    built = config.build("train.Trainer", "method")
    for parameter in built.objectives[0].target.parameters():  # a teacher is not what it teaches
        torch.nn.init.normal_(parameter, std=0.3)
    return built


def batch():
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Batch([pixels], torch.arange(3), torch.full((3,), -1))


def test_the_mimic_is_of_visible_tokens_and_its_formula_by_hand(method):
    """The loss is the mean over visible v and width of (W x_v + b - LN(t_v))^2.

    x is normed by the encoder; LN has no weights.
    """
    found, seen = method(batch(), 0), batch().views[0]
    visible = found.mask.visible
    mimic, teacher = method.objectives[0], method.objectives[0].target.teacher.module
    x, whole = method.encoder(seen, found.mask).tokens, teacher(seen).tokens
    by_hand = 0
    for image in range(3):
        for place, patch in enumerate(visible[image].tolist()):
            t = whole[image, patch]
            t = (t - t.mean()) / (t.var(unbiased=False) + 1e-5).sqrt()
            predicted = mimic.predictor.head.weight @ x[image, place] + mimic.predictor.head.bias
            by_hand += (predicted - t).square().mean() / visible.numel()
    torch.testing.assert_close(found.losses["mimic"].mean(), by_hand)
    assert visible.shape == (3, 16)


def test_the_two_targets_have_no_patch_in_common(method):
    found = method(batch(), 0)
    assert found.losses["mimic"].shape == (3, 16) and found.losses["pixels"].shape == (3, 48)
    for visible, predicted in zip(
        found.mask.visible.tolist(), found.mask.predicted.tolist(), strict=True
    ):
        assert sorted(visible + predicted) == list(range(64))
    torch.testing.assert_close(
        found.loss, found.losses["mimic"].mean() + found.losses["pixels"].mean()
    )


def reached(method, name):
    """The modules that learn by one objective alone."""
    method.zero_grad(set_to_none=True)
    method(batch(), 0).losses[name].mean().backward()
    names = {
        "encoder.": "encoder",
        "objectives.0.predictor.": "head",
        "objectives.1.predictor.": "decoder",
    }
    learnt = [
        n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    ]
    return {next((word for start, word in names.items() if n.startswith(start)), n) for n in learnt}


def test_the_mimic_does_not_reach_the_decoder_and_nothing_reaches_the_teacher(method):
    assert reached(method, "mimic") == {"encoder", "head"}
    assert reached(method, "pixels") == {"encoder", "decoder"}


def test_the_teacher_sees_the_whole_view(method):
    """A changed hidden patch changes the teacher's targets, but not the encoder's features."""
    first, other = batch(), batch()
    hidden = method(first, 0).mask.hidden[0, 0].item()
    row, column = divmod(hidden, 8)
    other.views[0][0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 3
    outputs = [method(each, 0) for each in (first, other)]
    assert torch.equal(*(out.features.tokens for out in outputs))
    assert not torch.equal(*(out.targets["mimic"][0] for out in outputs))
    assert torch.equal(*(out.targets["mimic"][1] for out in outputs))


def test_targets_have_no_scale(method):
    targets = method(batch(), 0).targets["mimic"]
    torch.testing.assert_close(targets, F.layer_norm(targets, (16,)), atol=1e-4, rtol=1e-4)
