"""What clusters learn by, and from: scores, their transport, losses and gradients in one pass over a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pymim.clusters.transport import Transport, chunks

if TYPE_CHECKING:
    from jaxtyping import Float


class Clusters(NamedTuple):
    """What scores tokens, scores = tokens weight^T, and how shares and their predictions are made of them."""

    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]
    transport: Transport
    temperature: float
    dtype: torch.dtype  # of the products


def losses(
    tokens: Float[Tensor, "B N D"], clusters: Clusters, earlier: Float[Tensor, "n N D"] | None = None
) -> tuple[Float[Tensor, "B N"], Tensor]:
    """-sum_k shares_k log softmax((scores + bias) / temperature)_k of every token, by which weight and bias learn
    and nothing else does; and the clusters' potentials, as `Transport` gives them.

    Scores are made once, some places at a time, and are gone when their gradients are known. Those are right if all
    losses count alike, as in a mean; where they do not, the backward pass makes everything again.

    earlier: tokens of other images, which take their part in the transport and are not learned from.
    """
    learns, parameters = torch.is_grad_enabled() and clusters.weight.requires_grad, (clusters.weight, clusters.bias)
    made: tuple[Tensor, Tensor] = _Losses.apply(*parameters, tokens.detach(), clusters, learns, earlier)
    return made


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        tokens: Tensor,
        clusters: Clusters,
        learns: bool,
        earlier: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        found = _Pass(tokens, clusters, learns, earlier=earlier)
        ctx.save_for_backward(weight, bias, tokens)
        ctx.clusters, ctx.column, ctx.gradients = clusters, found.column, found.gradients  # of no image's size
        ctx.mark_non_differentiable(found.column)
        return found.losses.T, found.column

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight, bias, tokens), counts = ctx.saved_tensors, grads[0]
        if counts.is_meta or (counts == counts[0, 0]).all():
            return *(gradient * counts[0, 0] for gradient in ctx.gradients), None, None, None, None
        clusters = ctx.clusters._replace(weight=weight, bias=bias)
        return *_Pass(tokens, clusters, True, ctx.column, counts.T).gradients, None, None, None, None


class _Pass:
    """losses [N B], column, and gradients, of weight and bias, of the sum of losses times `counts` [N B]."""

    def __init__(
        self,
        tokens: Tensor,
        clusters: Clusters,
        learns: bool,
        column: Tensor | None = None,
        counts: Tensor | None = None,
        earlier: Tensor | None = None,
    ) -> None:
        self.clusters, self.counts, self.earlier = clusters, counts, earlier
        weight = clusters.weight.to(clusters.dtype)
        places = tokens.transpose(0, 1).to(clusters.dtype).contiguous()
        if column is None and clusters.transport.by == "batch":
            rows = tokens if earlier is None else torch.cat([earlier.to(tokens.dtype), tokens])
            column = clusters.transport(rows.to(clusters.dtype), weight)
        self.losses = tokens.new_empty(places.shape[:2])
        self.gradients = tuple(torch.zeros_like(x) for x in (clusters.weight, clusters.bias)) if learns else ()
        columns, runs = [], [*chunks(tokens, len(weight), 0 if earlier is None else len(earlier))]
        memory = places.new_empty(*places[runs[0]].shape[:2], len(weight))
        for some in runs:
            part = places[some]
            scores = torch.matmul(part, weight.T, out=memory[: len(part)])
            columns.append(self._column(scores, some) if column is None else column[_rows(column, some)])
            self._turn(scores, columns[-1], some, learns)
            if learns:
                self._learn(scores.flatten(0, 1), part.flatten(0, 1))
        self.column = torch.cat(columns) if column is None else column

    def _column(self, scores: Tensor, places: slice) -> Tensor:
        """The clusters' potentials at some places, by scores [n B K] and those of earlier images."""
        if self.earlier is not None:
            earlier = self.earlier[:, places].transpose(0, 1).to(scores.dtype)
            scores = torch.cat([earlier @ self.clusters.weight.to(scores.dtype).T, scores], 1)
        return self.clusters.transport.column(scores)

    def _turn(self, scores: Tensor, column: Tensor, places: slice, learns: bool) -> None:
        """Losses of scores [n B K], which become their gradients: a few at a time, which stay in cache."""
        for some in _blocks(scores):
            block = scores[some].float()
            shares = self.clusters.transport.shares(block, column[_rows(column, some)][:, None])
            logs = block.add(self.clusters.bias).div_(self.clusters.temperature).log_softmax(-1)
            self.losses[places][some] = -(shares * logs).sum(-1)
            if learns:
                made = logs.exp_()
                if self.clusters.transport.mass is not None:  # shares sum to less than 1
                    made.mul_(shares.sum(-1, keepdim=True))
                gradient = made.sub_(shares).div_(self.clusters.temperature)
                scores[some] = gradient if self.counts is None else gradient * self.counts[places][some][..., None]

    def _learn(self, gradient: Tensor, tokens: Tensor) -> None:
        of_weight, of_bias = self.gradients
        if gradient.dtype == torch.float32:
            of_weight.addmm_(gradient.T, tokens)
        else:
            of_weight += gradient.T @ tokens
        of_bias += gradient.sum(0, dtype=torch.float32)


def _rows(column: Tensor, places: slice) -> slice:
    """A column of its own for each place, or one for all."""
    return places if len(column) > 1 else slice(None)


def _blocks(scores: Float[Tensor, "n B K"]) -> Iterator[slice]:
    """Runs of places: on a GPU all, elsewhere of 4 MiB."""
    count = len(scores) if scores.is_cuda else max(1, 2**20 // scores[0].numel())
    return (slice(first, first + count) for first in range(0, len(scores), count))
