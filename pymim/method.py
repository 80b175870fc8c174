"""A method is an encoder, its masks, and its objectives; and the life of a batch is one forward pass.

Every published method is a filling of these slots: MAE is one objective (pixels, transformer, squared error) on
hidden patches, a clustering method has no mask and an objective on pooled tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from pymim import fit
from pymim.encoders.encoder import Encoder, Features
from pymim.masks.mask import Draw, Grid, Mask, Policy
from pymim.targets.target import Learned

if TYPE_CHECKING:
    from pymim.data.batch import Batch

ON = ("predicted", "visible", "all", "pooled")


class Branch(NamedTuple):
    """One view under one mask, as the encoder saw it."""

    view: int
    grid: Grid
    mask: Mask | None
    features: Features


class Output(NamedTuple):
    """Everything a step made, by name of objective. Losses are one number per patch, and keep their graph."""

    loss: Tensor  # scalar float32
    losses: dict[str, Tensor]  # [B M]; NAME.target: what objective NAME's target learns by; ranker: what it does
    predictions: dict[str, Tensor]  # [B M T]
    targets: dict[str, Tensor]  # [B M T]
    branches: dict[int, Branch]  # by source

    @property
    def mask(self) -> Mask | None:
        """Of the first branch."""
        return next(iter(self.branches.values())).mask

    @property
    def features(self) -> Features:
        """Of the first branch."""
        return next(iter(self.branches.values())).features


class Objective(nn.Module):
    """A target, a predictor of it, and the loss between them.

    Args:
        target: constructor, called with the encoder.
        predictor: constructor, called with the encoder and the target's width.
        loss: (prediction [B M T], target [B M T]) -> [B M], unreduced. One that learns has `build(width)`.
        on: which patches: "predicted" (by the mask), "visible", "all"; or "pooled", one vector per image.
        weight: what its mean counts for in the sum of objectives.
        source: number of the branch that predicts: of the view, where a view has one mask. Of several branches
            (SwAV's crops, Caron et al. 2020) the predictions stand side by side along M.
        to: number of the view that the target looks at.
        name: of its entries in `Output`; by default that of the target's class, in lower case.
    """

    def __init__(
        self,
        target: Callable[..., nn.Module],
        predictor: Callable[..., nn.Module],
        loss: Callable[[Tensor, Tensor], Tensor],
        on: str = "predicted",
        weight: float = 1.0,
        source: int | Sequence[int] = 0,
        to: int = 0,
        name: str = "",
    ):
        super().__init__()
        if on not in ON:
            raise ValueError(f"Objective: on: expected one of {', '.join(ON)}, got {on!r}; name one of them")
        self.loss, self.on, self.weight, self.name = loss, on, weight, name
        self.sources = (source,) if isinstance(source, int) else tuple(source)
        self.target_view = to  # `to` is a method of every module
        self._constructors = target, predictor

    def build(self, encoder: Encoder) -> None:
        """Makes target and predictor to the encoder's measure."""
        target, predictor = self._constructors
        self.target = target(encoder)
        self.predictor = predictor(encoder, self.target.width)
        if hasattr(self.loss, "build"):
            self.loss.build(self.target.width)
        self.name = self.name or type(self.target).__name__.lower()

    def forward(self, batch: Batch, branches: Sequence[Branch]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Losses [B M], prediction and target [B M T], of the branches side by side; and what the target learns by
        [B L], if it does."""
        parts = [self._of(batch, branch) for branch in branches]
        if len(parts) == 1:
            return parts[0]
        *made, own = zip(*parts, strict=True)
        losses, predictions, targets = (torch.cat(part, 1) for part in made)
        return losses, predictions, targets, None if own[0] is None else torch.cat(own, 1)

    def _of(self, batch: Batch, branch: Branch) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        mask = self._asked(branch)
        made = self.target(batch.views, batch.views[self.target_view], mask, batch.index)
        target, own = made if isinstance(made, Learned) else (made, None)
        prediction = self.predictor(branch.features, mask, branch.grid)
        return self.loss(prediction, target), prediction, target, own

    def _asked(self, branch: Branch) -> Mask | None:
        """The branch's mask, its predicted ids those that this objective is on."""
        mask = branch.mask
        if mask is None or self.on in ("predicted", "pooled"):
            return mask
        if self.on == "visible":
            return mask._replace(predicted=mask.visible)
        every = torch.arange(math.prod(branch.grid), device=mask.visible.device)
        return mask._replace(predicted=every.expand(len(mask.visible), -1))


class Method(nn.Module):
    """Encodes each branch that an objective predicts from, once, and sums the objectives' mean losses.

    Args:
        encoder: (view, mask) -> Features.
        objectives: one or several.
        mask: policy; None hides nothing. One with an attribute `draws` = n > 1 returns n masks made together,
            and every view then has n branches: branch k is draw k % n of view k // n.
        ranker: constructor, called with the encoder and the objectives. Called with (view, index, draw) it
            gives the difficulty [B N] or None. If it learns, its `loss(branch, losses)` is one number per patch, or
            None where the branch has nothing for it; `losses` are those of the objectives on this branch alone.
        seed: of the masks.
    """

    def __init__(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        mask: Policy | None = None,
        ranker: Callable[..., nn.Module] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.encoder, self.mask, self.seed = encoder, mask, seed
        self.objectives: Sequence[Objective] = nn.ModuleList(objectives)  # type: ignore[assignment]
        for number, objective in enumerate(objectives):
            objective.build(encoder)
            fit.check(encoder, objective.predictor, objective.on, mask)
            if objective.name in {other.name for other in objectives[:number]}:
                objective.name = f"{objective.name}_{number}"
        self.ranker = None if ranker is None else ranker(encoder, self.objectives)

    def forward(self, batch: Batch, step: int) -> Output:
        branches = self.encode(batch, step)
        losses, predictions, targets, terms = {}, {}, {}, []
        for objective in self.objectives:
            name, seen = objective.name, [branches[source] for source in objective.sources]
            losses[name], predictions[name], targets[name], own = objective(batch, seen)
            terms.append(objective.weight * losses[name].mean())
            if own is not None:
                losses[f"{name}.target"] = own
                terms.append(own.mean())
        if ranked := self._rank(branches, losses):
            losses["ranker"] = torch.cat(ranked, 1)
            terms.append(losses["ranker"].mean())
        loss = torch.stack(terms).sum()
        return Output(loss, losses, predictions, targets, branches)

    def _rank(self, branches: dict[int, Branch], losses: dict[str, Tensor]) -> list[Tensor]:
        """What the ranker learns by, [B M] for each branch that it learns from."""
        if not hasattr(self.ranker, "loss"):
            return []
        found = []
        for source, branch in branches.items():
            own = {o.name: losses[o.name].detach() for o in self.objectives if o.sources == (source,)}
            found.append(self.ranker.loss(branch, own))  # type: ignore[union-attr, operator]
        return [loss for loss in found if loss is not None]

    def encode(self, batch: Batch, step: int) -> dict[int, Branch]:
        """Masks and encodes every branch that an objective predicts from."""
        draws = getattr(self.mask, "draws", 1)
        sources = sorted({source for objective in self.objectives for source in objective.sources})
        masks = {view: self._masks(batch, view, step) for view in {source // draws for source in sources}}
        branches = {}
        for source in sources:
            view, mask = source // draws, masks[source // draws][source % draws]
            features = self.encoder(batch.views[view], mask)
            branches[source] = Branch(view, self.encoder.grid(batch.views[view].shape), mask, features)
        return branches

    def _masks(self, batch: Batch, number: int, step: int) -> Sequence[Mask | None]:
        if self.mask is None:
            return [None]
        view, draw = batch.views[number], Draw(self.seed, step, number)
        difficulty = None if self.ranker is None else self.ranker(view, batch.index, draw)
        drawn = self.mask(batch.index, self.encoder.grid(view.shape), draw, difficulty)
        return [drawn] if isinstance(drawn, Mask) else drawn

    def before_load(self, context: Any) -> None:
        """Lets tables by dataset index take its size, before a checkpoint is loaded into them."""
        self._tell("before_load", context)

    def before_run(self, context: Any) -> None:
        """Lets every part prepare: a pass over the data, a table to load."""
        self._tell("before_run", context)

    def before_epoch(self, context: Any) -> None:
        """Lets every part renew itself, as re-clustering does."""
        self._tell("before_epoch", context)

    def after_forward(self, batch: Batch, output: Output) -> None:
        """Lets banks and memories keep what was made of a batch, or of a piece of one."""
        self._tell("after_forward", batch, output)

    def after_step(self, step: int) -> None:
        """Lets whatever tracks the encoder follow it."""
        self._tell("after_step", self.encoder, step)

    def _tell(self, hook: str, *arguments: Any) -> None:
        """Calls a hook of every module below, however deep, and of losses and the mask; once each."""
        parts = (*self.modules(), *(objective.loss for objective in self.objectives), self.mask)
        for part in dict.fromkeys(parts):
            if part is not self and hasattr(part, hook):
                getattr(part, hook)(*arguments)
