"""Initial weights of MAE-family models, and the variants of other releases."""

from __future__ import annotations

from collections.abc import Container

from torch import nn

from pymim.layers.linear import JointLinear

QKV = ("joint", "apart")
FIRST = ("xavier", "torch")


def init_weights(module: nn.Module, qkv: str = "joint", kept: Container[nn.Module] = ()) -> None:
    """Set Xavier-uniform weights and zero biases on every linear map and patch convolution.

    A patch convolution counts as the matrix [D, C p p]; torch's bound for a convolution differs.

    Args:
        module: the module to initialise.
        qkv: bound of maps that give queries, keys and values in one product: "joint", of the whole
            matrix (MAE, He et al. 2022); or "apart", of each map (MAE-ST, Feichtenhofer et al.
            2022; CAPI, Darcet et al. 2025), which is sqrt(2) times as wide for three maps of one
            width.
        kept: parts that keep torch's initial weights.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Conv3d) and part not in kept:
            maps = part.maps if isinstance(part, JointLinear) and qkv == "apart" else 1
            for rows in part.weight.data.flatten(1).chunk(maps):
                nn.init.xavier_uniform_(rows)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def check_init(of: object, **chosen: str) -> None:
    """Refuse unknown values of `qkv_init`, `patch_init` and `embed_init`.

    Raises:
        ValueError: a value is unknown.
    """
    for name, value in chosen.items():
        known = QKV if name == "qkv_init" else FIRST
        if value not in known:
            kind = type(of).__name__
            raise ValueError(
                f"{kind}: {name}: expected one of {', '.join(known)}, got {value!r}; "
                "name one of them"
            )
