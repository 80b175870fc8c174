"""The clustering loss of `Online` and its gradient, in one pass over chunks of places: scores,
Sinkhorn, cross-entropy.

The plain form is a few lines: scores = tokens W'; shares = transport(scores); the loss is the
cross-entropy of the shares with log softmax((scores + bias) / temperature). Its autograd keeps
several tensors of [B N K]. Here a chunk's scores are turned into their own gradient in place, so
one buffer of a chunk suffices. That takes half the time and memory of the plain form, in a target
that is 57 % of CAPI's step. tests/targets/test_online.py has the plain form in ten lines (`plain`),
and holds values and gradients of this one to it.
"""

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
    """Prototypes that score tokens, scores = tokens weight^T, and how scores become shares and
    predictions.
    """

    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]
    transport: Transport
    temperature: float
    dtype: torch.dtype  # dtype of the matrix products


def losses(
    tokens: Float[Tensor, "B N D"],
    clusters: Clusters,
    earlier: Float[Tensor, "n N D"] | None = None,
) -> tuple[Float[Tensor, "B N"], Tensor]:
    """Give every token's loss [B N], and the clusters' potentials as `Transport` gives them.

    The loss is -sum_k shares_k log softmax((scores + bias) / temperature)_k. Only weight and bias
    learn from it: tokens and shares are constants.

    Gradients are computed in the forward pass, while a chunk's scores exist. They are right if all
    losses have the same weight, as in a mean. Otherwise the backward pass computes everything
    again.

    Args:
        tokens: unit vectors of all patches.
        clusters: prototypes and how they are used.
        earlier: tokens of earlier images. They take part in the transport, and have no loss.
    """
    learns = torch.is_grad_enabled() and clusters.weight.requires_grad
    parameters = clusters.weight, clusters.bias
    made: tuple[Tensor, Tensor] = _Losses.apply(
        *parameters, tokens.detach(), clusters, learns, earlier
    )
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
        # None of these grows with the number of images, so keeping them costs little.
        ctx.clusters, ctx.column = clusters, found.column
        ctx.gradients = found.gradients
        ctx.mark_non_differentiable(found.column)
        return found.losses.T, found.column

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (*parameters, tokens), counts = ctx.saved_tensors, grads[0]
        # A mean gives every loss the same factor: scale the gradients of the forward pass, which
        # are there already. Other weights need the scores again, which nobody kept: pass again,
        # with the same potentials.
        if counts.is_meta or (counts == counts[0, 0]).all():
            return *(gradient * counts[0, 0] for gradient in ctx.gradients), None, None, None, None
        clusters = ctx.clusters._replace(weight=parameters[0], bias=parameters[1])
        again = _Pass(tokens, clusters, True, ctx.column, counts.T)
        return *again.gradients, None, None, None, None


class _Pass:
    """Run the fused pass; the constructor does all the work.

    Sets `losses` [N B], `column` (the potentials), and `gradients`: of weight and bias, for the sum
    of losses times `counts` [N B] (None: 1).

    Args:
        tokens: unit vectors [B N D].
        clusters: prototypes and how they are used.
        learns: compute gradients.
        column: potentials that are known already, as in the second pass; None: compute them.
        counts: weight of each loss; None: 1.
        earlier: tokens of earlier images [n N D], for the transport.
    """

    def __init__(
        self,
        tokens: Tensor,
        clusters: Clusters,
        learns: bool,
        column: Tensor | None = None,
        counts: Tensor | None = None,
        earlier: Tensor | None = None,
    ) -> None:
        self.clusters, self.counts = clusters, counts
        self.earlier = earlier
        weight = clusters.weight.to(clusters.dtype)
        places = tokens.transpose(0, 1).to(clusters.dtype).contiguous()
        # By position each chunk of places has potentials of its own, found on the way. By batch
        # they depend on all tokens, so they come first, in a pass over the scores of their own.
        if column is None and clusters.transport.by == "batch":
            rows = tokens if earlier is None else torch.cat([earlier.to(tokens.dtype), tokens])
            column = clusters.transport(rows.to(clusters.dtype), weight)
        self.losses = tokens.new_empty(places.shape[:2])
        self.gradients = (
            tuple(torch.zeros_like(x) for x in (clusters.weight, clusters.bias)) if learns else ()
        )
        runs = [*chunks(tokens, len(weight), 0 if earlier is None else len(earlier))]
        columns = []
        # One buffer serves the scores of every chunk, and then their gradient: nothing of [B N K]
        # is ever in memory.
        memory = places.new_empty(*places[runs[0]].shape[:2], len(weight))
        for run in runs:
            part = places[run]
            scores = torch.matmul(part, weight.T, out=memory[: len(part)])
            columns.append(
                self._column(scores, run) if column is None else column[_rows(column, run)]
            )
            self._to_gradient(scores, columns[-1], run, learns)
            if learns:
                self._add(scores.flatten(0, 1), part.flatten(0, 1))
        self.column = torch.cat(columns) if column is None else column

    def _column(self, scores: Tensor, places: slice) -> Tensor:
        """Give the clusters' potentials at some places, from scores [n B K] and those of earlier
        images.
        """
        if self.earlier is not None:
            earlier = self.earlier[:, places].transpose(0, 1).to(scores.dtype)
            scores = torch.cat([earlier @ self.clusters.weight.to(scores.dtype).T, scores], 1)
        return self.clusters.transport.column(scores)

    def _to_gradient(self, scores: Tensor, column: Tensor, places: slice, learns: bool) -> None:
        """Store the losses of scores [n B K], and overwrite the scores by their gradient.

        Works on blocks that stay in cache: each block is read several times.
        """
        for some in _blocks(scores):
            block = scores[some].float()
            shares = self.clusters.transport.shares(block, column[_rows(column, some)][:, None])
            logs = block.add(self.clusters.bias).div_(self.clusters.temperature).log_softmax(-1)
            self.losses[places][some] = -(shares * logs).sum(-1)
            if learns:
                # d loss / d scores = (softmax * sum(shares) - shares) / temperature
                softmax = logs.exp_()
                if self.clusters.transport.mass is not None:  # then shares sum to less than 1
                    softmax.mul_(shares.sum(-1, keepdim=True))
                gradient = softmax.sub_(shares).div_(self.clusters.temperature)
                scores[some] = (
                    gradient
                    if self.counts is None
                    else gradient * self.counts[places][some][..., None]
                )

    def _add(self, gradient: Tensor, tokens: Tensor) -> None:
        """Add a chunk's gradient [n*B K] to those of weight and bias, in float32."""
        of_weight, of_bias = self.gradients
        if gradient.dtype == torch.float32:
            of_weight.addmm_(gradient.T, tokens)
        else:
            of_weight += gradient.T @ tokens
        of_bias += gradient.sum(0, dtype=torch.float32)


def _rows(column: Tensor, places: slice) -> slice:
    """Select the columns of some places; one column for all places has no choice."""
    return places if len(column) > 1 else slice(None)


def _blocks(scores: Float[Tensor, "n B K"]) -> Iterator[slice]:
    """Give runs of places: all on a GPU, runs of 4 MiB elsewhere, which stay in cache."""
    count = len(scores) if scores.is_cuda else max(1, 2**20 // scores[0].numel())
    return (slice(first, first + count) for first in range(0, len(scores), count))
