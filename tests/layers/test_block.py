"""Attention and blocks against torch's own."""

import copy

import pytest
import torch
import torch.nn.functional as F

from pymim.layers.attention import Attention
from pymim.layers.block import DropPath, TransformerBlock, make_norm
from pymim.layers.gather import gather, raster


def plain_attention(layer, tokens):
    b, length, dim = tokens.shape
    qkv = layer.qkv(tokens).view(b, length, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
    return layer.proj(F.scaled_dot_product_attention(*qkv).transpose(1, 2).reshape(b, length, dim))


@pytest.mark.parametrize(
    ("b", "length", "dim", "heads"), [(1, 1, 4, 1), (2, 17, 24, 3), (3, 50, 32, 8)]
)
def test_attention_equals_torch(b, length, dim, heads, device):
    torch.manual_seed(0)
    layer = Attention(dim, heads).to(device)
    tokens = torch.randn(b, length, dim, device=device, requires_grad=True)
    up = torch.randn(b, length, dim, device=device)
    weights = [tokens, *layer.parameters()]
    expected = plain_attention(layer, tokens)
    torch.testing.assert_close(layer(tokens), expected, rtol=1e-4, atol=1e-5)
    found = torch.autograd.grad((layer(tokens) * up).sum(), weights)
    torch.testing.assert_close(
        found, torch.autograd.grad((expected * up).sum(), weights), rtol=1e-3, atol=1e-4
    )


def test_attention_gradients_in_double():
    layer = Attention(6, 2).double()
    tokens = torch.randn(2, 4, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (tokens,))
    assert torch.autograd.gradcheck(lambda t: layer(t, asked=3), (tokens,))


@pytest.mark.parametrize("asked", [0, 1, 5, 9])
def test_asking_for_the_last_tokens_changes_nothing_else(asked):
    torch.manual_seed(0)
    block, tokens = TransformerBlock(12, 3), torch.randn(2, 9, 12)
    whole, part = block(tokens)[:, 9 - asked :], block(tokens, asked=asked)
    torch.testing.assert_close(part, whole)
    parameters = list(block.parameters())
    expected = torch.autograd.grad(whole.square().sum(), parameters)
    torch.testing.assert_close(torch.autograd.grad(part.square().sum(), parameters), expected)


def test_block_compiles_whole():
    torch.manual_seed(0)
    block, tokens = TransformerBlock(12, 3), torch.randn(2, 9, 12)
    twin = copy.deepcopy(block)
    compiled = torch.compile(twin, fullgraph=True)
    torch.testing.assert_close(compiled(tokens), block(tokens))
    block(tokens).sum().backward()
    compiled(tokens).sum().backward()
    torch.testing.assert_close(twin.attn.qkv.weight.grad, block.attn.qkv.weight.grad)


@pytest.mark.parametrize("subset", [False, True])
def test_drop_path_keeps_the_expectation(subset):
    torch.manual_seed(0)
    tokens, branch = torch.zeros(20_000, 2, 3), torch.ones(20_000, 2, 3)
    out = DropPath(0.25, subset)(tokens, lambda images: branch[images])
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert abs(out.mean() - 1) < (1e-6 if subset else 0.02)
    assert torch.equal(out.amin((1, 2)), out.amax((1, 2)))


def test_drop_path_of_a_subset_computes_only_that():
    seen = []
    drop, tokens = DropPath(0.2, subset=True), torch.randn(10, 4, 3)
    out = drop(tokens, lambda images: seen.append(images) or torch.ones(len(images), 2, 3))
    assert len(seen[0].unique()) == 8
    assert out.shape == (10, 2, 3)
    torch.testing.assert_close(out[seen[0]], tokens[seen[0], 2:] + 10 / 8)
    assert torch.equal(drop.eval()(tokens, lambda images: torch.ones(10, 4, 3)), tokens + 1)
    one = DropPath(0.9, subset=True)(tokens[:1], lambda images: torch.ones(len(images), 4, 3))
    assert torch.equal(one, tokens[:1] + 1)  # at least one image


def test_expectation_of_a_block_with_drop_path_is_the_block():
    torch.manual_seed(0)
    block, tokens = TransformerBlock(8, 2, drop_path=0.25, drop_subset=True), torch.randn(64, 3, 8)
    whole = block.eval()(tokens)
    drawn = torch.stack([block.train()(tokens) for _ in range(400)])
    first = tokens + block.attn(
        block.norm1(tokens)
    )  # the second branch of what lost its first is another one
    assert (drawn.mean(0) - whole).abs().mean() < 0.1 * (whole - first).abs().mean()


def test_rms_norm_has_the_eps_of_its_release():
    rows = torch.full((1, 4), 1e-3)
    assert make_norm("rms", 4)(rows)[0, 0].item() == pytest.approx(1e-3 / (1e-6 + 1e-5) ** 0.5)
    assert make_norm("layer", 4).eps == 1e-6
    assert not list(make_norm("rms", 4, affine=False).parameters())


def test_raster_undoes_gather():
    tokens = torch.randn(3, 7, 2)
    ids = torch.stack([torch.randperm(7) for _ in range(3)])
    assert torch.equal(raster(gather(tokens, ids), ids), tokens)
    assert torch.equal(gather(tokens, ids)[1, 2], tokens[1, ids[1, 2]])
