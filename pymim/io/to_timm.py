"""Describe an encoder to timm, so that it gives there what it gives here."""

from __future__ import annotations

from typing import Any

from pymim.contracts import Encoder
from pymim.encoders import ResNet, ViT
from pymim.io.libraries import (
    EPSILON,
    Refused,
    Shown,
    built_for,
    interpolation,
    patch_of,
    refuse_blocks,
    refuse_layer,
    square_views,
)


def timm_config(encoder: Encoder, shown: Shown) -> dict[str, Any]:
    """Return the config.json from which timm.create_model("local-dir:...") builds this encoder.

    Raises: Refused.
    """
    named, arguments = _vit(encoder, shown) if isinstance(encoder, ViT) else _resnet(encoder, shown)
    image = square_views(encoder, shown)
    arguments |= {"in_chans": encoder.channels, "num_classes": 0}
    cfg = {
        "input_size": [encoder.channels, *image],
        "fixed_input_size": isinstance(encoder, ViT),
        "interpolation": interpolation(shown),
        "crop_pct": shown.share,
        "crop_mode": "center",
        "mean": shown.mean,
        "std": shown.std,
        "num_classes": 0,
    }
    return {"architecture": named, "num_classes": 0, "model_args": arguments, "pretrained_cfg": cfg}


def _vit(encoder: ViT, shown: Shown) -> tuple[str, dict[str, Any]]:
    refuse_blocks(encoder)
    square_views(encoder, shown)
    if not encoder.norm_affine:
        raise Refused("its last norm has weights")
    pool = _pool(encoder, shown)
    block: Any = encoder.blocks[0]
    biases = block.attn.qkv.bias is not None
    arguments = {
        "img_size": built_for(encoder),
        "patch_size": patch_of(encoder),
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
    refuse_layer(shown)
    own = "class" if encoder.pool == "class" else "mean"
    asked = own if shown.pool == "encoder" else shown.pool
    if encoder.pool == "mean-norm" and shown.pool in ("mean", "class"):
        raise Refused(
            f"the evaluation pools {asked!r} before the norm, which timm leaves out; "
            "set evaluate.Evaluation.pool = 'encoder'"
        )
    return {"class": "token", "mean": "avg", "predictor": ""}[asked]


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
        raise Refused("its ResNets have no mask token")
    stages: list[Any] = [encoder.get_submodule(f"layer{number}") for number in range(1, 5)]
    refuse_layer(shown)
    named = "resnet50" if stages[0][0].depth == 3 else "resnet18"
    pool = "" if shown.pool == "predictor" else "avg"
    return named, {"layers": [len(stage) for stage in stages], "global_pool": pool}


def _ratio(encoder: ViT) -> float:
    """Return the ratio that timm multiplies by the width and rounds down to the hidden width."""
    inside = int(encoder.blocks[0].mlp.fc1.out_features)  # type: ignore[union-attr, arg-type]
    ratio = inside / encoder.width
    return ratio if int(encoder.width * ratio) == inside else (inside + 0.5) / encoder.width
