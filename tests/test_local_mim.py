"""LocalMIM predicts gradients at four scales: tokens, patches, and the sum that is minimised."""

import functools

import torch

from pymim.config import flags
from pymim.contracts import Draw
from pymim.encoders import ViT
from pymim.io.metrics import read
from pymim.losses import MSE
from pymim.masks import Uniform
from pymim.method import Method
from pymim.objective import Objective
from pymim.predictors import Coarser, Finer, Normed, Transformer
from pymim.run import main
from pymim.targets import Gradients
from tests.asking import batch_of

SMALL = functools.partial(Transformer, dim=12, depth=1, heads=3)
SCALES = {  # by cells: the tap and its predictor
    4: (1, functools.partial(Normed, of=functools.partial(Finer, of=SMALL, dim=8))),
    2: (2, functools.partial(Normed, of=SMALL)),
    1: (3, functools.partial(Normed, of=SMALL)),
    0.5: (None, functools.partial(Coarser, of=SMALL)),
}


def make(ratio=0.7):
    torch.manual_seed(0)
    encoder = ViT(12, 4, 3, image=32, patch=4, taps=(1, 2, 3))
    objectives = [
        Objective(
            functools.partial(Gradients, cells=cells), predictor, MSE(), tap=tap, name=f"by{cells}"
        )
        for cells, (tap, predictor) in SCALES.items()
    ]
    return Method(encoder, objectives, Uniform(ratio))


def released(method, view, mask):
    """Return the sum over scales of sum(m l) / sum(m).

    The mask m is repeated for cells within a patch; a cell of 2 x 2 patches gets its mean.
    """
    total, hidden = 0.0, mask.boolean(64).view(-1, 8, 8)
    features = method.encoder(view, mask)
    for objective, cells in zip(method.objectives, SCALES, strict=True):
        seen = features.at(objective.tap)
        if cells >= 1:
            prediction = objective.predictor.predict_all(seen, mask, (8, 8)).unflatten(
                2, (cells, cells, 27)
            )
            prediction = prediction.unflatten(1, (8, 8)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
            m = hidden.repeat_interleave(cells, 1).repeat_interleave(cells, 2).float()
            prediction = prediction.view(-1, 8 * cells, 8 * cells, 27)
        else:
            prediction = objective.predictor(seen, mask, (8, 8)).view(-1, 4, 4, 27)
            m = torch.nn.functional.avg_pool2d(hidden[:, None].float(), 2)[:, 0]
        target = objective.target.histograms(view[:, :, None])[:, 0].flatten(3)
        total += (m * (prediction - target).square().mean(-1)).sum() / m.sum()
    return total


def test_the_loss_is_the_released_sum():
    method, view = make(), torch.randn(3, 3, 32, 32)
    batch = batch_of(view)
    mask = Uniform(0.7)(batch.index, (8, 8), Draw(0, 5))
    output = method(batch, 5)
    assert torch.equal(output.mask.visible, mask.visible)
    torch.testing.assert_close(output.loss, released(method, view, mask))
    assert {name: tuple(losses.shape) for name, losses in output.losses.items()} == {
        "by4": (3, 45),
        "by2": (3, 45),
        "by1": (3, 45),
        "by0.5": (3, 16),
    }


def test_the_coarsest_mask_is_fractional():
    method, batch = make(), batch_of(torch.randn(3, 3, 32, 32))
    taken = method.start(batch, 5)
    objective = method.objectives[3]
    (source,) = objective.sources
    weight = taken.target(objective, source, 0).weight
    hidden = taken.branches[source].mask.boolean(64).view(-1, 4, 2, 4, 2).sum((2, 4)).flatten(1)
    assert torch.equal(weight * 4, hidden.float())
    assert set(hidden.unique().tolist()) > {1, 3, 4}


def test_an_objective_reaches_the_blocks_up_to_its_tap_alone():
    for number, (cells, (tap, _)) in enumerate(SCALES.items()):
        method = make()
        output = method(batch_of(torch.randn(2, 3, 32, 32)), 0)
        output.losses[f"by{cells}"].mean().backward()
        reached = [
            any(p.grad is not None for p in block.parameters()) for block in method.encoder.blocks
        ]
        assert reached == [block < (tap or 4) for block in range(4)], cells
        learned = [any(p.grad is not None for p in o.parameters()) for o in method.objectives]
        assert learned == [other == number for other in range(4)]
        assert (method.encoder.norm.weight.grad is not None) == (tap is None)


def test_everything_learns_and_targets_do_not():
    method = make()
    method(batch_of(torch.randn(2, 3, 32, 32)), 0).loss.backward()
    assert not [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name, _ in method.named_parameters() if ".target." in name]


def test_visible_patches_do_not_reveal_their_targets():
    """A hidden patch's pixels change the targets, and no prediction."""
    method, view = make(), torch.randn(2, 3, 32, 32)
    before = method(batch_of(view), 3)
    hidden = (
        before.mask.boolean(64).view(2, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    after = method(batch_of(torch.where(hidden, torch.randn_like(view), view)), 3)
    for name, prediction in before.predictions.items():
        assert torch.equal(prediction, after.predictions[name])
        assert not torch.equal(before.targets[name], after.targets[name])


def test_it_learns(tmp_path):
    small = [
        "gin/local_mim.gin",
        "DIM=24",
        "DEPTH=3",
        "LOW=1",
        "MIDDLE=1",
        "HIGH=2",
        "BATCH=16",
        "STEPS=60",
    ]
    words = flags(
        [
            *small,
            "train.Trainer.log_every=1",
            "train.Trainer.evaluate=None",
            "train.Trainer.draw=None",
        ]
    )
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 0
    losses = [row["loss"] for row in read(tmp_path / "run" / "metrics.jsonl")]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
