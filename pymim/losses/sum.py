"""A loss of several, each with its weight."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pymim.checks import finite, whole
from pymim.contracts import HOOKS, Encoder, Tally
from pymim.contracts import Loss as Part
from pymim.errors import ConfigError
from pymim.losses.agreement import of_heads

if TYPE_CHECKING:
    from jaxtyping import Float

MEMORY = 100  # steps that the mean loss of a head goes back


class Sum(nn.Module):
    """sum_i weight_i loss_i, one number per patch; a loss of the whole batch counts in each.

    Of S heads it remembers the mean loss over the last steps, and `best` is the head of the lowest, so that an
    evaluation can choose one without labels.

    Args:
        parts: losses. weights: one for each; below 0 for what is to be made large.
        sets: S, heads side by side along M.
        judge: weights of the parts for choosing a head, by default `weights`. SCAN (Van Gansbeke et al. 2020)
            learns with entropy at -5 and chooses with -1.

    Raises: ValueError where weights are not as many as parts; ConfigError, once they are used, where parts want
    predictions of different widths, a part reduces too early, or none takes what a target hands on.
    """

    means: Float[Tensor, " S"]
    steps: Tensor

    over_batch = ""  # its parts say it

    def __init__(
        self,
        parts: Sequence[Part],
        weights: Sequence[float] = (),
        sets: int = 1,
        judge: Sequence[float] = (),
    ):
        super().__init__()
        whole(self, 1, sets=sets)
        finite(self, weights=weights, judge=judge)
        self.parts, self.sets = list(parts), sets
        self.weights = tuple(weights) or (1.0,) * len(self.parts)
        self.judge = tuple(judge) or self.weights
        for name, given in (("weights", self.weights), ("judge", self.judge)):
            if len(given) != len(self.parts) or not self.parts:
                raise ValueError(
                    f"Sum: {name}: expected one for each of {len(self.parts)} parts, got {len(given)}; give as many"
                )
        self.modules_of_parts = nn.ModuleList(part for part in self.parts if isinstance(part, nn.Module))
        self.together = any(getattr(part, "together", False) for part in self.parts)
        self.register_buffer("means", torch.zeros(sets))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._shown: dict[str, Tensor] = {}

    @property
    def best(self) -> int | None:
        """The head of the lowest mean loss; None before the first step."""
        return int(self.means.argmin()) if int(self.steps) else None

    def predicts(self, width: int, encoder: Encoder) -> int:
        """Give the width that the parts want predicted. Raises ConfigError where they differ."""
        wanted = [part.predicts(width, encoder) if hasattr(part, "predicts") else width for part in self.parts]
        if len(set(wanted)) > 1:
            told = ", ".join(f"{_name(part)} {want}" for part, want in zip(self.parts, wanted, strict=True))
            raise ConfigError(f"Sum: parts: expected predictions of one width, got {told}; sum losses that agree")
        return wanted[0]

    def build(self, width: int, encoder: Encoder) -> None:
        """Build the parts to the target's width."""
        for part in self.parts:
            if hasattr(part, "build"):
                part.build(width, encoder)

    def forward(self, prediction: Tensor, target: Tensor, **beside: Any) -> Float[Tensor, "B M"]:
        found = [self._part(part, prediction, target, beside) for part in self.parts]
        unread = beside.keys() - {name for part in self.parts for name in _reads(part, beside)}
        if unread:
            raise ConfigError(
                f"Sum: parts: expected one that takes {', '.join(sorted(unread))}, as the target hands it on, got "
                f"{', '.join(map(_name, self.parts))}; add one, or change the target"
            )
        self._shown = {_name(part): losses.detach().mean() for part, losses in zip(self.parts, found, strict=True)}
        if self.training:
            self._remember(found)
        return self._weighted(found, self.weights)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor | Tally]:
        """Give the mean of each part in the last piece, and the parts' own gauges."""
        found: dict[str, Tensor | Tally] = dict(self._shown)
        for part in self.parts:
            found |= part.gauges(prediction, target) if hasattr(part, "gauges") else {}
        return found

    def _part(self, part: Part, prediction: Tensor, target: Tensor, beside: dict[str, Any]) -> Tensor:
        losses = part(prediction, target, **{name: beside[name] for name in _reads(part, beside)})
        if not getattr(part, "together", False) and losses.shape != prediction.shape[:2]:
            raise ConfigError(
                f"Sum: parts: expected one number per patch, {list(prediction.shape[:2])}, got "
                f"{list(losses.shape)} from {_name(part)}; reduce the last axis only, or say together = True on "
                "a loss of the whole batch"
            )
        return losses

    @torch.no_grad()
    def _remember(self, found: list[Tensor]) -> None:
        """Take this step into the mean losses of the heads."""
        losses = self._weighted(found, self.judge)
        if losses.ndim == 2 and losses.shape[1] % self.sets == 0:
            self.steps += 1
            self.means.lerp_(of_heads(losses, self.sets), 1 / self.steps.clamp_max(MEMORY))

    def _weighted(self, found: list[Tensor], weights: Sequence[float]) -> Tensor:
        total: Tensor = sum(weight * losses for weight, losses in zip(weights, found, strict=True))  # type: ignore[assignment]
        return total


def _name(part: Part) -> str:
    return type(part).__name__.lower()


def _reads(part: Part, beside: dict[str, Any]) -> set[str]:
    """Which of what a target hands on this part takes."""
    if not beside:
        return set()
    call = part.forward if isinstance(part, nn.Module) else part
    return {name for name in beside if name in inspect.signature(call).parameters}


def _forwarded(hook: str) -> Callable[..., None]:
    def call(self: Sum, *arguments: Any) -> None:
        for part in self.parts:
            if hasattr(part, hook) and not isinstance(part, nn.Module):
                getattr(part, hook)(*arguments)

    call.__doc__ = "Call the hook of the parts that are no modules: those are found without."
    return call


for _hook in HOOKS:
    setattr(Sum, _hook, _forwarded(_hook))
