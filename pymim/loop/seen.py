"""Add up the figures of one step over its pieces and processes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.contracts import Tally
from pymim.measures import mean
from pymim.world import World

if TYPE_CHECKING:
    from jaxtyping import Float


class Seen:
    """Keep sums by name, and at most `rows` tokens by name, picked at random."""

    def __init__(self, rows: int):
        self.rows = rows
        # For each piece: keys in [0, 1), and the picked tokens.
        self.picked: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._tallies: dict[str, Tally] = {}

    def add(self, name: str, gauge: Tensor | Tally, share: float) -> None:
        """Add a tally, or a scalar weighted by its share."""
        more = gauge if isinstance(gauge, Tally) else mean(gauge, share)
        sums = more.sums if name not in self._tallies else self._tallies[name].sums + more.sums
        self._tallies[name] = more._replace(sums=sums)

    def pick(self, name: str, tokens: Float[Tensor, "*n D"]) -> None:
        """Pick tokens of a piece at random: a fixed stride could hit one cell of every picture."""
        flat, pieces = tokens.detach().flatten(0, -2), self.picked.setdefault(name, [])
        generator = torch.Generator().manual_seed(len(pieces))
        order = torch.randperm(len(flat), generator=generator)[: self.rows].to(flat.device)
        keys = torch.arange(len(order), dtype=torch.float64, device=flat.device) / max(1, len(flat))
        pieces.append((keys, flat[order].float()))

    def sample(self, name: str, world: World) -> Float[Tensor, "n D"]:
        """Return the tokens with the smallest keys: each piece and process gives its share."""
        keys, tokens = (torch.cat(parts) for parts in zip(*self.picked[name], strict=True))
        chosen = keys.argsort(stable=True)[: math.ceil(self.rows / world.size)]
        return world.rows(tokens[chosen])

    def totals(self, world: World) -> dict[str, float]:
        """Return each tally's gauge over all processes, without tallies that counted nothing."""
        if not self._tallies:
            return {}
        sums = [tally.sums.double() for tally in self._tallies.values()]
        summed = (
            world.total(torch.cat([each.flatten() for each in sums]))
            .cpu()
            .split([s.numel() for s in sums])
        )
        return {
            name: float(tally.of(part.view(tally.sums.shape)))
            for (name, tally), part in zip(self._tallies.items(), summed, strict=True)
            if part.any()
        }
