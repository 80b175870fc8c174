"""Predict the loss that each patch would have if it were hidden (HPM, Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, given, whole
from pymim.contracts import Batch, Branch, Draw, Encoder, Mask
from pymim.encoders.average import Momentum, followed
from pymim.layers.linear import LinearMean
from pymim.rankers.chosen import chosen
from pymim.rankers.compare import Relative

if TYPE_CHECKING:
    from jaxtyping import Float

    from pymim.objective import Objective

Compare = Callable[[Tensor, Tensor], Tensor]


class PredictedLoss(nn.Module):
    """Learn to predict an objective's losses from the visible patches, and rank patches by the
    prediction.

    A momentum copy, which sees the whole view, predicts the ranking scores [B N] of all patches. A
    score is the mean of the predictor's `width` outputs. Losses are detached, scores are not: their
    gradient reaches the encoder, and the embedding and mask token if these are shared, but nothing
    else of the objective's predictor.

    Args:
        encoder: the method's encoder.
        objectives: the method's objectives.
        predictor: constructor, called with the encoder and `width`; it must predict every patch.
        compare: loss of scores: (scores [B M], losses [B M]) -> [B M]; default: `Relative()`.
        of: name of the objective whose losses are predicted; default: the first. It must be on
            predicted patches.
        share_input: share the objective's embedding, mask token and positions.
        momentum: constructor of the momentum copies; a target's copy of the encoder is reused.
            None: learn, but give no scores, so masks stay uniform (the paper's ablation "loss
            prediction only").
        width: number of outputs; default: width of the objective's target.
        weight: weight of its mean in the loss.

    Raises:
        ValueError: no objective fits, or predictors cannot share.
    """

    def __init__(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        predictor: Callable[..., nn.Module],
        compare: Compare | None = None,
        of: str = "",
        share_input: bool = True,
        momentum: Callable[[nn.Module], Momentum] | None = Momentum,
        width: int | None = None,
        weight: float = 1.0,
    ):
        super().__init__()
        whole(self, 1, **given(width=width))
        finite(self, 0, weight=weight)
        objective = chosen("PredictedLoss", objectives, of)
        self.of, self.compare = objective.name, compare or Relative()
        self.weight = weight
        self.predictor = predictor(encoder, width or objective.target.width)
        # A score is the mean of the outputs. The mean of a linear map is a linear map of one
        # output: the same parameters and gradients, at a fraction of the cost.
        if isinstance(head := getattr(self.predictor, "head", None), nn.Linear):
            self.predictor.head = LinearMean.of(head)
        if share_input:
            self.predictor.share_input(objective.predictor)  # type: ignore[operator]
        self.teacher: Momentum | None = None
        if momentum is not None:
            self.teacher = followed([o.target for o in objectives], encoder) or momentum(encoder)
            self.judge = momentum(self.predictor)

    @torch.no_grad()
    def forward(self, batch: Batch, draw: Draw) -> Float[Tensor, "B N"] | None:
        if self.teacher is None:
            return None
        # The teacher sees every patch, as masks are not drawn yet; the student is trained on
        # visible ones alone. A patch's score is the loss that it would have if it were hidden.
        view = batch.views[draw.view]
        features = self.teacher(view)
        every = torch.arange(features.tokens.shape[1], device=view.device).expand(len(view), -1)
        seen = Mask(every, every[:, :0], every[:, :0])
        grid = self.teacher.module.grid(view.shape)  # type: ignore[operator]
        return _scores(self.judge.module.predict_all(features, seen, grid))  # type: ignore[operator]

    def loss(self, branch: Branch, losses: dict[str, Tensor]) -> Float[Tensor, "B M"] | None:
        if self.of not in losses:
            return None
        scores = _scores(self.predictor(branch.features, branch.mask, branch.grid))
        return self.weight * self.compare(scores, losses[self.of])


def _scores(outputs: Float[Tensor, "B M T"]) -> Float[Tensor, "B M"]:
    """Average the outputs in float32: half precision would tie, and lose small differences."""
    return outputs.float().mean(-1)
