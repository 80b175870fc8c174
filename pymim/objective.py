"""An objective: a target, a predictor of it, and the loss between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite
from pymim.compatible import check_beside
from pymim.contracts import Builds, Encoder, Loss, Made, Pair, Predictor, Source, Target, WantsWidth
from pymim.encoders.ended import Foretold
from pymim.errors import ConfigError
from pymim.schedule import Schedule

if TYPE_CHECKING:
    from pymim.forward import Pass

ON = ("predicted", "visible", "all", "pooled")
PAIRS = ("others", "same", "all")

Sources = int | tuple[int, int]  # a view, with all its masks; or (view, number of the mask)


class Objective(nn.Module):
    """Predict a target from some views, and measure the error.

    Args:
        target: constructor, called with the encoder; or an earlier objective's name, to share its
            target.
        predictor: constructor, called with the encoder and the width to predict; or an earlier
            objective's name.
        loss: (prediction [B M T], target [B M T]) -> [B M], unreduced; see `contracts.Loss`.
        on: which patches: "predicted" (by the mask), "visible", "all"; or "pooled", one vector per
            image.
        weight: of its mean loss in the sum: a number, or a schedule over `steps`. 0 skips it.
        source: the view that predicts, or several; with all its masks, or (view, mask) for one
            mask.
        to: the view or views that the target reads; None: the view that predicts.
        pairs: with several `source` and `to`: "others" (different views), the "same" view, or
            "all".
        tap: predict from the encoder's features after this block (`Encoder.taps`); None: its last.
        group: predict only the patches of one index of the grid's first axis (a modality, a frame).
        after: an earlier objective's name: the predictor reads its prediction, with gradient, in
            place of the encoder's tokens; both are on the same patches.
        steps: of the run, for `weight`.
        name: of its entries in `Output`; by default the target's class in lower case.

    Raises: ValueError or ConfigError for invalid arguments.
    """

    target: Target
    predictor: Predictor

    def __init__(
        self,
        target: Callable[..., nn.Module] | str,
        predictor: Callable[..., nn.Module] | str,
        loss: Loss,
        on: str = "predicted",
        weight: float | Schedule = 1.0,
        source: Sources | Sequence[Sources] = 0,
        to: int | Sequence[int] | None = None,
        pairs: str = "",
        tap: int | None = None,
        group: int | None = None,
        after: str = "",
        steps: int = 0,
        name: str = "",
    ):
        super().__init__()
        finite(self, weight=weight)
        _check_choice("on", on, ON)
        _check_choice("pairs", pairs, ("", *PAIRS))
        self.loss, self.on = loss, on
        self.weight, self.steps = weight, steps
        self.tap, self.group = tap, group
        self.name, self.after = name, after
        self._before: list[Objective] = []  # in a list: it is registered elsewhere
        self.asked_sources: Sequence[Sources] = (
            list(source) if isinstance(source, Sequence) else [source]
        )
        views = (to,) if isinstance(to, int) else to
        self.views = None if views is None else tuple(views)
        several = len(self.asked_sources) > 1 and len(self.views or ()) > 1
        if pairs and not several:
            raise ValueError(
                "Objective: pairs: expected no value unless source and to both name several views, "
                f"got {pairs!r}; leave it out"
            )
        self.choice = pairs or ("others" if several else "all")
        self._constructors = target, predictor
        self._checked = False

    def build(self, encoder: Encoder, earlier: Mapping[str, Objective], masks: int = 1) -> None:
        """Build target and predictor for the encoder's sizes; resolve sources to branches.

        earlier: objectives built before, by name. masks: number of masks of each view.
        Raises: ValueError.
        """
        target, predictor = self._constructors
        if isinstance(target, str):
            self.target = self._shared(target, earlier).target
        else:
            self.target = target(encoder)  # type: ignore[assignment]
        width = getattr(self.target, "width", None)
        if not isinstance(width, int) or width < 1:
            kind = type(self.target).__name__
            raise ValueError(
                f"Objective: target: expected a whole number as {kind}.width, got {width}; "
                "set it in the class"
            )
        wanted = self.loss.predicts(width, encoder) if isinstance(self.loss, WantsWidth) else width
        if isinstance(predictor, str):
            self.predictor = self._shared(predictor, earlier).predictor
        else:
            if self.after:
                self._before = [self._follow(self._shared(self.after, earlier))]
            self.predictor = predictor(self._ended(encoder), wanted)  # type: ignore[assignment]
        self.predicts = wanted
        if isinstance(self.loss, Builds):
            self.loss.build(width, encoder)
        self.name = self.name or type(self.target).__name__.lower()
        self.sources = [
            source for asked in self.asked_sources for source in _resolved(asked, masks)
        ]

    @property
    def before(self) -> Objective | None:
        """The objective whose prediction the predictor reads; None: it reads the encoder."""
        return self._before[0] if self._before else None

    @property
    def over_batch(self) -> str:
        """How patches of a group are averaged: the mask hides another number in each picture."""
        return (
            "patches of a group are averaged over {}"
            if self.group is not None and self.on != "all"
            else ""
        )

    def needed_views(self) -> set[int]:
        """Return the numbers of the views that it needs."""
        return {source.view for source in self.sources} | set(self.views or ())

    def encoded(self) -> set[Source]:
        """Return the branches that predict, and those whose features its target reads."""
        reads = getattr(self.target, "reads", "pixels") != "pixels"
        return {*self.sources, *(Source(view) for view in self.views or () if reads)}

    def forward(self, taken: Pass) -> list[Pair]:
        """Return prediction, target and losses [B M] for every pair of a source and a target view.

        Raises: ConfigError at the first call if the loss has another shape.
        """
        if getattr(self.loss, "together", False):
            return [self._together([self._made(taken, source, to) for source, to in self._pairs()])]
        return [self._pair(taken, source, to) for source, to in self._pairs()]

    def _pair(self, taken: Pass, source: Source, to: int) -> Pair:
        _, _, prediction, target = self._made(taken, source, to)
        losses = self._losses(taken, source, prediction, target)
        return Pair(source, to, prediction.values, target.values, losses)

    def _made(self, taken: Pass, source: Source, to: int) -> tuple[Source, int, Made, Made]:
        target = taken.target(self, source, to)
        return source, to, taken.prediction(self, source), target

    def _pairs(self) -> list[tuple[Source, int]]:
        if self.views is None:
            return [(source, source.view) for source in self.sources]
        every = [(source, to) for source in self.sources for to in self.views]
        if self.choice == "all":
            return every
        return [
            (source, to) for source, to in every if (source.view == to) == (self.choice == "same")
        ]

    def _losses(self, taken: Pass, source: Source, prediction: Made, target: Made) -> Tensor:
        beside = {**target.beside, **prediction.beside}
        if not self._checked:
            check_beside(self, beside)
        losses = self.loss(prediction.values, target.values, **beside)
        if not self._checked:
            self._check(losses, prediction.values)
        mask = taken.asked(self, source)
        given = (
            None if mask is None or self.on == "pooled" else mask.weight,
            target.weight,
            prediction.weight,
        )
        for weight in given:
            # Divide by the mean weight, so that every later mean is over the patches that count.
            if weight is not None:
                losses = losses * (weight / weight.mean().clamp_min(torch.finfo(weight.dtype).tiny))
        return losses

    def _together(self, made: list[tuple[Source, int, Made, Made]]) -> Pair:
        prediction = torch.cat([p.values for _, _, p, _ in made], 1)
        target = torch.cat([t.values for _, _, _, t in made], 1)
        beside = {
            name: value for _, _, p, t in made for name, value in {**t.beside, **p.beside}.items()
        }
        if any(one.weight is not None for _, _, *both in made for one in both):
            kind = type(self.loss).__name__
            raise ConfigError(
                f"Objective {self.name}: loss: expected one number per patch, as the target or the "
                f"predictor weighs patches, got {kind}, which reduces the whole batch; change the "
                "loss, or the target"
            )
        if not self._checked:
            check_beside(self, beside)
            self._checked = True
        losses = self.loss(prediction, target, **beside)
        return Pair(
            made[0][0],
            made[0][1],
            prediction,
            target,
            losses.reshape(1, 1) if losses.ndim == 0 else losses,
        )

    def _check(self, losses: Tensor, prediction: Tensor) -> None:
        kind, wanted = type(self.loss).__name__, list(prediction.shape[:2])
        if not wanted[1]:
            raise ConfigError(
                f"Objective {self.name}: on: expected patches to predict, got none, as the mask "
                "hides nothing; raise its ratio, or set on = 'all'"
            )
        if list(losses.shape) != wanted and not (
            getattr(self.loss, "whole", False) and losses.ndim == 2
        ):
            raise ConfigError(
                f"Objective {self.name}: loss: expected one number per patch, {wanted}, got "
                f"{list(losses.shape)} from {kind}; reduce the last axis only, or set together = "
                "True in a loss that needs the whole batch"
            )
        self._checked = True

    def _ended(self, encoder: Encoder) -> Encoder:
        """Return the encoder as if it ended at the tap. Raises: ValueError if it cannot."""
        tap, kind = self.tap, type(encoder).__name__
        if self.before is not None:
            return Foretold(encoder, self.before.predicts)
        if tap is None:
            return encoder
        taps = tuple(getattr(encoder, "taps", ()))
        if tap not in taps:
            known = ", ".join(map(str, taps)) or "none"
            raise ValueError(
                f"Objective: tap: expected one of {known}, got {tap}; add it to {kind}.taps"
            )
        found = encoder.ended(tap)
        if self.on != "pooled" and found.base != encoder.base:
            raise ValueError(
                f"Objective: tap: expected one with the encoder's grid {encoder.base}, as patches "
                f"are predicted, got {tap} with {found.base}; "
                "set on = 'pooled', or take a tap after the last stride"
            )
        return found

    def _follow(self, earlier: Objective) -> Objective:
        """Refuse what the earlier objective does not predict."""
        mine = self.on, self.group, self.asked_sources, self.tap
        if mine != (earlier.on, earlier.group, earlier.asked_sources, None) or self.on == "pooled":
            raise ValueError(
                f"Objective: after: expected on, group and source as {earlier.name!r} has them, "
                "on patches, and no tap, got others; set them as there"
            )
        return earlier

    def _shared(self, name: str, earlier: Mapping[str, Objective]) -> Objective:
        if name not in earlier:
            known = ", ".join(earlier) or "none"
            raise ValueError(
                "Objective: target, predictor: expected a constructor or an earlier objective's "
                f"name ({known}), got {name!r}; name one, or put that objective first"
            )
        return earlier[name]


def _resolved(source: Sources, masks: int) -> list[Source]:
    if isinstance(source, int):
        return [Source(source, mask) for mask in range(masks)]
    if not 0 <= source[1] < masks:
        raise ValueError(
            f"Objective: source: expected a mask from 0 to {masks - 1}, as the policy's "
            f"masks_per_view is {masks}, got {source}; change source, or masks_per_view"
        )
    return [Source(*source)]


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        known = ", ".join(filter(None, choices))
        raise ValueError(
            f"Objective: {name}: expected one of {known}, got {value!r}; name one of them"
        )
