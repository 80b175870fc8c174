"""Blocks of another number in every image: what is hidden, what counts, and who can take them."""

import math
import random

import pytest
import torch

from pymim import encoders, losses, masks, predictors, targets
from pymim.contracts import Batch, Draw, Mask
from pymim.errors import ConfigError
from pymim.method import Method
from pymim.objective import Objective
from pymim.ops import block as ops
from tests.asking import ask
from tests.test_method import make_method

INDEX = torch.arange(300)


def drawn(ratio=0.4, grid=(14, 14), index=INDEX, **options):
    return masks.RaggedBlock(ratio, **options)(index, grid, Draw(0, 0))


def test_masks_are_the_ops_and_their_padding_has_no_weight():
    mask = drawn(0.385)  # 75 of 196
    expected = ops.ragged_block(INDEX, (14, 14), 75)
    assert torch.equal(mask.boolean(196), expected.boolean)
    assert torch.equal(mask.weight.sum(1).long(), expected.hidden)
    assert len(expected.hidden.unique()) > 3
    assert mask.hidden.shape == (300, 75) and mask.predicted is mask.hidden
    assert (mask.hidden.diff(dim=1) >= 0).all()
    for row in range(20):
        count = int(expected.hidden[row])
        listed = expected.boolean[row].nonzero().flatten()
        assert torch.equal(mask.hidden[row, :count], listed)
        assert (mask.hidden[row, count:] == listed[-1]).all()
        assert torch.equal(mask.visible[row].unique(), (~expected.boolean[row]).nonzero().flatten())


def test_rows_are_as_long_as_the_bound_in_every_batch():
    whole = drawn(0.385)
    for rows in (INDEX[:1], INDEX[5:9]):
        part = drawn(0.385, index=rows)
        assert torch.equal(part.hidden, whole.hidden[rows])
        assert torch.equal(part.weight, whole.weight[rows])


def blocks(bound, side=14, least=16, tries=10):
    """Count what a mask of the released loop (BEiT, iBOT) hides; its bound may be a fraction."""
    mask = torch.zeros(side, side, dtype=torch.bool)
    while (count := int(mask.sum())) < bound:
        for _ in range(tries):
            area = random.uniform(least, bound - count)
            aspect = math.exp(random.uniform(math.log(0.3), -math.log(0.3)))
            rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rows >= side or columns >= side:
                continue
            top, left = random.randint(0, side - rows), random.randint(0, side - columns)
            new = int((~mask[top : top + rows, left : left + columns]).sum())
            if 0 < new <= bound - count:
                mask[top : top + rows, left : left + columns] = True
                break
        else:
            break
    return int(mask.sum())


@pytest.mark.parametrize(("asked", "mean"), [(58.8, 57.3), (98, 97.5)])
def test_a_fractional_bound_is_nearly_its_whole_part(asked, mean):
    """The released sampler hides 57.3 of 196 patches on average for 58.8, and 97.5 for 98."""
    random.seed(0)
    released = sum(blocks(asked) for _ in range(300)) / 300
    ours = drawn(asked / 196, index=torch.arange(3000)).weight.sum(1).mean().item()
    assert released == pytest.approx(mean, abs=0.4)
    assert ours == pytest.approx(mean, abs=0.3)


def dense(policy, on="predicted"):
    """Predicts pixels of 14 x 14 patches from tokens of all of them."""
    torch.manual_seed(0)
    encoder = encoders.ViT(24, 1, 2, image=56, patch=4, hidden="token")
    return Method(
        encoder, [Objective(targets.Pixels, predictors.OneLayer, losses.MSE(), on=on)], policy
    )


def pictures(count=4):
    torch.manual_seed(0)
    return Batch([torch.randn(count, 3, 56, 56)], torch.arange(count), torch.full((count,), -1))


def test_the_loss_is_the_mean_over_hidden_patches():
    method, batch = dense(masks.RaggedBlock(0.1)), pictures()
    out = method(batch, 0)
    boolean = out.mask.boolean(196)
    assert len(boolean.sum(1).unique()) > 1
    ids = torch.arange(196).expand(4, -1)
    every = Mask(ids, ids, ids)
    features = method.encoder(batch.views[0], out.mask)
    target = ask(method.objectives[0].target, batch)
    exact = losses.MSE()(method.objectives[0].predictor(features, every, (14, 14)), target)
    torch.testing.assert_close(out.loss, exact[boolean].mean())
    image = dense(masks.RaggedBlock(0.1, mean="image"))(batch, 0)
    rows = torch.stack([row[hidden].mean() for row, hidden in zip(exact, boolean, strict=True)])
    torch.testing.assert_close(image.loss, rows.mean())


@pytest.mark.parametrize(("mean", "expected"), [("patch", 4.2), ("image", 6.0)])
def test_losses_of_one_and_of_four_hidden_patches(mean, expected, monkeypatch):
    """One hidden patch at 9, and four at 3: the mean is 4.2 over patches, 6 over images."""
    hidden = torch.tensor([[False, False, False, True, False, False], [True] * 4 + [False] * 2])
    monkeypatch.setattr(ops, "ragged_block", lambda *args, **law: ops.Ragged(hidden, hidden.sum(1)))
    mask = masks.RaggedBlock(0.7, mean=mean)(torch.arange(2), (2, 3), Draw(0, 0))
    values = torch.tensor([[1.0, 1, 1, 9, 1, 1], [3, 3, 3, 3, 1, 1]]).gather(1, mask.predicted)
    assert (values * mask.weight).sum() / mask.weight.sum() == pytest.approx(expected)


def test_an_image_that_hides_nothing_has_no_weight(monkeypatch):
    hidden = torch.tensor([[False] * 4, [True, False, True, False]])
    monkeypatch.setattr(ops, "ragged_block", lambda *args, **law: ops.Ragged(hidden, hidden.sum(1)))
    mask = masks.RaggedBlock(0.5)(torch.arange(2), (2, 2), Draw(0, 0))
    assert torch.equal(mask.boolean(4), hidden)
    assert mask.weight.tolist() == [[0, 0], [1, 1]]
    assert mask.predicted[1].tolist() == [0, 2]
    assert torch.equal(mask._replace(predicted=mask.visible, weight=None).boolean(4), hidden)


def test_hidden_patches_alone_are_replaced():
    method, batch = dense(masks.RaggedBlock(0.385)), pictures()
    boolean = (
        method(batch, 0).mask.boolean(196).view(4, 1, 14, 1, 14, 1).expand(-1, 3, -1, 4, -1, 4)
    )
    other = torch.where(boolean.reshape(4, 3, 56, 56), 9.0, batch.views[0])
    changed = method(Batch([other], batch.index, batch.label), 0).features.tokens
    torch.testing.assert_close(changed, method(batch, 0).features.tokens)


def test_encoders_that_drop_and_objectives_on_visible_patches_are_refused():
    with pytest.raises(
        ValueError,
        match=r"Method: mask: expected the same number of hidden .*, as ViT drops them, got Rag",
    ):
        make_method(mask=masks.RaggedBlock())
    with pytest.raises(ValueError, match="Method: mask: expected the same number"):
        make_method(mask=masks.ByView((masks.RaggedBlock(),)))
    with pytest.raises(
        ValueError,
        match="Objective: on: expected predicted or all, as RaggedBlock leaves a different nu",
    ):
        dense(masks.RaggedBlock(), on="visible")
    assert dense(masks.RaggedBlock(0.385), on="all")(pictures(), 0).losses["pixels"].shape == (
        4,
        196,
    )


def test_a_mask_that_could_hide_everything_is_refused():
    with pytest.raises(
        ConfigError,
        match="RaggedBlock: ratio: expected one that leaves a patch visible, got 196 of 196",
    ):
        drawn(1.0)


def test_another_mean_is_refused():
    with pytest.raises(
        ValueError, match="RaggedBlock: mean: expected 'patch' or 'image', got 'batch'"
    ):
        masks.RaggedBlock(mean="batch")


def test_training_on_ragged_masks_lowers_the_loss():
    method, batch = dense(masks.RaggedBlock(0.385)), pictures()
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)
    first = method(batch, 0).loss.item()
    for step in range(20):
        optimizer.zero_grad()
        method(batch, step).loss.backward()
        optimizer.step()
    assert method(batch, 0).loss.item() < 0.95 * first
