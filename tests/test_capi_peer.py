"""Encoder and predictor of gin/recipe/capi.gin against the released formulas in plain torch."""

import torch
import torch.nn.functional as F

from pymim import config
from pymim.contracts import Draw

HEADS, PATCH = 2, 14


def rms(x, weight=None):
    return F.rms_norm(x, x.shape[-1:], weight, eps=1e-5)


def turned(x, places):
    """Channels, not pairs, are shared out between rows and columns."""
    width = x.shape[-1]
    once = 7 * (7 / 7e-4) ** torch.linspace(0, -1, width // 4)
    frequencies = torch.zeros(2, width)
    frequencies[0, : width // 2] = frequencies[1, width // 2 :] = torch.cat([once, once])
    angle = (places @ (2 * torch.pi * frequencies))[:, None]
    first, second = x.chunk(2, -1)
    return x * angle.cos() + torch.cat([-second, first], -1) * angle.sin()


def attention(q, k, v, q_places, k_places):
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    q, k = turned(q, q_places), turned(k, k_places)
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def mlp(block, x):
    return F.gelu(rms(x, block.norm2.weight) @ block.mlp.fc1.weight.T) @ block.mlp.fc2.weight.T


def edge(count):
    side = count // 4
    c = torch.arange(side) / side
    zero, one = torch.zeros(side), torch.ones(side)
    return torch.cat(
        [torch.stack(p, 1) for p in ((c, zero), (one, c), (1 - c, one), (zero, 1 - c))]
    )


def plain(method, view, mask):
    """Context [B R+V D], and predictions [B M K] before the temperature."""
    encoder, predictor = method.encoder, method.objectives[0].predictor
    rows = torch.arange(len(view))[:, None]
    grid = view.shape[-1] // PATCH
    every = torch.cartesian_prod(*[torch.linspace(0, 1, grid)] * 2).expand(len(view), -1, -1)
    places = every[rows, mask.visible]
    low, high = places.amin(1, keepdim=True), places.amax(1, keepdim=True)
    places = torch.cat([low + edge(encoder.prefix) * (high - low), places], 1)
    proj = encoder.patch_embed.proj
    tokens = F.conv2d(view, proj.weight, proj.bias, stride=PATCH).flatten(2).mT[rows, mask.visible]
    x = torch.cat([encoder.reg_token.expand(len(view), -1, -1), tokens], 1)
    for block in encoder.blocks:
        q, k, v = (rms(x, block.norm1.weight) @ block.attn.qkv.weight.T).chunk(3, -1)
        x = x + attention(q, k, v, places, places) @ block.attn.proj.weight.T
        x = x + mlp(block, x)
    context, asked = rms(x), every[rows, mask.predicted]
    y = predictor.mask_token.expand(*mask.predicted.shape, -1)
    for block in predictor.blocks:
        k, v = (context @ block.attn.kv.weight.T).chunk(2, -1)
        y = y + attention(
            rms(y, block.norm1.weight) @ block.attn.q.weight.T, k, v, asked, places
        ) @ (block.attn.proj.weight.T)
        y = y + mlp(block, y)
    head = F.normalize(predictor.head.weight, dim=1) * predictor.head.gain
    return context, F.normalize(rms(y), dim=-1) @ head.T


def test_features_and_predictions_are_those_of_the_formulas():
    small = ["DIM=24", "DEPTH=2", f"HEADS={HEADS}", "CLUSTERS=9", "Cross.depth=2", "IMAGE=84"]
    config.load(["gin/recipe/capi.gin"], small)
    torch.manual_seed(0)
    method = config.build("train.Trainer", "method").eval()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # norms and gains too
    view, index = torch.randn(3, 3, 84, 84), torch.arange(3)
    mask = method.mask(index, (6, 6), Draw(0, 0))._replace(predicted=torch.tensor([[1, 8, 30]] * 3))
    features = method.encoder(view, mask)
    context, prediction = plain(method, view, mask)
    torch.testing.assert_close(
        torch.cat([features.prefix, features.tokens], 1), context, rtol=1e-4, atol=1e-4
    )
    found = method.objectives[0].predictor(features, mask, (6, 6))
    torch.testing.assert_close(found, prediction, rtol=1e-4, atol=1e-4)
