"""A classifier on an encoder: how an image is read, and the head after it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, scaled_dot_product_attention

from pymim.checks import given, positive, share, whole
from pymim.contracts import Encoder, Features
from pymim.encoders import Copy
from pymim.errors import ConfigError
from pymim.layers.alone import alone
from pymim.layers.block import DropPath, TransformerBlock
from pymim.probes.reading import has_class_token

if TYPE_CHECKING:
    from jaxtyping import Float

POOLS = ("mean", "class", "class-mean", "encoder", "attention", "cells")
NORMS = ("layer", "batch", "none")
CHANNELS = 64  # per attention head


class Readout:
    """Choose the vector of an image that is classified, and its head.

    Args:
        pool: "mean" of the patch tokens; the "class" token; "class-mean", both side by side (DINO's
            ViT-B, Caron et al. 2021); "encoder", the encoder's own pooled vector; "attention", of
            one learned query to the patch tokens, 64 channels per head (CAPI, Darcet et al. 2025);
            or "cells", the map averaged to `cells` and flattened (DeepCluster, Caron et al. 2018).
        layers: number of last blocks whose class tokens are side by side, each after the encoder's
            final norm (DINO: 4).
        final_norm: keep the encoder's own final norm; MAE's fine-tuning drops it.
        norm: norm before the linear layer: "layer" (eps 1e-6), "batch" without affine (eps 1e-6;
            MAE's linear probe) or "none".
        dropout: share dropped between norm and linear layer.
        std: deviation of the linear layer's normal weights, cut at two deviations; its bias is 0.
        tap: layer or stage, from 1, whose tokens are read without a norm; None: the last. The
            encoder need not have it as a tap.
        cells: rows and columns for pool = "cells".

    Raises:
        ConfigError: arguments contradict each other, or a choice is unknown.
    """

    def __init__(
        self,
        pool: str = "mean",
        layers: int = 1,
        final_norm: bool = True,
        norm: str = "layer",
        dropout: float = 0.0,
        std: float = 2e-5,
        tap: int | None = None,
        cells: tuple[int, int] | None = None,
    ) -> None:
        _choose("pool", pool, POOLS)
        _choose("norm", norm, NORMS)
        whole(self, 1, layers=layers, **given(tap=tap, cells=cells))
        share(self, "from 0 to below 1", dropout=dropout)
        positive(self, std=std)
        if layers > 1 and pool not in ("class", "class-mean"):
            raise ConfigError(
                f"Readout: layers: expected 1 with pool = {pool!r}, got {layers}; "
                "set pool = 'class'"
            )
        self.pool, self.layers = pool, layers
        self.final_norm = final_norm
        self.norm, self.dropout = norm, dropout
        self.std = std
        self.tap, self.cells = tap, cells
        if (pool == "cells") != (cells is not None):
            raise ConfigError(
                "Readout: cells: expected (rows, columns) if pool = 'cells', else None, got "
                f"{cells} with pool = {pool!r}; set both or neither"
            )
        if tap is not None and pool not in ("mean", "attention", "cells"):
            raise ConfigError(
                f"Readout: tap: expected None with pool = {pool!r}, got {tap}; set pool = 'mean'"
            )

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder that lacks what is read.

        Raises:
            ConfigError: the class token, layer, norm or width is missing.
        """
        bare = innermost(encoder)
        kind = type(bare).__name__
        if self.pool.startswith("class") and not has_class_token(encoder):
            raise ConfigError(
                f"Readout: pool: expected an encoder with a class token for {self.pool!r}, got "
                f"{kind} without one; set ViT.class_token = True, or pool = 'mean'"
            )
        depth = layers_of(bare)
        if self.tap is not None and self.tap > depth:
            raise ConfigError(
                f"Readout: tap: expected a layer of {kind} from 1 to {depth}, got {self.tap}; "
                "name one of them"
            )
        if self.layers > max(depth, 1):
            raise ConfigError(
                f"Readout: layers: expected at most {depth}, the blocks of {kind}, got "
                f"{self.layers}; set fewer"
            )
        if not self.final_norm and not isinstance(getattr(bare, "norm", None), nn.Module):
            raise ConfigError(
                f"Readout: final_norm: expected True, as {kind} has no final norm, got False; "
                "leave it out"
            )
        if self.pool == "attention" and encoder.width % CHANNELS and encoder.width > CHANNELS:
            raise ConfigError(
                f"Readout: pool: expected an encoder of {CHANNELS} n channels for 'attention', got "
                f"{encoder.width}; set pool = 'mean'"
            )

    def width(self, encoder: Encoder) -> int:
        """Give the width of the vector."""
        if self.pool == "encoder":
            return encoder.embedding
        inner = encoder if self.tap is None else encoder.ended(self.tap)
        places = math.prod(self.cells) if self.cells else self.layers + (self.pool == "class-mean")
        return inner.width * places


class Classifier(nn.Module):
    """Classify images by an encoder, a `Readout` of it, a norm and a linear layer: scores [B K].

    Args:
        encoder: the encoder; a copy is used.
        classes: number K of classes.
        frozen: keep the encoder fixed, in evaluation mode.
        readout: how an image is read; default: `Readout()`.
        drop_path: rate of stochastic depth of the last block, on a ramp from 0; None: the encoder's
            own rates.

    Raises:
        ConfigError: the encoder lacks what is asked of it.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        frozen: bool = False,
        readout: Readout | None = None,
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        self.readout = readout or Readout()
        self.readout.check(encoder)
        tuned = alone(encoder)
        self.encoder: nn.Module = Copy(encoder) if frozen else tuned.requires_grad_(True)
        self._alter(self.encoder.module if frozen else tuned, drop_path)  # type: ignore[arg-type]
        width = self.readout.width(encoder)
        attends = self.readout.pool == "attention"
        self.query: nn.Module = Query(width, self.readout.std) if attends else nn.Identity()
        self.fc_norm: nn.Module = {
            "layer": nn.LayerNorm(width, eps=1e-6),
            "batch": nn.BatchNorm1d(width, eps=1e-6, affine=False),
            "none": nn.Identity(),
        }[self.readout.norm]
        self.dropout = nn.Dropout(self.readout.dropout)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.head.weight, std=self.readout.std, a=-2.0, b=2.0)
        nn.init.zeros_(self.head.bias)

    @property
    def frozen(self) -> bool:
        """Tell whether the encoder is kept fixed."""
        return isinstance(self.encoder, Copy)

    def forward(self, images: Float[Tensor, "B C *S"]) -> Float[Tensor, "B K"]:
        return self.scores(self.read(images))

    def read(self, images: Float[Tensor, "B C *S"]) -> Tensor:
        """Give the pooled vector [B E]; for attention, the tokens [B N D]."""
        features: Features = self.encoder(images).at(self.readout.tap)
        pool = self.readout.pool
        if pool == "encoder":
            return features.pooled
        tokens = features.tokens.float()
        if pool in ("mean", "attention"):
            return tokens if pool == "attention" else tokens.mean(1)
        if self.readout.cells is not None:
            return adaptive_avg_pool2d(
                tokens.mT.unflatten(2, self._grid), self.readout.cells
            ).flatten(1)
        found = [self._class_token(features, number) for number in self._numbers]
        return torch.cat([*found, tokens.mean(1)] if pool == "class-mean" else found, 1)

    def scores(self, read: Tensor) -> Float[Tensor, "B K"]:
        """Give the scores of what `read` gave."""
        scores: Tensor = self.head(self.dropout(self.fc_norm(self.query(read))))
        return scores

    def _class_token(self, features: Features, number: int | None) -> Tensor:
        if number is None:
            return features.prefix[:, 0].float()
        token: Tensor = self._norm[0](features.taps[number][:, 0])
        return token.float()

    def _alter(self, encoder: Encoder, drop_path: float | None) -> None:
        """Change the copied encoder: keep the taps that are read, drop the norm if unwanted."""
        bare, readout = innermost(encoder), self.readout
        depth = len(getattr(bare, "blocks", ()))
        # Taps to keep: those of the last blocks but one, whose tokens have no norm yet; or the one
        # that is read. A wrapper copies its trunk's taps when it is built, so all of them are set.
        before = tuple(range(depth - readout.layers + 1, depth))
        if readout.tap is not None:
            before = (readout.tap,)
        self._numbers = (*before, None)  # the last block's class token is the features' own
        self._grid = tuple(encoder.base if readout.tap is None else encoder.ended(readout.tap).base)
        if before:
            for part in encoder.modules():
                if isinstance(part, Encoder):
                    part.taps = before
        if not readout.final_norm:
            bare.norm = nn.Identity()
        self._norm = [getattr(bare, "norm", nn.Identity())]  # in a list: the encoder registers it
        if drop_path is not None:
            set_drop_path(bare, drop_path)


class Query(nn.Module):
    """Attend from one learned query to tokens [B N D]: [B D]. Keys and values are linear maps of
    the tokens.
    """

    def __init__(self, width: int, std: float) -> None:
        super().__init__()
        self.heads = max(1, width // CHANNELS)
        self.query = nn.Parameter(torch.empty(width))
        self.kv = nn.Linear(width, 2 * width)
        for weight in (self.query, self.kv.weight):
            nn.init.trunc_normal_(weight, std=std)
        nn.init.zeros_(self.kv.bias)

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B D"]:
        keys, values = self.kv(tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query = self.query.to(keys.dtype).view(self.heads, 1, -1).expand(len(tokens), -1, -1, -1)
        return scaled_dot_product_attention(query, keys, values).flatten(1)


def innermost(encoder: Encoder) -> Encoder:
    """Give the encoder inside all wrappers."""
    while isinstance(inner := getattr(encoder, "trunk", None), Encoder):
        encoder = inner
    return encoder


def layers_of(encoder: nn.Module) -> int:
    """Count the layers that an encoder can have taps after: convolutions, stages, or blocks."""
    # A network of stages has blocks too, but taps after its stages.
    counts = (len(getattr(encoder, name, ())) for name in ("layers", "widths", "blocks"))
    return next(filter(None, counts), 0)


def set_drop_path(encoder: nn.Module, rate: float) -> None:
    """Set the rates of an encoder's blocks to a ramp from 0 to `rate`.

    Raises:
        ConfigError: the encoder has no blocks that drop paths.
    """
    share("drop_path", "from 0 to below 1", drop_path=rate)
    blocks = [part for part in encoder.modules() if isinstance(part, TransformerBlock)]
    if not blocks:
        kind = type(encoder).__name__
        raise ConfigError(
            f"drop_path: expected None, as {kind} has no blocks that drop paths, got {rate}; "
            "leave it out"
        )
    for number, block in enumerate(blocks):
        block.drop_path = DropPath(rate * number / max(1, len(blocks) - 1))


def _choose(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        known = ", ".join(choices)
        raise ConfigError(
            f"Readout: {name}: expected one of {known}, got {value!r}; name one of them"
        )
