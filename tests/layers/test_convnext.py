"""Response norms and the block of ConvNeXt V2, by hand in float64."""

import pytest
import torch
from torch import nn

from pymim.contracts import Mask
from pymim.layers.convnext import ConvBlock, ResponseNorm
from pymim.layers.sparse import Active

VISIBLE, HIDDEN = torch.tensor([[0, 3], [1, 2]]), torch.tensor([[1, 2], [0, 3]])


def norm_by_hand(x, weight, bias, together):
    """x [B n C]: lengths over cells of a picture, or of the batch, cell by cell."""
    x = x.detach()
    out = torch.zeros_like(x)
    for image in range(len(x)):
        images = range(len(x)) if together else [image]
        squares = [
            sum(x[i, n, c] ** 2 for i in images for n in range(x.shape[1]))
            for c in range(x.shape[2])
        ]
        lengths = [float(square) ** 0.5 for square in squares]
        mean = sum(lengths) / len(lengths)
        for c, length in enumerate(lengths):
            cell = x[image, :, c]
            out[image, :, c] = weight[c] * cell * length / (mean + 1e-6) + bias[c] + cell
    return out


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_responses_are_normalised_by_their_lengths(batch, masked):
    torch.manual_seed(0)
    norm, x = ResponseNorm(3, batch).double(), torch.randn(2, 4, 3).double()
    assert torch.equal(norm(x, masked), x)  # at the start
    norm.weight.data, norm.bias.data = torch.randn(2, 3).double()
    expected = norm_by_hand(x, norm.weight, norm.bias, batch and masked)
    torch.testing.assert_close(norm(x, masked), expected)


def test_lengths_over_the_batch_are_said():
    assert ResponseNorm(3, True).over_batch == "responses are normalised over {}"
    assert ResponseNorm(3).over_batch == ""


@pytest.mark.parametrize("grn", ["image", "batch", "none"])
@pytest.mark.parametrize("layer_scale", [None, 0.5])
def test_a_sparse_block_is_the_dense_one_on_what_is_visible(grn, layer_scale):
    """The convolution sums over visible cells; the rest is of each visible cell."""
    torch.manual_seed(0)
    block, seen = (
        ConvBlock(4, grn, layer_scale).double(),
        Active(Mask(VISIBLE, HIDDEN, HIDDEN), (2, 2)),
    )
    if grn != "none":
        nn.init.normal_(block.mlp.grn.weight)
        nn.init.normal_(block.mlp.grn.bias)
    x = seen.keep(torch.randn(2, 4, 6, 6).double())
    there = seen.at((6, 6))[:, 0]
    rows = block.norm(block.conv_dw(x).permute(0, 2, 3, 1)[there])
    inner = nn.functional.gelu(block.mlp.fc1(rows)).view(2, 18, 16)
    if grn != "none":
        law = block.mlp.grn.weight, block.mlp.grn.bias
        inner = norm_by_hand(inner, *law, together=grn == "batch")
    added = block.mlp.fc2(inner).view(36, 4) * (layer_scale or 1.0)
    expected = torch.zeros(2, 6, 6, 4).double()
    expected[there] = added
    expected = x + expected.permute(0, 3, 1, 2)
    found = block(x, seen)
    torch.testing.assert_close(found, expected)
    assert not found[~seen.at((6, 6)).expand_as(found)].any()
