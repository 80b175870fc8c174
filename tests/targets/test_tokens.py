"""Tokens of a momentum or frozen encoder as a target: whole view, no gradient, own places."""

import functools

import pytest
import torch
from safetensors.torch import load_file, save_file

from pymim import encoders, losses, masks, targets
from pymim.contracts import Draw
from pymim.encoders import Momentum
from pymim.encoders.average import Average
from pymim.errors import ConfigError
from pymim.io.export import export
from pymim.objective import Objective
from tests.asking import ask
from tests.test_method import TINY, make_batch, make_method

HALF = functools.partial(Momentum, momentum=0.5)


def vit(width=24, image=(16, 24), **options):
    torch.manual_seed(width)
    return encoders.ViT(width, 2, 2, image=image, patch=4, **options)


def call(target, batch, mask=None):
    return ask(target, batch, mask)


@pytest.fixture
def exported(tmp_path):
    encoder = vit(32)
    export(encoder, tmp_path, [0.5] * 3, [0.5] * 3)
    return encoder, tmp_path


def test_momentum_tokens_are_of_the_whole_view_at_the_predicted_places():
    encoder, batch = vit(), make_batch()
    target = targets.Tokens(encoder, HALF)
    whole = call(target, batch)
    torch.testing.assert_close(whole, encoder(batch.views[0]).tokens)
    mask = masks.Uniform(0.75)(batch.index, (4, 6), Draw(0, 0))
    part = call(target, batch, mask)
    assert not part.requires_grad
    torch.testing.assert_close(part, whole.gather(1, mask.predicted[..., None].expand(-1, -1, 24)))
    with torch.autocast("cpu", torch.bfloat16):
        assert call(target, batch).dtype == torch.float32


def test_normalised_tokens_have_no_scale():
    values = call(targets.Tokens(vit(), HALF, normalise=True), make_batch())
    torch.testing.assert_close(values.mean(-1), torch.zeros(4, 24), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.var(-1, unbiased=False), torch.ones(4, 24), atol=1e-3, rtol=0)


def test_frozen_tokens_come_from_a_file_and_stay(exported):
    source, folder = exported
    frozen = functools.partial(encoders.Frozen, path=folder, model=vit(32))
    method = make_method(
        objectives=[
            Objective(functools.partial(targets.Tokens, teacher=frozen), TINY, losses.MSE())
        ]
    )
    batch, target = make_batch(), method.objectives[0].target
    torch.testing.assert_close(call(target, batch), source(batch.views[0]).tokens)
    assert target.width == 32
    method(batch, 0).loss.backward()
    method.after_step(0)
    torch.testing.assert_close(call(target, batch), source(batch.views[0]).tokens)
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_a_file_of_another_encoder_is_refused_loudly(exported):
    _, folder = exported
    with pytest.raises(
        ConfigError,
        match=r"Frozen: path: expected blocks.0.attn.proj.bias of shape \[24\], got \[32\]",
    ):
        encoders.Frozen(vit(), folder / "model.safetensors").check()
    with pytest.raises(ConfigError, match=r"expected fc_norm.bias of shape \[32\], got nothing"):
        encoders.Frozen(vit(), folder, vit(32, pool="mean-norm")).check()
    with pytest.raises(ConfigError, match="expected a safetensors file, or a folder with one, got"):
        encoders.Frozen(vit(), folder / "nothing").check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "rotary"}, "expected rotary rotary, got rotary-coupled"),
        ({"positions": "none"}, "expected rotary none, got rotary-coupled"),
        (
            {"positions": "rotary-coupled", "place_registers": False},
            "expected placed registers 0, got 4",
        ),
    ],
)
def test_what_weights_do_not_show_is_named_in_the_file_and_refused(tmp_path, options, message):
    coupled = {"positions": "rotary-coupled", "registers": 4, "place_registers": True}
    export(vit(32, **coupled), tmp_path, [0.5] * 3, [0.5] * 3)
    encoders.Frozen(vit(32), tmp_path, vit(32, **coupled)).read()
    with pytest.raises(ConfigError, match=f"Frozen: path: {message}.*; set model to the encoder"):
        encoders.Frozen(vit(32), tmp_path, vit(32, **{**coupled, **options})).check()


def test_a_file_with_other_heads_is_refused(exported):
    _, folder = exported
    other = encoders.ViT(32, 2, 4, image=(16, 24), patch=4)
    with pytest.raises(ConfigError, match="expected heads 4, got 2"):
        encoders.Frozen(vit(), folder, other).check()


def test_files_of_others_need_no_traits(exported):
    source, folder = exported
    save_file(source.state_dict(), folder / "timm.safetensors")
    view = make_batch().views[0]
    frozen = encoders.Frozen(source, folder / "timm.safetensors", vit(32))
    torch.testing.assert_close(frozen(view).tokens, source(view).tokens)


def test_what_replaces_hidden_patches_may_be_missing(exported):
    _, folder = exported
    frozen = encoders.Frozen(vit(), folder, vit(32, hidden="token", class_token=True))
    frozen.read()
    assert torch.equal(
        frozen.module.norm.weight, load_file(folder / "model.safetensors")["norm.weight"]
    )


def test_tokens_by_their_unbiased_variance():
    """Each by hand: (x - mean) / sqrt(variance over D - 1, and 1e-6)."""
    raw, batch = call(targets.Tokens(vit(), HALF), make_batch()), make_batch()
    values = call(targets.Tokens(vit(), HALF, normalise="unbiased"), batch)
    centred = raw - raw.mean(-1, keepdim=True)
    expected = centred / (centred.square().sum(-1, keepdim=True) / 23 + 1e-6).sqrt()
    torch.testing.assert_close(values, expected)
    assert (values - call(targets.Tokens(vit(), HALF, normalise=True), batch)).abs().max() > 0.01
    with pytest.raises(
        ValueError, match="Tokens: normalise: expected True, False or 'unbiased', got 'layer'"
    ):
        targets.Tokens(vit(), HALF, normalise="layer")


def taught(teacher, image=(16, 24), patch=4, **objective):
    """A method whose encoder is of this measure."""
    target = functools.partial(targets.Tokens, teacher=lambda encoder: Average(teacher))
    return make_method(
        sides=image, patch=patch, objectives=[Objective(target, TINY, losses.MSE(), **objective)]
    )


def test_a_teacher_of_another_grid_is_refused_for_the_view_it_is_given():
    """Built for the same number of patches, it would see this view as fewer."""
    method = taught(encoders.ViT(24, 1, 2, image=(8, 12), patch=2))
    with pytest.raises(
        ConfigError,
        match=r"Tokens: teacher: expected a grid of \(4, 6\) patches, .* got \(8, 12\) from",
    ):
        method(make_batch(sides=(16, 24)), 0)
    with pytest.raises(
        ConfigError,
        match=r"expected a grid of \(4, 6\) patches.* got \(2, 3\) from a view of \(16, 24\)",
    ):
        taught(encoders.ViT(24, 1, 2, image=(32, 48), patch=8))(make_batch(), 0)


def test_a_teacher_may_look_at_a_view_of_another_size():
    teacher = encoders.ViT(24, 1, 2, image=(8, 12), patch=2)
    method = taught(teacher, to=1)
    batch = make_batch()
    small = torch.randn(4, 3, 8, 12)
    out = method(batch._replace(views=[batch.views[0], small]), 0)
    expected = teacher(small).tokens.gather(1, out.mask.predicted[..., None].expand(-1, -1, 24))
    torch.testing.assert_close(out.targets["tokens"], expected)
    with pytest.raises(ConfigError, match=r"Tokens: teacher: expected a grid of \(4, 6\) patches"):
        method(batch._replace(views=[batch.views[0], torch.randn(4, 3, 16, 24)]), 0)
