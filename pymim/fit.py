"""Which parts go together. What cannot is refused when the method is built, with the reason.

A predictor says by `reads` what it needs: "mask" (where tokens lie and which are asked for), "tokens" (one of the
encoder's for each patch asked for), "pooled" (a vector of the image). An encoder that no patch can be hidden from
says `hidden` = "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from pymim.encoders.encoder import Encoder
    from pymim.masks.mask import Policy


def check(encoder: Encoder, predictor: nn.Module, on: str, mask: Policy | None) -> None:
    """on: the patches that an objective's predictor is asked for.

    Raises: ValueError, naming the part that does not fit and what to put in its place.
    """
    reads, hidden = getattr(predictor, "reads", ""), getattr(encoder, "hidden", "drop")
    reader, eyes = type(predictor).__name__, type(encoder).__name__
    if mask is not None and hidden == "none":
        raise ValueError(
            f"Method: mask: expected None, as {eyes} sees every patch, got {type(mask).__name__}; "
            "leave the mask out, or encode with a ViT"
        )
    if reads == "mask" and mask is None:
        raise ValueError(
            f"Method: mask: expected a policy, as {reader} predicts what is hidden, got None; "
            "set Method.mask, or predict with Linear or Pooled"
        )
    if (reads == "pooled") != (on == "pooled") and reads:
        wanted = "pooled" if reads == "pooled" else "predicted, visible or all"
        raise ValueError(
            f"Objective: on: expected {wanted}, as {reader} is the predictor, got {on}; change one of the two"
        )
    if reads == "tokens" and mask is not None and on != "visible" and hidden == "drop":
        raise ValueError(
            f"Objective: predictor: expected one that makes tokens of hidden patches, as {eyes} drops them, got "
            f"{reader}; set {eyes}.hidden = 'token', or predict with a Transformer"
        )
