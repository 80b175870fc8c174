"""Translate a ViT for transformers, so that it gives there what it gives here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymim.contracts import Encoder
from pymim.encoders import ViT
from pymim.io.libraries import (
    EPSILON,
    RESAMPLES,
    Refused,
    Shown,
    built_for,
    interpolation,
    patch_of,
    refuse_blocks,
    refuse_layer,
    square_views,
)

_NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
_BLOCK_NAMES = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def transformers_config(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Return the config.json of transformers' ViTModel.

    The model's pooled output is its class token, since the pooling layer is the identity.

    Raises: Refused.
    """
    if not isinstance(encoder, ViT):
        raise Refused(f"it has no {type(encoder).__name__} under these names")
    refuse_blocks(encoder)
    if encoder.cls_token is None or encoder.reg_token is not None:
        raise Refused("its ViT has a class token and no registers")
    if hasattr(encoder.blocks[0].ls1, "gamma"):
        raise Refused("its ViT has no layer scale")
    if encoder.pool == "mean-norm":
        raise Refused("its ViT has a norm before the pooling")
    refuse_layer(shown)
    block: Any = encoder.blocks[0]
    return {
        "architectures": ["ViTModel"],
        "model_type": "vit",
        "hidden_size": encoder.width,
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": encoder.heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "image_size": square_views(encoder, shown),
        "patch_size": patch_of(encoder),
        "num_channels": encoder.channels,
        "layer_norm_eps": EPSILON,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "pooler_act": "linear",
    }


def for_transformers(encoder: ViT, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename timm's tensors to those of transformers' ViT, and split query, key and value.

    Tensors that the model needs and the encoder lacks get values without effect: biases and
    positions of 0, norm weights of 1.
    """
    dim, renamed = encoder.width, dict[str, Tensor]()
    for name, value in _filled(encoder, weights).items():
        stem, _, kind = name.rpartition(".")
        if not name.startswith("blocks."):
            renamed[_NAMES[name] if name in _NAMES else f"{_NAMES[stem]}.{kind}"] = value
            continue
        _, number, inner = stem.split(".", 2)
        layer = f"encoder.layer.{number}"
        if inner == "attn.qkv":
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"{layer}.attention.attention.{part}.{kind}"] = third.contiguous()
        else:
            renamed[f"{layer}.{_BLOCK_NAMES[inner]}.{kind}"] = value
    return renamed | {"pooler.dense.weight": torch.eye(dim), "pooler.dense.bias": torch.zeros(dim)}


def _filled(encoder: ViT, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    cells = encoder.base[0] * encoder.base[1]
    filled = {
        "pos_embed": torch.zeros(1, 1 + cells, encoder.width),
        "norm.weight": torch.ones(encoder.width),
    }
    filled |= {"norm.bias": torch.zeros(encoder.width)}
    rows = {
        name: value
        for name, value in weights.items()
        if name.startswith("blocks.") and value.ndim == 2
    }
    filled |= {
        f"{name.removesuffix('weight')}bias": torch.zeros(len(value))
        for name, value in rows.items()
    }
    return filled | weights


def preprocessor(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Return the preprocessor_config.json that prepares pictures as the evaluation does.

    Raises: Refused.
    """
    image = list(shown.size or built_for(encoder))
    if image[0] != image[1]:
        raise Refused(
            f"its processor crops squares, and the view has {image[0]} x {image[1]} pixels"
        )
    if encoder.channels not in (1, 3):
        raise Refused(
            f"its processor takes pictures of 1 or 3 channels, and the encoder {encoder.channels}"
        )
    if shown.range is not None:
        raise Refused(f"its processor takes pixels on [0, 1], and these are on {list(shown.range)}")
    return {
        "image_processor_type": "BitImageProcessor",
        "do_convert_rgb": encoder.channels == 3,
        "do_resize": True,
        "size": {"shortest_edge": int(image[0] / shown.share + 1e-9)},
        "resample": RESAMPLES[interpolation(shown)],
        "do_center_crop": True,
        "crop_size": {"height": image[0], "width": image[1]},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": shown.mean,
        "image_std": shown.std,
    }
