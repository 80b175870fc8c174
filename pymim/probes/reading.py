"""What probes get of an image: its vector, its tokens, and the scores of a method's own head."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from pymim.contracts import Encoder, Features
from pymim.errors import ConfigError
from pymim.layers.eval_mode import eval_mode
from pymim.precision import autocast, chosen, current

if TYPE_CHECKING:
    from pymim.objective import Objective

POOLS = ("mean", "class", "encoder", "predictor")


class Head(NamedTuple):
    """A method's own classifier. chosen: the best of its heads, if the loss remembers it."""

    predictor: nn.Module
    tap: int | None = None
    chosen: int | None = None


class Reading(NamedTuple):
    """How an encoder is read.

    pool: vector of an image: the "mean" of its tokens, its "class" token, the "encoder"'s own
    pooled vector, or the vector of `predictor`. layer: read after this block, by the encoder's
    taps.
    """

    pool: str = "mean"
    layer: int | None = None
    predictor: nn.Module | None = None
    head: Head | None = None

    def __call__(
        self, encoder: Encoder, images: Tensor, wanted: Collection[str]
    ) -> dict[str, Tensor]:
        """Give "pooled" [B E] and, if wanted, "tokens" [B N D] and "scores" [B S K]; on the CPU."""
        device = next(encoder.parameters()).device
        with autocast(device):
            last = encoder(images.to(device))
            grid, features = encoder.grid(images.shape), last.at(self.layer)
            if self.predictor is not None:
                pooled: Tensor = self.predictor.pooled(features, grid)  # type: ignore[operator]
            else:
                pooled = self._pooled(features)
            found = {"pooled": pooled.float().cpu()}
            if "tokens" in wanted:
                kept = torch.bfloat16 if chosen(current(), device) == "bf16" else torch.float32
                found["tokens"] = features.tokens.to(kept).cpu()
            if "scores" in wanted and self.head is not None:
                found["scores"] = (
                    self.head.predictor(last.at(self.head.tap), None, grid).float().cpu()
                )
        return found

    @torch.no_grad()
    def all(
        self, encoder: Encoder, images: Tensor, wanted: Collection[str], batch: int
    ) -> dict[str, Tensor]:
        """Read images [N C *S] in batches, in evaluation mode."""
        parts = [encoder, self.predictor, self.head and self.head.predictor]
        with eval_mode(*(part for part in parts if part is not None)):
            chunks = [self(encoder, chunk, wanted) for chunk in images.split(batch)]
        return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}

    @torch.no_grad()
    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder that lacks what is read.

        Raises:
            ConfigError: it has no class token, or not the tap.
        """
        kind = type(encoder.bare).__name__
        if self.pool == "class" and not has_class_token(encoder):
            raise ConfigError(
                f"Evaluation: pool: expected an encoder with a class token for 'class', got {kind} "
                "without one; set ViT.class_token = True, or pool = 'mean'"
            )
        if self.layer is None:
            return
        sides = [cells * side for cells, side in zip(encoder.base, encoder.patch, strict=True)]
        device = next(encoder.parameters()).device
        with eval_mode(encoder):
            taps = encoder(torch.zeros(1, encoder.channels, *sides, device=device)).taps
        if self.layer not in taps:
            known, wanted = ", ".join(map(str, taps)) or "none", sorted({*taps, self.layer})
            raise ConfigError(
                f"Evaluation: layer: expected one of the encoder's taps ({known}), got "
                f"{self.layer}; set {kind}.taps = ({', '.join(map(str, wanted))},)"
            )

    def _pooled(self, features: Features) -> Tensor:
        if self.pool == "encoder":
            return features.pooled
        return features.prefix[:, 0] if self.pool == "class" else features.tokens.float().mean(1)


def has_class_token(encoder: Encoder) -> bool:
    """Tell whether the first token of the prefix is a class token; registers are not."""
    tokens = [part.cls_token for part in encoder.modules() if hasattr(part, "cls_token")]
    return bool(encoder.prefix) and all(token is not None for token in tokens)


def head_of(objectives: Collection[Objective], name: str) -> Head:
    """Give the head of the objective of this name; default: the first.

    Raises:
        ConfigError: there is none, or it is not on the pooled image.
    """
    found = [objective for objective in objectives if not name or objective.name == name]
    if not found:
        known = ", ".join(objective.name for objective in objectives)
        raise ConfigError(
            f"Evaluation: head: expected one of the objectives {known}, got {name!r}; "
            "name one of them"
        )
    if (on := found[0].on) != "pooled":
        raise ConfigError(
            "Evaluation: head: expected an objective on pooled images, whose scores probes take, "
            f"got {found[0].name} on {on!r}; set another, or leave out the probes that take scores"
        )
    return Head(found[0].predictor, found[0].tap, getattr(found[0].loss, "best", None))
