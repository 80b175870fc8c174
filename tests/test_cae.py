"""CAE (Chen et al. 2024) put together: latents of hidden patches, and codes decoded from them."""

import math

import pytest
import torch
import torch.nn.functional as F

from pymim import config, encoders
from pymim.contracts import Batch, Draw, Source
from pymim.draw import clusters, reconstruction

SMALL = ["DIM=16", "DEPTH=2", "HEADS=2", "CODES=12", "STATISTICS='half'"]
LESS = ["Transformer.heads=2", "tokenizer/ViT.dim=16", "tokenizer/ViT.heads=2"]


def make(*bindings):
    torch.manual_seed(0)
    config.load(["gin/cae.gin"], [*SMALL, *LESS, *bindings])
    return config.build("train.Trainer", "method")


def batch(count=3):
    pixels = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Batch([pixels], torch.arange(count), torch.full((count,), -1))


def cells(ids):
    """True at the pixels of these patches, [B 1 32 32]."""
    found = torch.zeros(len(ids), 64, dtype=torch.bool).scatter_(1, ids, True)
    return found.view(-1, 1, 8, 1, 8, 1).expand(-1, -1, -1, 4, -1, 4).reshape(-1, 1, 32, 32)


def changed(given, ids):
    """The same pictures, with other pixels in these patches."""
    return given._replace(views=[torch.where(cells(ids), 3.0, given.views[0])])


def learnt(method, loss):
    method.zero_grad(set_to_none=True)
    loss.backward()
    return {n for n, p in method.named_parameters() if p.grad is not None and p.grad.any()}


def test_the_loss_is_two_of_latents_and_one_of_codes_by_hand():
    """2 mean (latent - sg E(hidden alone))^2 + mean of -log softmax(logits)_code."""
    method, given = make(), batch()
    out = method(given, 0)
    predicted, logits = out.predictions["latents"], out.predictions["codes"]
    ids, by_hand = out.mask.predicted, 0.0
    tokenizer = method.objectives[1].target.teacher.module
    project = tokenizer.project(tokenizer.trunk(given.views[0]).tokens)
    for image in range(3):
        view = given.views[0][image : image + 1]
        only = ids[image : image + 1]
        alone = out.mask._replace(visible=only, hidden=only, predicted=only)
        target = method.encoder.eval()(view, alone).tokens[0].double()
        by_hand += 2 * (predicted[image].double() - target).square().mean() / 3
        for place, patch in enumerate(ids[image].tolist()):
            z = F.normalize(project[image, patch].double(), dim=0)
            code = int((tokenizer.book.codes.double() @ z).argmax())
            row = logits[image, place].double()
            by_hand += (row.exp().sum().log() - row[code]) / ids.numel()
    assert out.loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert out.losses["latents"].shape == out.losses["codes"].shape == (3, 32)


def test_the_target_is_of_hidden_patches_alone_and_the_prediction_of_visible_ones():
    method, given = make(), batch()
    out = method(given, 0)
    hidden = method(changed(given, out.mask.hidden), 0)
    for name in ("latents", "codes"):
        assert torch.equal(hidden.predictions[name], out.predictions[name])
    assert not torch.allclose(hidden.targets["latents"], out.targets["latents"])
    visible = method(changed(given, out.mask.visible), 0)
    assert torch.equal(visible.targets["latents"], out.targets["latents"])
    assert not torch.allclose(visible.predictions["latents"], out.predictions["latents"])
    # The tokenizer sees the whole picture: codes of hidden patches depend on visible ones.
    assert not torch.equal(visible.targets["codes"], out.targets["codes"])


def test_the_decoder_sees_predicted_latents_alone():
    """Its logits follow from the latents and their places; no visible token reaches it."""
    method, given = make(), batch()
    decoder, read = method.objectives[1].predictor, []
    decoder.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    out = method(given, 0)
    assert torch.equal(read[0].tokens, out.predictions["latents"])
    assert read[0].ids is out.mask.predicted and read[0].prefix.shape[1] == 0
    tokens = read[0].tokens + decoder.pos_embed[0][out.mask.predicted]
    for block in decoder.blocks:
        tokens = block(tokens)
    by_hand = decoder.head(decoder.norm(tokens))
    torch.testing.assert_close(out.predictions["codes"], by_hand)
    assert isinstance(decoder.embed, torch.nn.Identity) and decoder.mask_token is None


def test_codes_teach_encoder_regressor_and_decoder_and_latents_not_the_decoder():
    method, given = make(), batch()
    every = {n for n, p in method.named_parameters() if p.requires_grad}
    assert not any("teacher" in name for name in every)
    of_codes = learnt(method, method(given, 0).losses["codes"].mean())
    of_latents = learnt(method, method(given, 0).losses["latents"].mean())
    # The last output of the class token is read by nothing.
    assert every - of_codes == set()
    assert of_codes - of_latents == {n for n in every if n.startswith("objectives.1.predictor.")}


def test_no_gradient_flows_through_the_target_though_it_has_the_same_weights():
    method, given = make(), batch()
    learnt(method, method(given, 0).losses["latents"].mean())
    through = {n: p.grad.clone() for n, p in method.encoder.named_parameters()}
    out = method(given, 0)
    constant = out.targets["latents"].clone()
    learnt(method, F.mse_loss(out.predictions["latents"], constant))
    for name, parameter in method.encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, through[name])
    assert not out.targets["latents"].requires_grad


def test_the_target_has_the_weights_of_now_without_a_copy():
    """As momentum 0 has after a step; and stochastic depth is out of it, unless it is asked for."""
    method, given = make(), batch()
    assert len([n for n in method.state_dict() if n.endswith("patch_embed.proj.weight")]) == 2
    copy = make("Tokens.teacher=@encoders.Momentum", "Momentum.momentum=0.0")
    with torch.no_grad():
        for one in (method, copy):
            one.encoder.patch_embed.proj.weight.mul_(2)
    stale = copy(given, 0).targets["latents"]
    copy.after_step(0)
    now = method(given, 0).targets["latents"]
    torch.testing.assert_close(now, copy(given, 0).targets["latents"])
    assert not torch.allclose(now, stale)


@pytest.mark.parametrize("training", [False, True])
def test_the_target_is_without_stochastic_depth_unless_asked(training):
    method = make("encoders.ViT.drop_path=0.5", f"encoders.Itself.training={training}").train()
    given = batch(16)
    first, second = (method(given, 0).targets["latents"] for _ in range(2))
    assert torch.equal(first, second) != training
    assert method.encoder.training and method.encoder.blocks[0].training


def test_masks_are_blocks_of_exactly_half():
    for path, side, hidden in (("gin/cae.gin", 8, 32), ("gin/recipe/cae.gin", 14, 98)):
        config.load([path], [])
        with torch.device("meta"):
            policy = config.build("train.Trainer", "method").mask
        drawn = policy(torch.arange(500), (side, side), Draw(0, 3))
        assert drawn.hidden.shape == (500, hidden) and drawn.predicted is drawn.hidden
        assert policy.area == (16, None)
        boolean = drawn.boolean(side * side).view(500, side, side)
        # Blocks: a hidden patch's right neighbour is hidden much more often than half of the time.
        neighbours = boolean[:, :, 1:][boolean[:, :, :-1]].float().mean()
        assert neighbours > 0.7
        # Rectangles within the grid cover its middle more often than its corners, as released.
        shares = boolean.float().mean(0)
        assert shares[side // 2, side // 2] > 0.5 > 2 * shares[0, 0]


def test_both_objectives_share_one_regression():
    method, calls = make(), []
    method.objectives[0].predictor.register_forward_hook(lambda *_: calls.append(1))
    method(batch(), 0)
    assert len(calls) == 1


def test_channels_and_rectangles():
    method = make("IMAGE=(16, 24)", "CHANNELS=2", "STATISTICS='none'")
    given = Batch([torch.randn(2, 2, 16, 24)], torch.arange(2), torch.full((2,), -1))
    assert method(given, 0).losses["codes"].shape == (2, 12)
    assert method.objectives[1].target.chance == math.log(12)


def test_pictures_show_codes_and_decoded_latents(tmp_path):
    method, given = make().eval(), batch()
    undo = lambda view: view.clamp(0, 1)  # noqa: E731
    assert reconstruction.draw(method, given, 0, tmp_path / "reconstruction.png", undo)
    assert clusters.draw(method, given, tmp_path / "clusters.png", undo)
    branch, objective = method.encode(given, 0)[Source(0)], method.objectives[1]
    columns = reconstruction._columns(
        method.encoder, objective, objective.target, branch, lambda view: view
    )
    shown = cells(branch.mask.visible).expand(-1, 3, -1, -1)
    assert torch.equal(columns["prediction"][shown], given.views[0][shown])


def test_the_teacher_is_the_encoder_itself():
    method = make()
    teacher = method.objectives[0].target.teacher
    assert isinstance(teacher, encoders.Itself) and teacher.module is method.encoder
    assert not list(teacher.parameters())
