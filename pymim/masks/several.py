"""Combine policies: a different one for each view, or several masks of one view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from pymim import philox
from pymim.compatible import masks
from pymim.contracts import Draw, Grid, Mask, Policy

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class ByView:
    """Mask view k by `policies[k]`, and further views by `rest`.

    In MSN (Assran et al. 2022) the anchor is masked; target and focal views are whole. Policies
    that draw several masks need the same number of them.

    Args:
        policies: one policy for each of the first views; None hides nothing.
        rest: the policy of all other views; None hides nothing.

    Raises:
        ValueError: policies draw different numbers of masks.
    """

    def __init__(self, policies: Sequence[Policy | None], rest: Policy | None = None):
        self.policies, self.rest = tuple(policies), rest
        counts = {
            getattr(policy, "masks_per_view", 1)
            for policy in (*self.policies, rest)
            if policy is not None
        }
        if len(counts) > 1:
            raise ValueError(
                "ByView: policies: expected the same number of masks from each, got "
                f"{sorted(counts)}; set their masks_per_view to one number"
            )
        self.masks_per_view: int = min(counts, default=1)
        self.ragged = _ragged((*self.policies, rest))

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask | Sequence[Mask | None] | None:
        policy = self.policies[draw.view] if draw.view < len(self.policies) else self.rest
        return None if policy is None else policy(index, grid, draw, difficulty)


class Several:
    """Draw the masks of every policy for each view.

    V-JEPA (Bardes et al. 2024) predicts from two masks of a clip, of short and of long blocks. Each
    policy has its own random stream, so two of a kind differ. The first one draws what it would
    alone.

    Args:
        policies: the policies; None hides nothing.

    Raises:
        ValueError: there is no policy.
    """

    def __init__(self, policies: Sequence[Policy | None]):
        self.policies = tuple(policies)
        self.masks_per_view = sum(_count(policy) for policy in self.policies)
        self.ragged = _ragged(self.policies)
        if not self.masks_per_view:
            raise ValueError(
                "Several: policies: expected one or more, got none; name some, or set mask = None"
            )

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> list[Mask | None]:
        found: list[Mask | None] = []
        for number, policy in enumerate(self.policies):
            drawn = (
                None if policy is None else policy(index, grid, _named(draw, number), difficulty)
            )
            found += masks(drawn, _count(policy))
        return found


def _count(policy: Policy | None) -> int:
    return getattr(policy, "masks_per_view", 1)


def _ragged(policies: Sequence[Policy | None]) -> bool:
    return any(getattr(policy, "ragged", False) for policy in policies)


def _named(draw: Draw, number: int) -> Draw:
    return draw._replace(seed=philox.key(draw.seed, f"mask {number}") % 2**63) if number else draw
