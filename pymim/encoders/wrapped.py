"""Encoders around another encoder: `Projected` adds a projection after it, `Sobel` a fixed filter
before it.
"""

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
    """Base class: copy the trunk's sizes and pass calls on; subclasses change the rest.

    Args:
        trunk: the encoder inside.
    """

    def __init__(self, trunk: Encoder):
        super().__init__()
        self.trunk = trunk
        self.width, self.channels = trunk.width, trunk.channels
        self.patch = trunk.patch
        self.base, self.prefix = trunk.base, trunk.prefix
        self.placed = trunk.placed
        self.hidden, self.taps = trunk.hidden, trunk.taps
        self.widths = trunk.widths

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
    """Project the pooled vector by an MLP. Tokens stay the trunk's, and probes see the trunk.

    Clustering methods cluster the projection; a momentum copy includes it. The last layer has no
    ReLU, so that clustered vectors have both signs. DeepCluster (Caron et al. 2018) removes the
    last ReLU to cluster and puts it back to train: here the ReLU opens the head
    (`predictors.Renewed`).

    Args:
        trunk: the encoder.
        layers: widths of the linear maps; each follows a dropout, and a norm and ReLU are between
            two.
        norm: "batch" (SwAV, DeepCluster-v2: Caron et al. 2020), "layer" or "none".
        dropout: share of inputs that each layer drops; one number, or one per layer.
        unit: scale the result to length 1.
        std: deviation of the normal initial weights (DeepCluster's fc6 and fc7: 0.01); None: Xavier
            uniform.

    Raises:
        ValueError: dropouts are not as many as layers, or the norm is unknown.
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
                f"Projected: dropout: expected one share, or {len(layers)}, one for each layer, "
                f"got {len(dropouts)}; set dropout to one number"
            )
        super().__init__(trunk)
        if norm not in NORMS:
            raise ValueError(
                f"Projected: norm: expected one of {', '.join(NORMS)}, got {norm!r}; "
                "name one of them"
            )
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
        """Give the trunk's bare encoder: the projection serves training only."""
        return self.trunk.bare

    @property
    def embedding(self) -> int:
        return int(self.head[-1].out_features)  # type: ignore[arg-type]

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        features: Features = self.trunk(view, mask)
        return features._replace(pooled=self._projected(features.pooled))

    def together(self, views: Sequence[Tensor]) -> list[Features]:
        """Encode views of one shape as one batch, and project all views as one batch."""
        found = self.trunk.together(views)
        pooled = self._projected(torch.cat([features.pooled for features in found]))
        each = pooled.split([len(view) for view in views])
        return [features._replace(pooled=own) for features, own in zip(found, each, strict=True)]

    def _projected(self, pooled: Float[Tensor, "B E"]) -> Float[Tensor, "B F"]:
        out: Tensor = self.head(pooled)
        return F.normalize(out.float(), dim=1) if self.unit else out


class Sobel(Wrapped):
    """Show the trunk edges instead of colours: two Sobel filters of the mean of the channels.

    Pads the picture with zeros (DeepCluster, Caron et al. 2018). The mean weighs all channels
    equally, as released; it is not a luma.

    Args:
        trunk: an encoder of 2 channels.
        channels: channels of the views.

    Raises:
        ValueError: the trunk has other channels.
    """

    filters: Tensor

    def __init__(self, trunk: Encoder, channels: int = 3):
        whole(self, 1, channels=channels)
        super().__init__(trunk)
        if trunk.channels != 2:
            raise ValueError(
                f"Sobel: trunk: expected 2 channels, got {trunk.channels}; set its channels = 2"
            )
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
        """Give None: edges are not pixels of a view."""
