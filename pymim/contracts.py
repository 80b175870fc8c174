"""The extension guide: what the slots hand on, and what a part that fills a slot must have.

A part is any object with the members listed here. Inherit from the class of its slot, or write a
class with the same members. `Method` checks every part once, when it is built.

Axes: B images, N patches, V visible, M predicted, D width, T target width, K clusters, R prefix
tokens, C channels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Bool, Float, Int

Grid = tuple[int, ...]  # (rows, columns) or (frames, rows, columns), in patches

# What is handed on, in the order of a batch's life.


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


class Features(NamedTuple):
    """The features of a view. V = N if every patch has a token.

    ids: the patches that the tokens belong to; None: all, in raster order.
    taps: prefix and tokens [B R+V D] after the requested blocks, before the norm.
    losses: the encoder's own losses, each [B L]; their means are added to the loss.
    """

    tokens: Float[Tensor, "B V D"]
    prefix: Float[Tensor, "B R D"]  # class token, then registers; R may be 0
    taps: dict[int, Tensor]
    pooled: Float[Tensor, "B E"]
    pyramid: tuple[Tensor, ...] = ()  # maps [B D h w] of convolutional stages, the finest first
    ids: Int[Tensor, "B V"] | None = None
    losses: dict[str, Tensor] = {}  # noqa: RUF012 - never changed

    def at(self, tap: int | None) -> Features:
        """Return the features as if the encoder ended at this tap; `pooled` is the tokens' mean.

        Raises: ValueError if the encoder does not keep this tap.
        """
        if tap is None:
            return self
        if tap not in self.taps:
            known = ", ".join(map(str, self.taps)) or "none"
            raise ValueError(
                f"Features.at: tap: expected one of {known}, got {tap}; "
                "add it to the encoder's taps"
            )
        prefix, tokens = self.taps[tap].tensor_split((self.prefix.shape[1],), 1)
        return self._replace(tokens=tokens, prefix=prefix, pooled=tokens.mean(1))

    def detach(self) -> Features:
        """Return the same features without a graph."""
        taps = {number: tap.detach() for number, tap in self.taps.items()}
        pyramid = tuple(level.detach() for level in self.pyramid)
        parts = self.tokens.detach(), self.prefix.detach(), taps, self.pooled.detach(), pyramid
        return Features(*parts, self.ids)

    def split(self, counts: Sequence[int]) -> list[Features]:
        """Split the batch into features of `counts` images each."""
        return [
            self._of(slice(first, last)) for first, last in pairwise(accumulate(counts, initial=0))
        ]

    def _of(self, images: slice) -> Features:
        taps = {number: tap[images] for number, tap in self.taps.items()}
        losses = {name: loss[images] for name, loss in self.losses.items()}
        pyramid = tuple(level[images] for level in self.pyramid)
        ids = None if self.ids is None else self.ids[images]
        parts = self.tokens[images], self.prefix[images], taps, self.pooled[images], pyramid
        return Features(*parts, ids, losses)


class Source(NamedTuple):
    """Name one branch: a view, and which of its masks."""

    view: int
    draw: int = 0


class Branch(NamedTuple):
    """One view under one mask, as the encoder saw it."""

    source: Source
    view: Tensor
    index: Int[Tensor, " B"]  # type: ignore[assignment]
    draw: Draw  # names the seed and the step
    grid: Grid
    mask: Mask | None
    difficulty: Float[Tensor, "B N"] | None  # with its graph
    features: Features


class Asked(NamedTuple):
    """What an objective asks its target: the values to predict of one view.

    mask: `mask.predicted` are the patches to give; None: all of them, or the pooled image.
    branch: the encoder's own of this view, without a graph unless the target sets `graph`; None if
        the target reads pixels.
    predict: predict(name) is the prediction of an objective from that branch, by default this
        one's.
    grid: of the view that predicts, which the ids refer to.
    """

    batch: Batch
    number: int  # of the view
    mask: Mask | None
    step: int
    branch: Branch | None = None
    predict: Callable[..., Tensor] | None = None
    grid: Grid | None = None

    @property
    def view(self) -> Tensor:
        """The pixels, [B C *S]."""
        return self.batch.views[self.number]

    @property
    def index(self) -> Tensor:  # type: ignore[override]
        """The dataset index, int64 [B]."""
        return self.batch.index

    @property
    def ids(self) -> Tensor | None:
        """The patches to give, [B M]; None: all."""
        return None if self.mask is None else self.mask.predicted


class Made(NamedTuple):
    """What a target or a predictor may return instead of plain values.

    weight: how much each patch counts, times the mask's. beside: further arguments of the loss, by
        name.
    losses: the part's own losses: one number per patch [B L], added by its mean and logged.
    """

    values: Tensor  # [B M T], or ids of classes, int64 [B M]
    losses: Float[Tensor, "B L"] | None = None
    weight: Float[Tensor, "B M"] | None = None
    beside: Mapping[str, Any] = {}


class Pair(NamedTuple):
    """One prediction, its target, and the losses between them."""

    source: Source
    to: int
    prediction: Tensor  # [B M T]
    target: Tensor  # [B M T] or ids [B M]
    losses: Tensor  # [B M]; [1 1] if the loss reduces the whole batch


class Output(NamedTuple):
    """Everything a step computed, by name of objective."""

    loss: Tensor  # scalar float32
    losses: dict[str, Tensor]  # [B M], with graph; parts' own: NAME.target, encoder.NAME, ranker
    pairs: dict[str, list[Pair]]
    branches: dict[Source, Branch]

    @property
    def predictions(self) -> dict[str, Tensor]:
        """The predictions of every pair side by side, [B M T]."""
        return {
            name: torch.cat([p.prediction for p in pairs], 1)
            for name, pairs in self.pairs.items()
            if pairs
        }

    @property
    def targets(self) -> dict[str, Tensor]:
        """The targets of every pair side by side, [B M T] or [B M]."""
        return {
            name: torch.cat([p.target for p in pairs], 1)
            for name, pairs in self.pairs.items()
            if pairs
        }

    @property
    def mask(self) -> Mask | None:
        """The first branch's mask."""
        return next(iter(self.branches.values())).mask

    @property
    def features(self) -> Features:
        """The first branch's features."""
        return next(iter(self.branches.values())).features


class Tally(NamedTuple):
    """A gauge computed from sums over the pieces and processes of a step."""

    sums: Tensor
    of: Callable[[Tensor], Tensor]  # computes the gauge, a scalar, from the sums

    @property
    def value(self) -> Tensor:
        """The gauge of what was counted in this process and piece alone."""
        return self.of(self.sums)


# What a run offers to the hooks, and the hooks.


class Run(Protocol):
    """What a hook may use of the run that calls it. `Trainer` is one."""

    step: int  # steps done
    steps: int
    seed: int
    batch: int
    # data.Loader: source, steps_per_epoch, regroup(groups), pair(table), in_order(views, batch)
    loader: Any
    method: Any
    world: Any  # World: rank, size, device, group, leads, heed()

    @property
    def epoch(self) -> float:
        """Passes over the training set so far: images seen, divided by its pictures."""

    def forget(self, parameters: Iterable[nn.Parameter]) -> None:
        """Drop the optimiser's state of these parameters."""

    def report(self, name: str, **facts: float) -> None:
        """Write a row of facts to NAME.jsonl in the run's folder, and print it."""


class Hooks:
    """All hooks, doing nothing. A part inherits this, or defines the hooks it needs.

    A method that begins with before_ or after_ and is none of these is refused when the method is
    built.
    """

    def before_load(self, run: Run) -> None:
        """Resize buffers that have one row per image, so that a checkpoint fits into them."""

    def before_run(self, run: Run) -> None:
        """Prepare: read a file, make a pass over the data. The weights are the run's first ones."""

    def before_epoch(self, run: Run) -> None:
        """Update what changes between epochs, such as cluster assignments.

        Called every `loader.steps_per_epoch` steps, the whole steps of a pass over the training
        set, so `run.epoch` need not be a whole number.
        """

    def before_step(self, run: Run) -> None:
        """Update what changes within an epoch."""

    def after_forward(self, batch: Batch, output: Output) -> None:
        """Keep something of the output of a batch, or of a piece of one."""

    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Follow the encoder after the optimiser's step, as a momentum copy does."""


HOOKS = tuple(name for name in vars(Hooks) if name.startswith(("before_", "after_")))

# The slots.


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

    A policy with `draws` = n > 1 returns n masks drawn together. None hides nothing of this view.
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


class Look(Protocol):
    """Called while a run trains and when it ends: an evaluation, pictures, samples.

    A method `again` with the same arguments is called by --mode eval instead; it must not overwrite
    what the run has written.
    """

    def __call__(self, run: Any, folder: Any, step: int) -> None: ...


# What a part may do besides. Pictures, gauges and probes ask for these, never for a class.


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
class PredictsEverywhere(Protocol):
    """A predictor that can predict visible patches too, for pictures."""

    def everywhere(self, features: Features, mask: Mask, grid: Grid) -> Tensor:
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
