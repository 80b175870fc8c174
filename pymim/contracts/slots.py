"""Define what a part of each slot must have, in the order of a batch's life."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from pymim.contracts.encoded import Features
from pymim.contracts.inputs import Batch, Draw, Grid, Mask
from pymim.contracts.predicted import Asked, Made

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from pymim.io import Folder
    from pymim.train import Trainer


class Order(Protocol):
    """Choose the pictures in the global batch of a step, from a source of `length` pictures.

    `at` returns index and visit, int64 [batch] each. What a view draws is named by (seed, visit,
    index), so a picture that repeats looks different.
    """

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Any, Any]:
        """Return index and visit, int64 [batch] each, of the global batch of a step."""


class View(Protocol):
    """Convert pictures to one batch: uint8 or float, [B C H W], or B times [C h w]; clips too.

    index: int64 [B], in the dataset. draw: seed, epoch (as `step`; one number, or one per picture)
        and view.

    Optional: `drawn(images, index, draw) -> dict` and `show(images, index, draw, drawn)`, which
    together do what the call does; `like`, the number of an earlier view of the loader whose
    pictures and `drawn` this view is shown with; `partner(index, draw)`, the pictures int64 [B]
    that it shows instead of the batch's own.
    """

    def __call__(
        self, images: Tensor | list[Tensor], index: Int[Tensor, " B"], draw: Draw | None
    ) -> Float[Tensor, "B C *T h w"]: ...


class Policy(Protocol):
    """Mask a view: choose the hidden patches by a pure function, the same on every device.

    A policy with `masks_per_view` = n > 1 returns n masks drawn together. None hides nothing of
    this view.
    """

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask | Sequence[Mask | None] | None: ...


class Encoder(nn.Module):
    """Encode a view, with a mask or without. Targets and predictors read its sizes when built."""

    width: int  # D
    channels: int
    patch: tuple[int, ...]  # pixels per axis, frames first
    base: Grid  # grid of the views it was built for
    prefix: int  # R
    placed: int = 0  # how many prefix tokens, the last ones, have positions like patches
    taps: tuple[int, ...] = ()  # the blocks or stages, from 1, after which it keeps tokens
    widths: tuple[int, ...] = ()  # of the maps in Features.pyramid, the finest first
    # What hidden patches become. drop: they have no tokens; token: a learned one replaces theirs;
    # add: a learned one is added to theirs; mix: `mask.extra.project` projects all tokens;
    # sparse: convolutions leave them out; altered: pixels are changed; none: it takes no mask.
    hidden: str = "drop"

    @property
    def embedding(self) -> int:
        """Width E of the pooled vector."""
        return self.width

    @property
    def dense(self) -> bool:
        """Whether hidden patches have tokens too."""
        return self.hidden != "drop"

    @property
    def bare(self) -> Encoder:
        """The encoder to export, without what wraps it for training."""
        return self

    @property
    def items(self) -> str:
        """The name of its inputs: images or clips."""
        return "clips" if len(self.patch) == 3 else "images"

    @property
    def traits(self) -> dict[str, str]:
        """Settings that change the features but not the weights' shapes; exported with them."""
        return {}

    @abstractmethod
    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        """Encode the visible patches of a view, or all of them without a mask."""

    def together(self, views: Sequence[Tensor]) -> list[Features]:
        """Encode several views without masks, those of one shape as one batch.

        Batch norms then normalise over all of these views.
        """
        shapes: dict[torch.Size, list[int]] = {}
        for number, view in enumerate(views):
            shapes.setdefault(view.shape[1:], []).append(number)
        found: dict[int, Features] = {}
        for numbers in shapes.values():
            some = [views[number] for number in numbers]
            found |= zip(
                numbers, self(torch.cat(some)).split([len(view) for view in some]), strict=True
            )
        return [found[number] for number in range(len(views))]

    @abstractmethod
    def grid(self, shape: Sequence[int]) -> Grid:
        """Return the patch grid of a view of this shape, [B C *sides]."""

    def ended(self, tap: int) -> Encoder:
        """Return the encoder, as a predictor at this tap sees it: with the sizes at the tap."""
        return self

    def seen(self, view: Float[Tensor, "B C *S"], mask: Mask) -> Tensor | None:
        """Return the pixels that it sees instead of the view's, for drawing.

        None: the view's own pixels, without the hidden ones.
        """


class Target(nn.Module):
    """Compute what an objective predicts. Built by constructor(encoder); fills `Objective.target`.

    reads: "pixels"; "features", of the encoder itself; or "prediction", of an objective's
        predictor.
    graph: whether features and predictions keep their graph.
    """

    width: int  # T
    reads: str = "pixels"
    graph: bool = False

    @abstractmethod
    def forward(self, asked: Asked) -> Tensor | Made:
        """Return values [B M T], or class ids int64 [B M], of the patches in `asked`."""

    def follow(self, predictor: nn.Module) -> None:
        """Receive the objective's predictor once both are built.

        A momentum copy of a head starts here.
        """


class Predictor(nn.Module):
    """Predict the target from the encoder's features. Built by constructor(encoder, width)."""

    # "mask": the positions of tokens and of the patches to predict; "tokens": one token for each
    # patch to predict; "pooled": the pooled vector.
    reads: str

    @abstractmethod
    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Tensor | Made:
        """Return predictions [B M T] of `mask.predicted`, or of all patches if mask is None.

        From the pooled vector: [B S T].
        """


class Loss(Protocol):
    """Compare a prediction with its target: one number per patch, in float32.

    Optional: `build(width, encoder)`, called with the target's width once the predictor is built.
    `predicts(width, encoder)` returns the width to predict, by default the target's. `together =
    True`: the loss needs all pairs at once. It is called once with them side by side along M, and
    may return a scalar. `whole = True`: its numbers [B L] do not belong to patches but, for
    example, to frequencies; it needs all patches, on = "all". A loss with parameters is a module.
    """

    def __call__(self, prediction: Tensor, target: Tensor, *args: Any, **beside: Any) -> Tensor: ...


class Ranker(nn.Module):
    """Score the difficulty of every patch, for masks. Built by constructor(encoder, objectives).

    Optional: `loss(branch, losses)` returns one number per patch [B M], or None if there is nothing
    to learn. `losses` are those of the objectives that predict from this branch alone, by name,
    detached.
    """

    @abstractmethod
    def forward(self, batch: Batch, draw: Draw) -> Float[Tensor, "B N"] | None:
        """Return the difficulty of every patch of view `draw.view`; None without scores yet."""


class Probe(Protocol):
    """Measure what features say about labels. `takes`: pooled, tokens, images or scores."""

    name: str
    takes: str


class Callback(Protocol):
    """Evaluate or draw while a run trains and when it ends; fills `evaluate` and `draw`.

    Optional: `before_run(trainer)`, called before the first step. `again`, with the arguments of
    the call: --mode eval and draw call it instead; it must not overwrite what the run has written.
    """

    def __call__(self, trainer: Trainer, folder: Folder, step: int, /) -> None: ...
