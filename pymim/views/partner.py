"""Show another picture in place of each, such as a neighbour: pairs of pictures by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim import philox
from pymim.contracts import Draw, View
from pymim.errors import ConfigError
from pymim.views.view import Drawn, named

if TYPE_CHECKING:
    from pymim.views.rectangle import Images


class Partner:
    """Show one of each picture's partners, drawn uniformly at each visit, through `view`.

    `data.Loader.pair` sets the partners, for example for a target that mines neighbours
    (`targets.Neighbours`). The draw is a pure function of (seed, epoch, dataset index, view). The
    partner is in `Batch.drawn` as "partner", int64 [B].

    Args:
        view: how the partner is shown.

    Raises: ValueError if `view` has `like`.
    """

    def __init__(self, view: View):
        if getattr(view, "like", None) is not None:
            raise ValueError(
                "Partner: view: expected one with its own crop, got one with `like`; remove `like`"
            )
        self.view = view
        self.table: NDArray[np.int64] | None = None
        for name in ("size", "channels", "normalise"):
            if hasattr(view, name):
                setattr(self, name, getattr(view, name))

    def pair(self, table: NDArray[np.int64]) -> None:
        """Set the partners of each picture, [N k]."""
        self.table = table

    def partner(self, index: Tensor, draw: Draw | None) -> Tensor:
        """Draw a partner of each picture, int64 [B]. Raises: ConfigError if no partners are set."""
        if self.table is None:
            raise ConfigError(
                "Partner: pairs: expected partners set by Loader.pair, got none; predict a target "
                "that sets them, such as targets.Neighbours, and survey with other views"
            )
        name = named(index, draw)
        chance = philox.uniforms(name._replace(seed=philox.key(name.seed, "partners")), 1)[:, 0, 0]
        column = (chance.astype(np.float64) * self.table.shape[1]).astype(np.int64)
        return torch.from_numpy(self.table[index.numpy(), column].astype(np.int64))

    def __call__(self, images: Images, index: Tensor, draw: Draw | None) -> Tensor:
        return self.view(images, index, draw)

    def drawn(self, images: Images, index: Tensor, draw: Draw | None) -> Drawn:
        """Return what `view` draws for the partners."""
        own: Any = self.view
        return own.drawn(images, index, draw) if hasattr(own, "drawn") else {}

    def show(self, images: Images, index: Tensor, draw: Draw | None, drawn: Drawn) -> Tensor:
        """Return the pixels of the partners."""
        own: Any = self.view
        if hasattr(own, "show"):
            return own.show(images, index, draw, drawn)  # type: ignore[no-any-return]
        return self.view(images, index, draw)
