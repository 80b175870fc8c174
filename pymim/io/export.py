"""pymim export RUN --to DIR: the encoder for everybody else, as safetensors and JSON.

DIR/ is what timm reads, where the encoder is a ViT as timm has them: timm.create_model("local-dir:DIR",
pretrained=True); and plain torch: safetensors.torch.load_file("DIR/model.safetensors"). DIR/transformers/ is the
same encoder under the names of transformers' ViT: ViTModel.from_pretrained("DIR/transformers",
add_pooling_layer=False).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import Tensor

from pymim.contracts import Encoder
from pymim.encoders import ViT
from pymim.errors import ConfigError
from pymim.io.disk import write_whole

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

_PLAIN = {"pos_embed", "blocks.0.norm1.bias", "blocks.0.attn.qkv.bias"}  # what timm's ViT cannot be without


def export(encoder: Encoder, folder: Path, mean: list[float], std: list[float]) -> list[Path]:
    """Write `encoder.bare`, for timm and transformers too where their ViTs have its parts."""
    encoder = getattr(encoder, "bare", encoder)
    weights = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    weights.pop("mask_token", None)
    if not isinstance(encoder, ViT) or _PLAIN - weights.keys() or len(encoder.patch) != 2:
        return [_write(folder, weights, None, encoder.traits)]
    written = [_write(folder, weights, timm_config(encoder, mean, std), encoder.traits)]
    if encoder.prefix == 1 and not any("ls1" in name for name in weights):
        named = for_transformers(weights)
        written.append(_write(folder / "transformers", named, transformers_config(encoder), {}))
    return written


def _write(folder: Path, weights: dict[str, Tensor], config: dict[str, Any] | None, traits: dict[str, str]) -> Path:
    write_whole(folder / "model.safetensors", to_bytes(weights, metadata={"format": "pt", **traits}))
    if config is not None:
        write_whole(folder / "config.json", json.dumps(config, indent=1) + "\n")
    return folder


def timm_config(encoder: ViT, mean: list[float], std: list[float]) -> dict[str, Any]:
    """What timm.create_model("local-dir:...") needs to build this very ViT."""
    image = [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)]
    return {
        "architecture": "vit_base_patch16_224",
        "num_classes": 0,
        "model_args": {
            "img_size": image,
            "patch_size": _patch(encoder),
            "in_chans": encoder.channels,
            "embed_dim": encoder.width,
            "depth": len(encoder.blocks),
            "num_heads": encoder.heads,
            "mlp_ratio": _mlp_width(encoder) / encoder.width,
            "num_classes": 0,
        },
        "pretrained_cfg": {"input_size": [encoder.channels, *image], "mean": mean, "std": std, "num_classes": 0},
    }


def transformers_config(encoder: ViT) -> dict[str, Any]:
    """The config.json of transformers' ViTModel."""
    return {
        "architectures": ["ViTModel"],
        "model_type": "vit",
        "hidden_size": encoder.width,
        "num_hidden_layers": len(encoder.blocks),
        "num_attention_heads": encoder.heads,
        "intermediate_size": _mlp_width(encoder),
        "image_size": [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)],
        "patch_size": _patch(encoder),
        "num_channels": encoder.channels,
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu",
        "qkv_bias": True,
    }


def for_transformers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names to those of transformers' ViT; the joint query-key-value product in three."""
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
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
    return renamed


def _patch(encoder: ViT) -> int | list[int]:
    """Rows and columns of a patch; of a square, one number, which every reader takes."""
    return encoder.patch[0] if len(set(encoder.patch)) == 1 else list(encoder.patch)


def _mlp_width(encoder: ViT) -> int:
    return int(encoder.blocks[0].mlp.fc1.out_features)  # type: ignore[union-attr, arg-type]


def main(words: list[str]) -> int:
    """The command line."""
    from pymim import config
    from pymim.io import checkpoint, measured, weights

    parser = argparse.ArgumentParser(prog="pymim export", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR")
    parser.add_argument("--trust", action="store_true", help="let its config.gin run code that is not pymim's")
    args = parser.parse_args(words)
    if not (args.run / "config.gin").exists():
        raise ConfigError(f"export: {args.run}: expected a run's folder, got one without config.gin")
    root = "train.Trainer"
    with config.trusting(args.trust):
        measured.once(config.load([str(args.run / "config.gin")]), root, args.run / "config.gin")
    encoder: Encoder = config.build(root, "method").encoder
    weights.load(encoder, checkpoint.newest(args.run), whole=True)  # alone: the data may be elsewhere by now
    normalise = config.parts("data.Loader", "views")[0].normalise
    written = export(encoder, args.to, normalise.mean.tolist(), normalise.std.tolist())
    print("\n".join(str(path / "model.safetensors") for path in written))  # noqa: T201
    return 0
