"""Find the objective whose losses train a ranker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymim.objective import Objective


def chosen(ranker: str, objectives: Sequence[Objective], name: str) -> Objective:
    """Give the objective of this name; the first for "".

    Raises:
        ValueError: there is none, or it is not on the predicted patches of one branch.
    """
    objective = next((o for o in objectives if name in ("", o.name)), None)
    if objective is None:
        known = ", ".join(o.name for o in objectives)
        raise ValueError(
            f"{ranker}: of: expected one of the objectives {known}, got {name!r}; name one of them"
        )
    if objective.on != "predicted" or len(objective.sources) > 1:
        where = (
            objective.on if len(objective.sources) == 1 else f"{len(objective.sources)} branches"
        )
        raise ValueError(
            f"{ranker}: of: expected an objective on the predicted patches of one branch, got "
            f"{objective.name} on {where}; set of to another objective, or leave out the ranker"
        )
    return objective
