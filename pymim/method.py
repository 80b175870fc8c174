"""A method: an encoder, its masks and its objectives. A batch's life is one forward pass.

Every published method fills these slots. MAE is one objective (pixels, transformer, squared error)
on hidden patches; a clustering method has no mask and an objective on pooled tokens. `contracts`
lists what the slots hand on and what a part must have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pymim import compatible
from pymim.checks import seed as seeds
from pymim.contracts import (
    Batch,
    Branch,
    Draw,
    Encoder,
    Follows,
    Learns,
    Mask,
    Output,
    Policy,
    Ranker,
    Run,
    Source,
)
from pymim.errors import ConfigError
from pymim.forward import Pass, side_by_side
from pymim.objective import Objective
from pymim.schedule import at


class Method(nn.Module):
    """Encode each branch an objective predicts from, once, and sum the mean losses.

    Args:
        encoder: (view, mask) -> Features.
        objectives: one or several.
        mask: policy; None hides nothing. With `masks_per_view` = n > 1 each view has n masks and n
            branches.
        ranker: constructor, called with the encoder and the objectives; see `contracts.Ranker`.
        seed: of the masks.
        together: encode all views at once, those of one size as one batch, and project them
            (`encoders.Projected`) as one: batch norms then cover all crops (SwAV and
            DeepCluster-v2, Caron et al. 2020; DINO, Caron et al. 2021; SimCLR, Chen et al. 2020).
            Without batch norms the result is the same, but faster.

    Raises: ValueError if parts do not fit together, such as `together` with a mask or one view.
    """

    def __init__(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        mask: Policy | None = None,
        ranker: Callable[..., nn.Module] | None = None,
        seed: int = 0,
        together: bool = False,
    ):
        super().__init__()
        seeds(self, seed=seed)
        self.together = together
        self.encoder, self.mask = encoder, mask
        self.seed = seed
        self.masks_per_view: int = getattr(mask, "masks_per_view", 1)
        compatible.check_encoder(encoder)
        earlier: dict[str, Objective] = {}
        for number, objective in enumerate(objectives):
            objective.build(encoder, earlier, self.masks_per_view)
            if objective.name in earlier:
                objective.name = f"{objective.name}_{number}"
            earlier[objective.name] = objective
        self.objectives: Sequence[Objective] = nn.ModuleList(objectives)  # type: ignore[assignment]
        self.ranker: Ranker | None = None if ranker is None else ranker(encoder, self.objectives)  # type: ignore[assignment]
        for objective in objectives:
            if isinstance(objective.target, Follows):
                objective.target.follow(objective.predictor)
        compatible.check(self)

    def forward(self, batch: Batch, step: int) -> Output:
        """Encode, predict, compare and rank: return everything a step computes.

        Raises: ConfigError if no objective has a weight above 0, or nothing is predicted.
        """
        active = [o for o in self.objectives if at(o.weight, step, o.steps) != 0]
        taken = self.start(batch, step, active)
        losses, pairs = {}, {}
        terms = []
        for objective in active:
            name, made = objective.name, objective(taken)
            pairs[name], losses[name] = made, side_by_side([pair.losses for pair in made])
            if not losses[name].numel():
                raise ConfigError(
                    f"Objective {name}: on: expected patches to predict at step {step}, got none; "
                    "raise the mask's ratio"
                )
            terms.append(at(objective.weight, step, objective.steps) * losses[name].mean())
        ranked = self._rank(taken.branches, losses)
        own = (
            taken.own_losses()
            | ({"ranker": side_by_side(ranked)} if ranked else {})
            | _of_encoder(taken)
        )
        terms += [value.mean() for value in own.values()]
        return Output(torch.stack(terms).sum(), losses | own, pairs, taken.branches)

    def start(self, batch: Batch, step: int, objectives: Sequence[Objective] | None = None) -> Pass:
        """Begin a forward pass: encode every branch that the objectives predict from.

        objectives: by default all. Raises: ConfigError if none has a weight above 0.
        """
        chosen = self.objectives if objectives is None else objectives
        if not chosen:
            raise ConfigError(
                f"Method: objectives: expected one with a weight above 0 at step {step}, got none; "
                "change a weight"
            )
        sources = sorted({source for objective in chosen for source in objective.sources})
        if self.together:
            return Pass(batch, step, self._together(batch, step, sources, chosen), self.objectives)
        found: dict[int, tuple[list[Mask | None], Draw, Tensor | None]] = {}

        def encode(source: Source) -> Branch:
            if source.view not in found:
                found[source.view] = self._masks(batch, source.view, step)
            masks, draw, difficulty = found[source.view]
            return self._branch(batch, source, masks[source.mask], draw, difficulty)

        return Pass(
            batch, step, {source: encode(source) for source in sources}, self.objectives, encode
        )

    def encode(self, batch: Batch, step: int) -> dict[Source, Branch]:
        """Mask and encode every branch that an objective predicts from."""
        return self.start(batch, step).branches

    def _branch(
        self, batch: Batch, source: Source, mask: Mask | None, draw: Draw, difficulty: Tensor | None
    ) -> Branch:
        view = batch.views[source.view]
        features, grid = self.encoder(view, mask), self.encoder.grid(view.shape)
        return Branch(source, view, batch.index, draw, grid, mask, difficulty, features)

    def _together(
        self, batch: Batch, step: int, sources: Sequence[Source], objectives: Sequence[Objective]
    ) -> dict[Source, Branch]:
        """Encode the sources and the views that targets read features of, all at once."""
        looked = {source for objective in objectives for source in objective.encoded()}
        every = [*sources, *sorted(looked.difference(sources))]
        views = [batch.views[source.view] for source in every]
        found = self.encoder.together(views)
        return {
            source: Branch(
                source,
                view,
                batch.index,
                Draw(self.seed, step, source.view),
                self.encoder.grid(view.shape),
                None,
                None,
                features,
            )
            for source, view, features in zip(every, views, found, strict=True)
        }

    def _masks(
        self, batch: Batch, number: int, step: int
    ) -> tuple[list[Mask | None], Draw, Tensor | None]:
        draw, view = Draw(self.seed, step, number), batch.views[number]
        if self.mask is None:
            return [None], draw, None
        difficulty = None if self.ranker is None else self.ranker(batch, draw)
        drawn = self.mask(batch.named, self.encoder.grid(view.shape), draw, difficulty)
        return compatible.masks(drawn, self.masks_per_view), draw, difficulty

    def _rank(self, branches: dict[Source, Branch], losses: dict[str, Tensor]) -> list[Tensor]:
        """Return the ranker's per-patch losses, one [B M] for each branch it trains on."""
        if not isinstance(self.ranker, Learns):
            return []
        found = []
        for source, branch in branches.items():
            own = {
                o.name: losses[o.name].detach()
                for o in self.objectives
                if o.name in losses and o.sources == [source]
            }
            found.append(self.ranker.loss(branch, own))
        return [loss for loss in found if loss is not None]

    def check_views(self, count: int) -> None:
        """Refuse objectives that need a view the loader does not make. Raises: ConfigError."""
        for objective in self.objectives:
            for view in sorted(objective.needed_views()):
                if not 0 <= view < count:
                    raise ConfigError(
                        f"Objective {objective.name}: source, to: expected views from 0 to "
                        f"{count - 1}, got {view}; add a view to data.Loader.views, or name another"
                    )

    def parts(self) -> Iterator[Any]:
        """Yield every part that may have hooks, once: modules, losses, policies, what they wrap."""
        plain = (
            *(o.loss for o in self.objectives),
            *(o.weight for o in self.objectives),
            self.mask,
        )
        wrapped = (part for root in plain for part in _within(root))
        yield from {
            id(part): part for part in (*self.modules(), *wrapped) if part is not self
        }.values()

    def before_load(self, run: Run) -> None:
        """Resize buffers that have one row per image, so that a checkpoint fits into them."""
        self._call("before_load", run)

    def before_run(self, run: Run) -> None:
        """Let every part prepare: make a pass over the data, read a file."""
        self._call("before_run", run)

    def before_epoch(self, run: Run) -> None:
        """Let every part update what changes between epochs, such as cluster assignments."""
        self._call("before_epoch", run)

    def before_step(self, run: Run) -> None:
        """Let every part update what changes within an epoch."""
        self._call("before_step", run)

    def after_forward(self, batch: Batch, output: Output) -> None:
        """Let banks and memories keep outputs of a batch, or of a piece of one."""
        self._call("after_forward", batch, output)

    def after_step(self, step: int) -> None:
        """Let momentum copies and other parts follow the encoder."""
        self._call("after_step", self.encoder, step)

    def _call(self, hook: str, *arguments: Any) -> None:
        for part in self.parts():
            if hasattr(type(part), hook):  # a module itself searches long for a missing name
                getattr(part, hook)(*arguments)


def _within(part: Any, depth: int = 3) -> Iterator[Any]:
    """Yield a part and, if it is no module, the callables in its attributes, which it wraps."""
    yield part
    if depth and not isinstance(part, nn.Module | Tensor) and hasattr(part, "__dict__"):
        for value in vars(part).values():
            for one in value if isinstance(value, list | tuple) else (value,):
                if callable(one) and not isinstance(one, type):
                    yield from _within(one, depth - 1)


def _of_encoder(taken: Pass) -> dict[str, Tensor]:
    """Return the encoder's own losses, of all branches side by side."""
    found: dict[str, list[Tensor]] = {}
    for branch in taken.branches.values():
        for name, value in branch.features.losses.items():
            found.setdefault(f"encoder.{name}", []).append(value)
    return {name: side_by_side(values) for name, values in found.items()}
