"""An objective after another: its predictor reads the earlier prediction; misfits are refused."""

import functools

import pytest
import torch

from pymim.contracts import Batch, Source
from pymim.encoders import Itself, Quantised, ViT
from pymim.errors import ConfigError
from pymim.losses import MSE
from pymim.masks import Uniform
from pymim.method import Method
from pymim.objective import Objective
from pymim.predictors import OneLayer, Regressor, Transformer
from pymim.targets import Codes, Pixels, Tokens
from tests.gauged import gauges_of

LATENTS = functools.partial(Tokens, teacher=Itself, sees="predicted")
REGRESSOR = functools.partial(Regressor, depth=1, heads=2)
PIXELS = functools.partial(Pixels, normalise="none")
DECODER = functools.partial(Transformer, dim=8, depth=1, heads=2)


def vit(**options):
    torch.manual_seed(0)
    return ViT(**{"dim": 16, "depth": 1, "heads": 2, "image": (8, 12), "patch": 4, **options})


def make(predictor=OneLayer, first=None, **second):
    first = Objective(LATENTS, REGRESSOR, MSE(), name="latents", **(first or {}))
    last = Objective(PIXELS, predictor, MSE(), name="pixels", **{"after": "latents", **second})
    return Method(vit(), [first, last], Uniform(0.5))


def batch(count=3, sides=(8, 12)):
    view = torch.randn(count, 3, *sides, generator=torch.Generator().manual_seed(1))
    return Batch([view], torch.arange(count), torch.full((count,), -1))


@pytest.mark.parametrize("predictor", [OneLayer, DECODER])
def test_a_predictor_reads_what_another_predicts(predictor):
    """It is as wide as that, though pixels are 48 wide, and learns into it and into the encoder."""
    method, given = make(predictor), batch()
    out = method(given, 0)
    if predictor is OneLayer:
        head = method.objectives[1].predictor.head
        torch.testing.assert_close(out.predictions["pixels"], head(out.predictions["latents"]))
    assert out.predictions["pixels"].shape == (3, 3, 48)
    out.losses["pixels"].mean().backward()
    assert method.encoder.patch_embed.proj.weight.grad.any()
    assert method.objectives[0].predictor.mask_token.grad.any()


def test_the_earlier_one_may_have_no_weight():
    found = make(first={"weight": 0.0})(batch(), 0)
    assert set(found.losses) == {"pixels"}


@pytest.mark.parametrize(
    "second", [{"on": "all"}, {"group": 0}, {"tap": 1}, {"source": (0, 0)}], ids=str
)
def test_other_patches_or_a_tap_are_refused(second):
    with pytest.raises(ValueError, match="Objective: after: expected on, group and source as 'lat"):
        make(**second)


def test_an_objective_that_does_not_come_before_is_refused():
    with pytest.raises(ValueError, match=r"name \(latents\), got 'latent'"):
        make(after="latent")


def test_a_checkpoint_holds_the_regressor_once():
    names = [name for name in make().state_dict() if name.endswith("predictor.mask_token")]
    assert names == ["objectives.0.predictor.mask_token"]


def test_a_teacher_that_keeps_every_patch_cannot_see_a_part():
    with pytest.raises(
        ValueError, match=r"Tokens: sees: expected 'whole', as ViT\.hidden is 'token'"
    ):
        LATENTS(vit(hidden="token"))
    with pytest.raises(
        ValueError, match="Tokens: sees: expected 'whole' or 'predicted', got 'all'"
    ):
        Tokens(vit(), Itself, sees="all")


def tokenizer(**options):
    return Quantised(vit(class_token=False, pool="mean", **options), clusters=5, dim=3)


def of_codes(encoder=None, **options):
    return Codes(encoder or vit(), lambda _: Itself(tokenizer(**options)))


def asked(method, given):
    return method.encode(given, 0)[Source(0)].mask


def test_codes_are_of_the_whole_view_and_of_the_patches_asked_for():
    target, given = of_codes(), batch()
    method = Method(
        vit(), [Objective(lambda _: target, DECODER, lambda p, t: p.mean(-1))], Uniform(0.5)
    )
    out = method(given, 0)
    whole = target.assignments(given.views[0])
    assert whole.shape == (3, 6) and target.width == 5
    expected = whole.gather(1, out.mask.predicted)
    assert torch.equal(out.targets["codes"], expected)
    found = gauges_of(method, out)
    right = (out.predictions["codes"].argmax(-1) == expected).float().mean().item()
    assert found["codes/right"] == pytest.approx(right)
    assert found["codes/used"] == len(expected.unique()) / 5


def test_a_tokenizer_may_see_the_view_at_half_the_size():
    target = of_codes(image=(4, 6), patch=2)
    half = torch.nn.functional.avg_pool2d(batch().views[0], 2)
    target.tokenizer.book.looks.copy_(torch.arange(60.0).view(5, 12))
    logits = torch.eye(5)[target.assignments(half)]
    pixels = target.to_pixels(logits, batch().views[0], None)
    assert pixels.shape == (3, 6, 48)
    first = target.tokenizer.pixels(target.assignments(half)[0, 0]).view(2, 2, 3)
    twice = first.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(pixels[0, 0], twice.flatten())


def test_a_tokenizer_of_another_grid_is_refused():
    target = of_codes(image=(8, 12), patch=2)
    objective = Objective(lambda _: target, DECODER, lambda p, t: p.mean(-1))
    with pytest.raises(ConfigError, match=r"expected a grid of \(2, 3\) patches.*got \(4, 6\)"):
        Method(vit(), [objective], Uniform(0.5))(batch(), 0)


def test_a_teacher_without_codes_is_refused():
    with pytest.raises(ValueError, match="Codes: teacher: expected a tokenizer, got ViT"):
        Codes(vit(), Itself)


def test_a_tokenizer_trains_without_a_mask_and_says_how_it_uses_its_codes():
    method = Method(tokenizer(), [Objective(PIXELS, DECODER, MSE(), on="all")])
    out = method(batch(), 0)
    assert {"pixels", "encoder.commitment"} == set(out.losses)
    found = gauges_of(method, out)
    ids = method.encoder.codes(out.features)
    assert found["encoder/used"] == len(ids.unique()) / 5
    out.loss.backward()
    idle = [n for n, p in method.named_parameters() if p.grad is None]
    assert idle == []
