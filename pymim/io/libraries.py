"""Translate an encoder for timm and transformers, so that it gives there what it gives here.

Names and defaults are those of timm 1.0 (`VisionTransformer`, `ResNet`) and transformers 4 and 5
(`ViTModel`, and `BitImageProcessor`, which scales the shorter side and crops the middle).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymim.contracts import Encoder
from pymim.encoders import ResNet, ViT

RESAMPLES = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers
EPSILON = 1e-6  # epsilon of the layer norms in both libraries

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


class Shown(NamedTuple):
    """How pictures are prepared and features read when an encoder is evaluated.

    mean, std: of each channel. size: rows and columns of the view; None: the size the encoder was
        built for.
    share: of the shorter side, as in `views.Center`. pool, layer: as in `evaluate.Evaluation`.
    range: of the pixels, if not [0, 1]. kernel: as in `views.Center`.
    """

    mean: list[float]
    std: list[float]
    size: tuple[int, ...] | None = None
    share: float = 1.0
    pool: str = "encoder"
    layer: int | None = None
    range: tuple[float, float] | None = None
    kernel: str = "bicubic"


class Refused(Exception):
    """A library has no such encoder; the text says why."""


def built_for(encoder: Encoder) -> list[int]:
    """Return the pixels of the encoder's views on each axis."""
    image = getattr(encoder, "image", None)
    return list(
        image or (cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True))
    )


def timm_config(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Return the config.json from which timm.create_model("local-dir:...") builds this encoder.

    Raises: Refused.
    """
    named, arguments = _vit(encoder, shown) if isinstance(encoder, ViT) else _resnet(encoder, shown)
    image = _square_views(encoder, shown)
    arguments |= {"in_chans": encoder.channels, "num_classes": 0}
    cfg = {
        "input_size": [encoder.channels, *image],
        "fixed_input_size": isinstance(encoder, ViT),
        "interpolation": _interpolation(shown),
        "crop_pct": shown.share,
        "crop_mode": "center",
        "mean": shown.mean,
        "std": shown.std,
        "num_classes": 0,
    }
    return {"architecture": named, "num_classes": 0, "model_args": arguments, "pretrained_cfg": cfg}


def _square_views(encoder: Encoder, shown: Shown) -> list[int]:
    """Return rows and columns of the views.

    Raises: Refused for clips, and for a ViT at another size than it was built for.
    """
    image = built_for(encoder)
    if len(image) != 2:
        raise Refused("it has no encoder of clips")
    if shown.size is None or list(shown.size) == image:
        return image
    if isinstance(encoder, ViT) and encoder.pos_embed is not None:
        raise Refused(
            f"it resamples positions in another way, from {image} to the view's {list(shown.size)}"
        )
    return list(shown.size)


def _vit(encoder: ViT, shown: Shown) -> tuple[str, dict[str, Any]]:
    _refuse_blocks(encoder)
    _square_views(encoder, shown)
    if not encoder.norm_affine:
        raise Refused("its last norm has weights")
    pool = _pool(encoder, shown)
    block: Any = encoder.blocks[0]
    biases = block.attn.qkv.bias is not None
    arguments = {
        "img_size": built_for(encoder),
        "patch_size": _patch(encoder),
        "embed_dim": encoder.width,
        "depth": len(encoder.blocks),
        "num_heads": encoder.heads,
        "mlp_ratio": _ratio(encoder),
        "class_token": encoder.cls_token is not None,
        "reg_tokens": 0 if encoder.reg_token is None else encoder.reg_token.shape[1],
        "global_pool": pool,
        "fc_norm": encoder.pool == "mean-norm",
    }
    arguments |= {} if biases else {"qkv_bias": False, "proj_bias": False}
    arguments |= {} if encoder.pos_embed is not None else {"pos_embed": "none"}
    arguments |= {"init_values": block.ls1.start or EPSILON} if hasattr(block.ls1, "gamma") else {}
    return "vit_base_patch16_224", arguments


def _pool(encoder: ViT, shown: Shown) -> str:
    """Return timm's name of the evaluation's pooling; "" if the predictor pools.

    Raises: Refused.
    """
    _refuse_layer(shown)
    own = "class" if encoder.pool == "class" else "mean"
    asked = own if shown.pool == "encoder" else shown.pool
    if encoder.pool == "mean-norm" and shown.pool in ("mean", "class"):
        raise Refused(
            f"the evaluation pools {asked!r} before the norm, which timm leaves out; "
            "set evaluate.Evaluation.pool = 'encoder'"
        )
    return {"class": "token", "mean": "avg", "predictor": ""}[asked]


def _refuse_layer(shown: Shown) -> None:
    if shown.layer is not None:
        raise Refused(f"it gives what comes last, and the evaluation reads layer {shown.layer}")


def _resnet(encoder: Encoder, shown: Shown) -> tuple[str, dict[str, Any]]:
    if encoder.traits:
        raise Refused(f"it has no encoder that sees {encoder.traits.get('sees', 'other views')}")
    if not isinstance(encoder, ResNet):
        raise Refused(
            f"it has no {type(encoder).__name__} without a head, or none under these names"
        )
    if (
        encoder.stages != 4
        or encoder.conv1.out_channels != 64
        or encoder.conv1.kernel_size != (7, 7)
    ):
        raise Refused("its ResNets have four stages, a first width of 64 and a stem of 7 x 7")
    if encoder.mask_token is not None:
        raise Refused("its ResNets have no token that is added")
    stages: list[Any] = [encoder.get_submodule(f"layer{number}") for number in range(1, 5)]
    _refuse_layer(shown)
    named = "resnet50" if stages[0][0].depth == 3 else "resnet18"
    pool = "" if shown.pool == "predictor" else "avg"
    return named, {"layers": [len(stage) for stage in stages], "global_pool": pool}


def _refuse_blocks(encoder: ViT) -> None:
    """Refuse blocks that neither library's ViT has. Raises: Refused."""
    if len(encoder.patch) != 2:
        raise Refused("it has no encoder of clips")
    if encoder.rotary is not None:
        raise Refused("its ViT has no rotary positions")
    if encoder.pos_embed is not None and not isinstance(encoder.pos_embed, Tensor):
        raise Refused("its ViT has one table of positions")
    if not isinstance(encoder.blocks[0].norm1, torch.nn.LayerNorm):
        raise Refused("its ViT has layer norms")


def transformers_config(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Return the config.json of transformers' ViTModel.

    The model's pooled output is its class token, since the pooling layer is the identity.

    Raises: Refused.
    """
    if not isinstance(encoder, ViT):
        raise Refused(f"it has no {type(encoder).__name__} under these names")
    _refuse_blocks(encoder)
    if encoder.cls_token is None or encoder.reg_token is not None:
        raise Refused("its ViT has a class token and no registers")
    if hasattr(encoder.blocks[0].ls1, "gamma"):
        raise Refused("its ViT has no layer scale")
    if encoder.pool == "mean-norm":
        raise Refused("its ViT has a norm before the pooling")
    _refuse_layer(shown)
    block: Any = encoder.blocks[0]
    return {
        "architectures": ["ViTModel"],
        "model_type": "vit",
        "hidden_size": encoder.width,
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": encoder.heads,
        "intermediate_size": block.mlp.fc1.out_features,
        "image_size": _square_views(encoder, shown),
        "patch_size": _patch(encoder),
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
        "resample": RESAMPLES[_interpolation(shown)],
        "do_center_crop": True,
        "crop_size": {"height": image[0], "width": image[1]},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": shown.mean,
        "image_std": shown.std,
    }


def _interpolation(shown: Shown) -> str:
    """Return the view's kernel.

    Raises: Refused for one without smoothing, which the libraries do not have.
    """
    if shown.kernel not in RESAMPLES:
        raise Refused(
            f"its processor smooths when it shrinks a picture; the view's kernel {shown.kernel!r} "
            "does not"
        )
    return shown.kernel


def _patch(encoder: ViT) -> int | list[int]:
    """Return a patch's rows and columns, or one number if it is square: all versions read that."""
    return encoder.patch[0] if len(set(encoder.patch)) == 1 else list(encoder.patch)


def _ratio(encoder: ViT) -> float:
    """Return the ratio that timm multiplies by the width and rounds down to the hidden width."""
    inside = int(encoder.blocks[0].mlp.fc1.out_features)  # type: ignore[union-attr, arg-type]
    ratio = inside / encoder.width
    return ratio if int(encoder.width * ratio) == inside else (inside + 0.5) / encoder.width
