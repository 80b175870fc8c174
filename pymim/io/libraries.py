"""Say how an encoder is shown its pictures, and which encoders timm and transformers both refuse.

Names and defaults are those of timm 1.0 (`VisionTransformer`, `ResNet`) and transformers 4 and 5
(`ViTModel`, and `BitImageProcessor`, which scales the shorter side and crops the middle).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymim.contracts import Encoder
from pymim.encoders import ViT

RESAMPLES = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers
EPSILON = 1e-6  # epsilon of the layer norms in both libraries


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


def square_views(encoder: Encoder, shown: Shown) -> list[int]:
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


def refuse_layer(shown: Shown) -> None:
    if shown.layer is not None:
        raise Refused(f"it gives the last layer only, and the evaluation reads layer {shown.layer}")


def refuse_blocks(encoder: ViT) -> None:
    """Refuse blocks that neither library's ViT has. Raises: Refused."""
    if len(encoder.patch) != 2:
        raise Refused("it has no encoder of clips")
    if encoder.rotary is not None:
        raise Refused("its ViT has no rotary positions")
    if encoder.pos_embed is not None and not isinstance(encoder.pos_embed, Tensor):
        raise Refused("its ViT has one table of positions")
    if not isinstance(encoder.blocks[0].norm1, torch.nn.LayerNorm):
        raise Refused("its ViT has layer norms")


def interpolation(shown: Shown) -> str:
    """Return the view's kernel.

    Raises: Refused for one without smoothing, which the libraries do not have.
    """
    if shown.kernel not in RESAMPLES:
        raise Refused(
            f"its processor smooths when it shrinks a picture; the view's kernel {shown.kernel!r} "
            "does not"
        )
    return shown.kernel


def patch_of(encoder: ViT) -> int | list[int]:
    """Return a patch's rows and columns, or one number if it is square: all versions read that."""
    return encoder.patch[0] if len(set(encoder.patch)) == 1 else list(encoder.patch)
