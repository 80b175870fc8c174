"""List what a part may do besides filling its slot.

Pictures, gauges and probes ask for these, never for a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from pymim.contracts.encoded import Branch, Features
from pymim.contracts.inputs import Grid, Mask
from pymim.contracts.run import Run
from pymim.contracts.slots import Encoder

if TYPE_CHECKING:
    from pathlib import Path


class Tally(NamedTuple):
    """A gauge computed from sums over the pieces and processes of a step."""

    sums: Tensor
    of: Callable[[Tensor], Tensor]  # computes the gauge, a scalar, from the sums

    @property
    def value(self) -> Tensor:
        """The gauge of what was counted in this process and piece alone."""
        return self.of(self.sums)


@runtime_checkable
class ShowsPixels(Protocol):
    """A target whose values can be drawn as pixels."""

    patch: tuple[int, ...]

    def to_pixels(self, values: Tensor, view: Tensor, ids: Tensor | None) -> Tensor:
        """Convert values [B M T] to pixels of the patches `ids` [B M]; None: of all patches."""

    def shown(self, view: Tensor) -> Tensor:
        """Return the part of a view [B C *S] that is predicted, such as its last frames."""


@runtime_checkable
class Pastes(Protocol):
    """What a mask drew besides ids (`Mask.extra`) that places a prediction into a picture."""

    def pasted(self, predicted: Tensor, pixels: Tensor) -> Tensor:
        """Combine predicted pixels with those of the view, both [B C *S]."""


@runtime_checkable
class PredictsAll(Protocol):
    """A predictor that can predict visible patches too, for pictures."""

    def predict_all(self, features: Features, mask: Mask, grid: Grid) -> Tensor:
        """Predict every patch in raster order, [B N T]."""


@runtime_checkable
class OverBatch(Protocol):
    """A part whose result for a picture depends on the others in its batch, or piece of a batch.

    over_batch: how, as a clause with "{}" for the number of pictures; "" if it does not.
    """

    over_batch: str


@runtime_checkable
class GivesGauges(Protocol):
    """A target or loss that reports its state as gauges, by name.

    Tallies are summed over the pieces and processes of a step; scalars are averaged. Called after
    the forward pass of each piece; names are the same in every process.
    """

    def gauges(self, prediction: Tensor, target: Tensor) -> Mapping[str, Tensor | Tally]:
        """Return gauges of a prediction [B M T] and its target, by name."""


@runtime_checkable
class AssignsClusters(Protocol):
    """A target, or a loss on its values, that assigns patches to clusters: int64 [B N]."""

    def assignments(self, values: Tensor) -> Tensor:
        """Return the cluster of each patch, int64 [B N]."""


@runtime_checkable
class GivesCodes(Protocol):
    """An encoder whose tokens are codes: a tokenizer. The run reports how it uses them.

    clusters: number K of codes.
    """

    clusters: int

    def codes(self, features: Features) -> Tensor:
        """Return the number of each token's code, int64 [B N], of features that it gave."""

    def pixels(self, ids: Tensor) -> Tensor:
        """Return pixels [* P] of a patch that has this code, channels last, for pictures."""


@runtime_checkable
class KeptElsewhere(Protocol):
    """A module whose tensors come from a file and never change: checkpoints leave them out.

    file: where they come from; None: checkpoints contain them, as they do any other.
    checksum: of the tensors read; "" before. A checkpoint stores it and restores it when loaded;
        `read` then refuses other tensors.
    """

    file: Path | None
    checksum: str

    def check(self) -> None:
        """Check the names and shapes in the file.

        Raises: ConfigError if they do not fit, or the file is missing.
        """

    def read(self) -> None:
        """Read the file, once. Raises: ConfigError as `check` does."""


@runtime_checkable
class KnowsChance(Protocol):
    """A target or loss that knows the loss of a uniform guess."""

    chance: float


@runtime_checkable
class Follows(Protocol):
    """A target that receives the objective's predictor once both are built."""

    def follow(self, predictor: nn.Module) -> None:
        """Meet the predictor."""


@runtime_checkable
class Builds(Protocol):
    """A loss with parts of a size that depends on the width."""

    def build(self, width: int, encoder: Encoder) -> None:
        """Make the parts for targets of this width."""


@runtime_checkable
class WantsWidth(Protocol):
    """A loss that chooses the width to predict."""

    def predicts(self, width: int, encoder: Encoder) -> int:
        """Return the width to predict for targets of this width."""


@runtime_checkable
class Learns(Protocol):
    """A ranker with a loss: one number per patch [B M] of a branch, or None."""

    def loss(self, branch: Branch, losses: dict[str, Tensor]) -> Tensor | None:
        """Return one number per patch [B M]; None if there is nothing to learn."""


@runtime_checkable
class Relabelled(Protocol):
    """A predictor or loss that follows clusters computed between epochs: centroids [S K E]."""

    def relabelled(self, run: Run, centroids: Tensor) -> None:
        """Start from new clusters with these centroids."""
