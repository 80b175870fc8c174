"""Define what a method is given: a batch, its random draws and its masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Grid = tuple[int, ...]  # (rows, columns) or (frames, rows, columns), in patches


class Draw(NamedTuple):
    """Name one random draw. With an image's dataset index it determines its mask and view."""

    seed: int
    step: int
    view: int = 0


class Batch(NamedTuple):
    """Images or clips, in one or several views.

    notes: arrays that came with the pictures, by name, first axis B: time, ground distance, boxes.
    drawn: what each view drew, by name, first axis B: "box" is top, left, height and width of the
        crop in the picture's pixels (a negative width: mirrored).
    stream: what masks are drawn by, if not the index: a picture that repeats in the global batch
        has another number each time, whatever process or piece it is in.
    """

    views: list[Tensor]  # float32 [B C H W] or [B C T H W], normalised
    index: Tensor  # type: ignore[assignment] # int64 [B], the dataset index
    label: Tensor  # int64 [B], -1 for none
    notes: dict[str, Tensor] = {}  # noqa: RUF012 - never changed
    drawn: Sequence[dict[str, Tensor]] = ()
    stream: Tensor | None = None  # int64 [B], below 2^40

    @property
    def named(self) -> Tensor:
        """The numbers that masks are drawn by, int64 [B]."""
        return self.index if self.stream is None else self.stream

    def to(self, device: torch.device) -> Batch:
        """Move the batch to `device`, without waiting if it is in pinned memory."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply `function` to every tensor."""
        notes = {name: function(note) for name, note in self.notes.items()}
        drawn = [{name: function(value) for name, value in each.items()} for each in self.drawn]
        views = [function(view) for view in self.views]
        stream = None if self.stream is None else function(self.stream)
        return Batch(views, function(self.index), function(self.label), notes, drawn, stream)

    def split(self, size: int) -> list[Batch]:
        """Cut the batch into pieces of at most `size` images."""
        firsts = range(0, len(self.index), size)
        return [self.map(lambda tensor, at=first: tensor[at : at + size]) for first in firsts]  # type: ignore[misc]


class Mask(NamedTuple):
    """Three lists of patch ids. Visible and hidden ids ascend; counts are equal over the batch.

    weight: how much each predicted patch counts in the mean loss; 0 leaves it out; None: all
        equally.
    groups: the predicted ids are this many runs of equal length, predicted apart from each other.
    extra: what a policy draws besides ids: kept frequencies, a random projection, replaced patches.
    """

    visible: Int[Tensor, "B V"]
    hidden: Int[Tensor, "B H"]
    predicted: Int[Tensor, "B M"]
    weight: Float[Tensor, "B M"] | None = None
    groups: int = 1
    extra: Any = None

    def boolean(self, patches: int) -> Bool[Tensor, "B N"]:
        """Return True at hidden patches."""
        hidden = torch.zeros(len(self.hidden), patches, dtype=torch.bool, device=self.hidden.device)
        return hidden.scatter_(1, self.hidden, True)

    @property
    def predicts_all_hidden(self) -> bool:
        """Whether `predicted` is the same tensor as `hidden`."""
        return self.predicted is self.hidden
