"""Encoders around another encoder: a projection behind it, a fixed filter before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.checks import given, positive, share, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.encoders.ended import Ended
from pymim.layers.init import init_weights

if TYPE_CHECKING:
    from jaxtyping import Float

NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.Identity}


class Wrapped(Encoder):
    """Is of its trunk's measure, unless it says otherwise."""

    def __init__(self, trunk: Encoder):
        super().__init__()
        self.trunk = trunk
        self.width, self.channels, self.patch = trunk.width, trunk.channels, trunk.patch
        self.base, self.prefix, self.placed = trunk.base, trunk.prefix, trunk.placed
        self.hidden, self.taps = trunk.hidden, trunk.taps

    @property
    def embedding(self) -> int:
        return self.trunk.embedding

    @property
    def dense(self) -> bool:
        return self.trunk.dense

    @property
    def traits(self) -> dict[str, str]:
        return self.trunk.traits

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        features: Features = self.trunk(view, mask)
        return features

    def grid(self, shape: Sequence[int]) -> Grid:
        return self.trunk.grid(shape)

    def ended(self, tap: int) -> Encoder:
        inner = self.trunk.ended(tap)
        return Ended(self, inner.width, inner.patch, inner.base)

    def seen(self, view: Float[Tensor, "B C *S"], mask: Mask) -> Tensor | None:
        return self.trunk.seen(view, mask)


class Projected(Wrapped):
    """An MLP on the pooled vector; tokens stay the trunk's, and they are what probes see.

    A clustering method clusters what comes out here, and a momentum copy has the projection with the rest. The last
    layer has no ReLU, so that what is clustered has both signs, as in DeepCluster (Caron et al. 2018), which takes
    the last ReLU off to cluster and puts it back to train: there it opens the head (predictors.Renewed).

    Args:
        layers: widths; linear maps behind `dropout`, and between two of them `norm` and ReLU.
        dropout: of what goes into each layer; one share, or one for each.
        norm: "batch" (SwAV, DeepCluster-v2: Caron et al. 2020), "layer" or "none".
        unit: whether the result has length 1.
        std: deviation of the normal distribution that weights start from; None: Xavier's uniform one. DeepCluster's
            fc6 and fc7 start at 0.01.
    """

    def __init__(
        self,
        trunk: Encoder,
        layers: Sequence[int] = (2048, 128),
        norm: str = "batch",
        dropout: float | Sequence[float] = 0.0,
        unit: bool = False,
        std: float | None = None,
    ):
        whole(self, 1, layers=layers)
        share(self, "from 0 to below 1", dropout=dropout)
        positive(self, **given(std=std))
        dropouts = list(dropout) if isinstance(dropout, Sequence) else [dropout] * len(layers)
        if len(dropouts) != len(layers):
            raise ValueError(
                f"Projected: dropout: expected one share, or one for each of {len(layers)} layers, got "
                f"{len(dropouts)}; give as many"
            )
        super().__init__(trunk)
        if norm not in NORMS:
            raise ValueError(f"Projected: norm: expected one of {', '.join(NORMS)}, got {norm!r}; name one of them")
        widths = (trunk.embedding, *layers)
        parts: list[nn.Module] = []
        for dropped, (before, after) in zip(dropouts, pairwise(widths), strict=True):
            parts += [nn.Dropout(dropped), nn.Linear(before, after), NORMS[norm](after), nn.ReLU()]
        self.head = nn.Sequential(*parts[:-2])
        self.unit = unit
        init_weights(self.head)
        for part in self.head:
            if isinstance(part, nn.Linear) and std is not None:
                nn.init.normal_(part.weight, std=std)

    @property
    def bare(self) -> Encoder:
        """The trunk's: what is behind it was for the training."""
        return self.trunk.bare

    @property
    def embedding(self) -> int:
        return int(self.head[-1].out_features)  # type: ignore[arg-type]

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        features: Features = self.trunk(view, mask)
        return features._replace(pooled=self._projected(features.pooled))

    def together(self, views: Sequence[Tensor]) -> list[Features]:
        """Encode views of one shape as one batch, and project all of them as one, whatever their shapes."""
        found = self.trunk.together(views)
        pooled = self._projected(torch.cat([features.pooled for features in found]))
        each = pooled.split([len(view) for view in views])
        return [features._replace(pooled=own) for features, own in zip(found, each, strict=True)]

    def _projected(self, pooled: Float[Tensor, "B E"]) -> Float[Tensor, "B F"]:
        out: Tensor = self.head(pooled)
        return F.normalize(out.float(), dim=1) if self.unit else out


class Sobel(Wrapped):
    """The trunk sees edges instead of colours: the two Sobel filters of the mean of the channels, with zeros around
    the picture (DeepCluster, Caron et al. 2018). It must be one of 2 channels.

    channels: of the views. The mean counts channels alike, as in the released code; it is no luma.
    """

    filters: Tensor

    def __init__(self, trunk: Encoder, channels: int = 3):
        whole(self, 1, channels=channels)
        super().__init__(trunk)
        if trunk.channels != 2:
            raise ValueError(f"Sobel: trunk: expected 2 channels, got {trunk.channels}; set its channels = 2")
        self.channels = channels
        across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        self.register_buffer("filters", torch.stack((across, across.T))[:, None], persistent=False)

    @property
    def traits(self) -> dict[str, str]:
        return self.trunk.traits | {"sees": "Sobel edges of the mean of the channels"}

    def forward(self, view: Float[Tensor, "B C H W"], mask: Mask | None = None) -> Features:
        features: Features = self.trunk(self._edges(view), mask)
        return features

    def together(self, views: Sequence[Tensor]) -> list[Features]:
        return self.trunk.together([self._edges(view) for view in views])

    def _edges(self, view: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 2 H W"]:
        return F.conv2d(view.mean(1, keepdim=True), self.filters.to(view.dtype), padding=1)

    def seen(self, view: Float[Tensor, "B C H W"], mask: Mask) -> None:
        """Give None: edges are no pixels of a view."""
