"""A weighted sum of losses."""

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

MEMORY = 100  # steps that a head's mean loss covers


class Sum(nn.Module):
    """Give sum_i weight_i loss_i [B M]; a loss of the whole batch is added to each patch.

    It keeps the mean loss of each of S heads over the last steps. `best` is the head with the
    lowest, so an evaluation can choose one without labels.

    Args:
        parts: the losses.
        weights: one per part, below 0 for a part that should be large; default: 1 each.
        sets: heads S along M.
        judge: weights for choosing a head; default: `weights`. SCAN (Van Gansbeke et al. 2020)
            learns with entropy at -5 and chooses with -1.

    Raises:
        ValueError: weights are not as many as parts.
        ConfigError: when used: parts want predictions of different widths, a part reduces too
            early, or no part takes what a target passes to the loss.
    """

    means: Float[Tensor, " S"]
    steps: Tensor

    over_batch = ""  # its parts state it

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
                    f"Sum: {name}: expected {len(self.parts)}, one for each part, got "
                    f"{len(given)}; set one number for each part"
                )
        self.modules_of_parts = nn.ModuleList(
            part for part in self.parts if isinstance(part, nn.Module)
        )
        self.together = any(getattr(part, "together", False) for part in self.parts)
        self.register_buffer("means", torch.zeros(sets))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._shown: dict[str, Tensor] = {}

    @property
    def best(self) -> int | None:
        """Give the head with the lowest mean loss; None before the first step."""
        return int(self.means.argmin()) if int(self.steps) else None

    def predicts(self, width: int, encoder: Encoder) -> int:
        """Give the width that the parts want predicted.

        Raises:
            ConfigError: they want different ones.
        """
        wanted = [
            part.predicts(width, encoder) if hasattr(part, "predicts") else width
            for part in self.parts
        ]
        if len(set(wanted)) > 1:
            got = ", ".join(
                f"{_name(part)} {want}" for part, want in zip(self.parts, wanted, strict=True)
            )
            raise ConfigError(
                f"Sum: parts: expected parts that need predictions of one width, got {got}; "
                "sum losses of equal width"
            )
        return wanted[0]

    def build(self, width: int, encoder: Encoder) -> None:
        """Build the parts for the target's width."""
        for part in self.parts:
            if hasattr(part, "build"):
                part.build(width, encoder)

    def forward(self, prediction: Tensor, target: Tensor, **beside: Any) -> Float[Tensor, "B M"]:
        found = [self._part(part, prediction, target, beside) for part in self.parts]
        unread = beside.keys() - {name for part in self.parts for name in _reads(part, beside)}
        if unread:
            raise ConfigError(
                f"Sum: parts: expected a part that takes {', '.join(sorted(unread))}, which the "
                f"target passes on, got {', '.join(map(_name, self.parts))}; add such a part, or "
                "change the target"
            )
        self._shown = {
            _name(part): losses.detach().mean()
            for part, losses in zip(self.parts, found, strict=True)
        }
        if self.training:
            self._remember(found)
        return self._weighted(found, self.weights)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor | Tally]:
        """Give the mean of each part in the last forward pass, and the parts' own gauges."""
        found: dict[str, Tensor | Tally] = dict(self._shown)
        for part in self.parts:
            found |= part.gauges(prediction, target) if hasattr(part, "gauges") else {}
        return found

    def _part(
        self, part: Part, prediction: Tensor, target: Tensor, beside: dict[str, Any]
    ) -> Tensor:
        losses = part(prediction, target, **{name: beside[name] for name in _reads(part, beside)})
        if not getattr(part, "together", False) and losses.shape != prediction.shape[:2]:
            raise ConfigError(
                f"Sum: parts: expected one number per patch, {list(prediction.shape[:2])}, got "
                f"{list(losses.shape)} from {_name(part)}; reduce the last axis only, or set "
                "together = True in the class of a loss of the whole batch"
            )
        return losses

    @torch.no_grad()
    def _remember(self, found: list[Tensor]) -> None:
        """Update the heads' mean losses by this step."""
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
    """Give the names among `beside` that this part takes."""
    if not beside:
        return set()
    call = part.forward if isinstance(part, nn.Module) else part
    return {name for name in beside if name in inspect.signature(call).parameters}


def _forwarded(hook: str) -> Callable[..., None]:
    def call(self: Sum, *arguments: Any) -> None:
        for part in self.parts:
            if hasattr(part, hook) and not isinstance(part, nn.Module):
                getattr(part, hook)(*arguments)

    call.__doc__ = (
        "Call the hook of the parts that are not modules; the method finds modules itself."
    )
    return call


for _hook in HOOKS:
    setattr(Sum, _hook, _forwarded(_hook))
