"""Run one forward pass: each prediction and each target of a batch is computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.contracts import Asked, Batch, Branch, Features, Made, Mask, Source
from pymim.errors import ConfigError

if TYPE_CHECKING:
    from pymim.objective import Objective


class Pass:
    """Hold what has been computed of a batch so far.

    encode: encodes a source that no objective predicts from.
    """

    def __init__(
        self,
        batch: Batch,
        step: int,
        branches: dict[Source, Branch],
        objectives: Sequence[Objective],
        encode: Callable[[Source], Branch] | None = None,
    ):
        self.batch, self.step = batch, step
        self.branches = branches
        self.objectives, self.encode = objectives, encode
        self._learns = torch.is_grad_enabled()
        self._masks: dict[Any, Mask | None] = {}
        self._predictions: dict[Any, Made] = {}
        self._targets: dict[Any, Made] = {}

    def prediction(self, objective: Objective, source: Source) -> Made:
        """Return the objective's prediction from a branch."""
        read = objective.tap, objective.after
        key = id(objective.predictor), source, read, _places(objective, source)
        if key not in self._predictions:
            features, grid = self._read(objective, source), self.branches[source].grid
            made = objective.predictor(features, self.asked(objective, source), grid)
            self._predictions[key] = made if isinstance(made, Made) else Made(made)
        return self._predictions[key]

    def _read(self, objective: Objective, source: Source) -> Features:
        """Return what the predictor reads: the encoder's features, or an earlier prediction."""
        if objective.before is None:
            return self.branches[source].features.at(objective.tap)
        tokens, mask = (
            self.prediction(objective.before, source).values,
            self.asked(objective, source),
        )
        ids = None if mask is None else mask.predicted
        return Features(tokens, tokens[:, :0], {}, tokens.mean(1), ids=ids)

    def target(self, objective: Objective, source: Source, to: int) -> Made:
        """Return the objective's target of view `to`, for the patches that `source` predicts."""
        key = id(objective.target), to, _places(objective, source)
        if key not in self._targets:
            target = objective.target
            mask = None if objective.on == "pooled" else self.asked(objective, source)
            branch, predict = None, None
            if getattr(target, "reads", "pixels") != "pixels":
                keeps = getattr(target, "graph", False)
                branch = self._branch(Source(to), keeps)
                predict = self._predicting(objective, Source(to), keeps)
            grid = self.branches[source].grid
            made = target(Asked(self.batch, to, mask, self.step, branch, predict, grid))
            self._targets[key] = made if isinstance(made, Made) else Made(made)
        return self._targets[key]

    def own_losses(self) -> dict[str, Tensor]:
        """Return own losses of targets and predictors, by the first objective that uses them."""
        found: dict[int, tuple[str, list[Tensor]]] = {}
        for part, made in (("target", self._targets), ("predictor", self._predictions)):
            for key, one in made.items():
                if one.losses is not None:
                    owner = next(o.name for o in self.objectives if id(getattr(o, part)) == key[0])
                    found.setdefault(key[0], (f"{owner}.{part}", []))[1].append(one.losses)
        return {name: side_by_side(losses) for name, losses in found.values()}

    def asked(self, objective: Objective, source: Source) -> Mask | None:
        """Return the branch's mask with `predicted` set to the patches the objective is on."""
        key = source, objective.on, objective.group
        if key not in self._masks:
            branch = self.branches[source]
            self._masks[key] = _asked(branch, objective.on, objective.group)
        return self._masks[key]

    def _branch(self, source: Source, graph: bool) -> Branch:
        if source not in self.branches:
            assert self.encode is not None, "an objective looks at a view that nothing encodes"
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                self.branches[source] = self.encode(source)
        branch = self.branches[source]
        return branch if graph else branch._replace(features=branch.features.detach())

    def _predicting(
        self, objective: Objective, source: Source, graph: bool
    ) -> Callable[..., Tensor]:
        def predict(name: str = "") -> Tensor:
            chosen = (
                next((o for o in self.objectives if o.name == name), None) if name else objective
            )
            if chosen is None:
                known = ", ".join(o.name for o in self.objectives)
                raise ConfigError(
                    f"Objective: predict: expected one of {known}, got {name!r}; name an objective"
                )
            # The target runs without gradients, but the objective that shares this learns from it.
            with torch.set_grad_enabled(self._learns):
                values = self.prediction(chosen, source).values
            return values if graph else values.detach()

        return predict


def side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors [B M *] along M; a single tensor stays as it is."""
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), 1)


def _places(objective: Objective, source: Source) -> Any:
    """Return a key for the patches that are predicted."""
    if objective.on == "pooled":
        return "pooled"
    if objective.on == "all" and objective.group is None:
        return "all"
    return objective.on, objective.group, source


def _asked(branch: Branch, on: str, group: int | None) -> Mask | None:
    mask = branch.mask
    if group is not None:
        return _of_group(branch, on, group)
    if mask is None or on in ("predicted", "pooled"):
        return mask
    if on == "visible":
        return mask._replace(predicted=mask.visible, weight=None, groups=1)
    every = torch.arange(math.prod(branch.grid), device=mask.visible.device)
    return mask._replace(predicted=every.expand(len(mask.visible), -1), weight=None, groups=1)


def _of_group(branch: Branch, on: str, group: int) -> Mask | None:
    """Predict every patch of one group, weighted, as hidden patches may differ by image."""
    count, *inner = branch.grid
    if not 0 <= group < count or not inner or branch.mask is None:
        raise ConfigError(
            f"Objective: group: expected 0 to {count - 1}, on the first axis of the grid "
            f"{branch.grid} of a masked view, got {group}; change the group, or the encoder's patch"
        )
    size, mask = math.prod(inner), branch.mask
    ids = torch.arange(group * size, (group + 1) * size, device=mask.visible.device).expand(
        len(mask.visible), -1
    )
    hidden = mask.boolean(count * size)[:, group * size : (group + 1) * size]
    counted = hidden if on == "predicted" else ~hidden
    weight = None if on == "all" else counted.float()
    return mask._replace(predicted=ids, weight=weight, groups=1)
