"""A target for losses of whole pictures, such as spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pymim.contracts import Asked, Encoder, Made, ShowsPixels, Target

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Whole(Target):
    """Give the values of target `of` [B M T], and tell the loss how to put patches together.

    The loss is also called with `grid` and `patch` of the predicted pixels, and with `extra`, what
    the mask drew besides ids.

    Args:
        encoder: the method's encoder; gives the grid.
        of: constructor of a target that shows pixels: `targets.Pixels`.

    Raises:
        ValueError: the target does not show pixels.
    """

    of: Any

    def __init__(self, encoder: Encoder, of: Callable[[Encoder], nn.Module]):
        super().__init__()
        inner = of(encoder)
        if not isinstance(inner, ShowsPixels):
            kind = type(inner).__name__
            raise ValueError(
                f"Whole: of: expected a target of pixels, got {kind}; use targets.Pixels"
            )
        self.of, self._grid = inner, encoder.grid
        self.width, self.patch = self.of.width, self.of.patch

    def forward(self, asked: Asked) -> Made:
        values: Tensor = self.of(asked)
        extra = None if asked.mask is None else asked.mask.extra
        beside = {"grid": self._grid(asked.view.shape), "patch": self.patch, "extra": extra}
        return Made(values, beside=beside)

    def to_pixels(
        self,
        values: Float[Tensor, "B M T"],
        view: Float[Tensor, "B C *S"],
        ids: Int[Tensor, "B M"] | None,
    ) -> Float[Tensor, "B M T"]:
        """Turn values into pixels, as `of` does."""
        pixels: Tensor = self.of.to_pixels(values, view, ids)
        return pixels

    def shown(self, view: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *R"]:
        """Give the frames of a view that are predicted, as `of` does."""
        shown: Tensor = self.of.shown(view)
        return shown
