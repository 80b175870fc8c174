"""A whole masked autoencoder against transformers', weights and masks carried over."""

import pytest
import torch

from pymim.bench.step import Size, build, build_peer, first_noise
from pymim.contracts import Batch

pytest.importorskip("transformers")
SIZE = Size(3, 32, 8, (48, 2, 3), (24, 2, 3))


def test_loss_and_gradients_equal_transformers():
    method = build(SIZE)
    peer = build_peer(SIZE, method)
    view = torch.randn(3, 3, 32, 32)
    out = method(Batch([view], torch.arange(3), torch.full((3,), -1)), 0)
    theirs = peer(view, noise=first_noise(SIZE, method))
    torch.testing.assert_close(out.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    hidden = theirs.mask.bool()
    assert torch.equal(hidden, out.mask.boolean(16))
    predictions = theirs.logits[hidden].view_as(out.predictions["pixels"])
    torch.testing.assert_close(out.predictions["pixels"], predictions, rtol=1e-4, atol=1e-5)
    out.loss.backward()
    theirs.loss.backward()
    ours, there = method.encoder.patch_embed.proj, peer.vit.embeddings.patch_embeddings.projection
    torch.testing.assert_close(ours.weight.grad, there.weight.grad, rtol=1e-4, atol=1e-6)
