"""The encoder against transformers' ViT, weights carried over."""

import pytest
import torch

from pymim.encoders import ViT

transformers = pytest.importorskip("transformers")
PARTS = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.o_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def carried_over(state, depth):
    """timm's names, as ours are, to transformers'."""
    names = {"patch_embed.proj": "embeddings.patch_embeddings.projection", "norm": "layernorm"}
    for n in range(depth):
        names |= {f"blocks.{n}.{ours}": f"layers.{n}.{theirs}" for ours, theirs in PARTS.items()}
    out = {
        f"{theirs}.{k}": state[f"{ours}.{k}"]
        for ours, theirs in names.items()
        for k in ("weight", "bias")
    }
    for n in range(depth):
        for kind in ("weight", "bias"):
            parts = state[f"blocks.{n}.attn.qkv.{kind}"].chunk(3)
            out |= {
                f"layers.{n}.attention.{k}_proj.{kind}": v
                for k, v in zip("qkv", parts, strict=True)
            }
    out["embeddings.cls_token"] = state["cls_token"]
    return out | {"embeddings.position_embeddings": state["pos_embed"]}


def test_equals_transformers():
    torch.manual_seed(0)
    ours = ViT(48, 3, 4, image=32, patch=8).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    config = transformers.ViTConfig(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=192,
        image_size=32,
        patch_size=8,
        layer_norm_eps=1e-6,
    )
    theirs = transformers.ViTModel(config, add_pooling_layer=False).eval()
    if "layers.0.attention.q_proj.weight" not in theirs.state_dict():
        pytest.skip("this transformers names its parts otherwise")
    theirs.load_state_dict(carried_over(ours.state_dict(), 3))
    view = torch.randn(2, 3, 32, 32)
    features = ours(view)
    with torch.no_grad():
        expected = theirs(view).last_hidden_state
    torch.testing.assert_close(
        torch.cat([features.prefix, features.tokens], 1), expected, rtol=1e-5, atol=1e-5
    )
