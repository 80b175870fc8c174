"""Predict cells that are wider or narrower than a patch (LocalMIM, Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pymim.checks import whole
from pymim.contracts import Encoder, Features, Grid, Mask, Predictor, PredictsAll
from pymim.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Float


class Coarser(Predictor):
    """Average a predictor's output over by x by neighbouring patches: [B C T], one per square.

    Gives all squares in raster order, whichever patches are predicted.

    Args:
        encoder: the method's encoder.
        width: width T of the target.
        of: constructor of the inner predictor, called with the encoder and the width. It must
            predict every patch.
        by: patches along a side of a square.

    Raises:
        ConfigError: the predictor cannot predict every patch; when called, `by` does not divide the
            grid.
    """

    reads = "mask"

    def __init__(self, encoder: Encoder, width: int, of: Callable[..., nn.Module], by: int = 2):
        super().__init__()
        whole(self, 1, by=by)
        self.of, self.by = _made(of, encoder, width, "Coarser"), by

    def forward(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B C T"]:  # type: ignore[override]
        if grid[-2] % self.by or grid[-1] % self.by:
            raise ConfigError(
                f"Coarser: by: expected a divisor of the rows and columns of the grid {grid}, "
                f"got {self.by}; change it, or the size of the views"
            )
        cells: Tensor = self.of.predict_all(features, mask, grid).unflatten(1, (-1, *grid[-2:]))
        cells = cells.unflatten(3, (-1, self.by)).unflatten(2, (-1, self.by))
        return cells.mean((3, 5)).flatten(1, 3)


class Finer(Predictor):
    """Predict by x by cells within a patch in two steps, as two transposed convolutions do.

    A predictor gives 2 x 2 vectors for each patch. A norm and GELU follow, and one linear map for
    all four gives by/2 x by/2 cells of each. Cells of a patch follow each other row by row.

    Args:
        encoder: the method's encoder.
        width: T, the width of all cells of a patch together.
        of: constructor of the inner predictor, called with the encoder and the width of the four
            vectors together. It must predict every patch.
        by: cells along a side of a patch, an even number.
        dim: width of one of the four vectors.

    Raises:
        ConfigError: the predictor cannot predict every patch, or `by` does not fit the width.
    """

    reads = "mask"

    def __init__(
        self,
        encoder: Encoder,
        width: int,
        of: Callable[..., nn.Module],
        by: int = 4,
        dim: int = 128,
    ):
        super().__init__()
        whole(self, 2, by=by)
        whole(self, 1, dim=dim)
        if by % 2 or width % by**2:
            raise ConfigError(
                f"Finer: by: expected an even number whose square divides the width {width}, "
                f"got {by}; set the target's number of cells along a side"
            )
        self.of, self.by = _made(of, encoder, 4 * dim, "Finer"), by
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, width // 4)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B M T"]:  # type: ignore[override]
        return self._cells(self.of(features, mask, grid))

    def predict_all(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order."""
        return self._cells(self.of.predict_all(features, mask, grid))

    def _cells(self, vectors: Tensor) -> Tensor:
        quarters = vectors.unflatten(2, (2, 2, -1))  # [B M 2 2 D]
        cells = self.head(nn.functional.gelu(self.norm(quarters)))
        inner: Tensor = cells.unflatten(4, (self.by // 2, self.by // 2, -1))
        return inner.permute(0, 1, 2, 4, 3, 5, 6).flatten(2)


def _made(of: Callable[..., nn.Module], encoder: Encoder, width: int, name: str) -> Any:
    part = of(encoder, width)
    if not isinstance(part, PredictsAll):
        got = type(part).__name__
        raise ConfigError(
            f"{name}: of: expected a predictor that can predict every patch, got {got}; "
            "use predictors.Transformer"
        )
    return part
