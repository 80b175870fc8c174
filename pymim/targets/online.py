"""Clusters of a momentum encoder's tokens as the target, learned during training (CAPI, Darcet et
al. 2025).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.checks import positive, whole
from pymim.clusters.queue import Queue
from pymim.clusters.transport import Transport
from pymim.contracts import Asked, Batch, Encoder, Made, Output, Run, Tally, Target
from pymim.errors import ConfigError
from pymim.layers.gather import gather
from pymim.measures import usage
from pymim.targets.learning import Clusters, losses

if TYPE_CHECKING:
    from jaxtyping import Float, Int

log = logging.getLogger("pymim.targets")
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


class Online(Target):
    """Give soft assignments [B M K] of the teacher's tokens to K clusters, by transport over the
    batch.

        scores = W x / |x|,   shares = transport(scores),
        own loss of every patch: -sum_k shares_k log softmax((scores + bias) / temperature)_k.

    Only W and bias learn from the own loss: shares and tokens are constants. Transport uses all
    patches; the target gives the predicted ones. W starts as N(0, 1), not normalised, as released:
    scores of one patch have a deviation of 1.

    Args:
        encoder: the student.
        teacher: constructor, called with the encoder; encodes the whole view, and its tokens are
            clustered. CAPI's is `encoders.Momentum`; a frozen encoder makes it a distillation.
        transport: turns scores into shares; its epsilon is the paper's target temperature. Default:
            `Transport(0.06, 3, by="position")`.
        clusters: number K of clusters.
        temperature: temperature of the own loss.
        precision: dtype of the products that give scores: "float32" or "bf16". CAPI's release
            computes scores and transport in bfloat16; here transport is always float32. With
            "bf16", shares differ from "float32" by at most 0.1, and the largest share of 97 % of
            patches is the same.
        queue: constructor, called with the numbers of an image's tokens: a `clusters.Queue` of
            earlier images, with views = (0,). The present clusters score their tokens, which take
            part in the transport. Use it if all processes together have fewer images than clusters.
            L images of N tokens take L N D numbers in each process, of two bytes with "bf16".

    Raises:
        ValueError: a choice or a number is out of range; when called, ConfigError if the queue does
            not fit the view.
    """

    def __init__(
        self,
        encoder: Encoder,
        teacher: Callable[[Encoder], nn.Module],
        transport: Transport | None = None,
        clusters: int = 16384,
        temperature: float = 0.12,
        precision: str = "float32",
        queue: Callable[..., Queue] | None = None,
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        positive(self, temperature=temperature)
        if precision not in PRECISIONS:
            choices = ", ".join(PRECISIONS)
            raise ValueError(
                f"Online: precision: expected one of {choices}, got {precision!r}; name one of them"
            )
        self.teacher, self.width = teacher(encoder), clusters
        self.transport = transport or Transport(0.06, 3, by="position")
        self.temperature, self.precision = temperature, precision
        self.base = encoder.base
        numbers = math.prod(encoder.base) * encoder.width
        self.queue = None if queue is None else queue(numbers).to(PRECISIONS[precision])
        # Tokens and step of each view, until after_forward pushes them into the queue.
        self._seen: dict[int, tuple[Tensor, int]] = {}
        self.chance = math.log(clusters)  # the objective's loss if nothing is known
        self.weight = nn.Parameter(torch.randn(clusters, encoder.width))
        self.bias = nn.Parameter(torch.zeros(clusters))

    def forward(self, asked: Asked) -> Made:
        tokens, ids = self._tokens(asked.view), asked.ids
        earlier = self._earlier(asked, tokens)
        with torch.autocast("cuda" if tokens.is_cuda else "cpu", enabled=False):
            dtype = PRECISIONS[self.precision]
            transport = self.transport.at(asked.step)
            made = Clusters(self.weight, self.bias, transport, self.temperature, dtype)
            own, column = losses(tokens, made, earlier)
            with torch.no_grad():
                scores = (tokens if ids is None else gather(tokens, ids)).to(
                    dtype
                ) @ self.weight.to(dtype).T
                return Made(transport.shares(scores, column, ids), own)

    def before_run(self, run: Run) -> None:
        """Suggest a queue if transport balances fewer images than there are clusters."""
        share = run.batch // run.world.size
        rows = min(share, getattr(run, "micro", None) or share) * run.world.size
        by_place = self.transport.by == "position"
        every = rows + (0 if self.queue is None else self.queue.size)
        every *= 1 if by_place else math.prod(self.base)
        if every < self.width and run.world.leads:
            log.warning(
                "Online: transport balances %d %s over %d clusters, too few to balance well; "
                "use more processes, or a queue, or a longer one "
                "(targets.Online.queue = @clusters.Queue, clusters.Queue.views = (0,))",
                every,
                "images at each place" if by_place else "patches",
                self.width,
            )

    @torch.no_grad()
    def after_forward(self, batch: Batch, output: Output) -> None:
        """Push the teacher's tokens into the queue."""
        seen, self._seen = self._seen, {}
        for view, (tokens, step) in seen.items():
            if self.queue is not None and step >= self.queue.start:
                self.queue.push(view, tokens.flatten(1))

    def _earlier(
        self, asked: Asked, tokens: Float[Tensor, "B N D"]
    ) -> Float[Tensor, "n N D"] | None:
        """Give this process's share of the view's queued images; None until the queue is full."""
        if self.queue is None:
            return None
        if tokens[0].numel() != self.queue.rows.shape[2] or self.queue.views != [asked.number]:
            raise ConfigError(
                f"Online: queue: expected a queue of view {asked.number} only, in views of "
                f"{math.prod(self.base)} patches, got a queue of views {self.queue.views} and "
                f"{len(tokens[0])} patches; set clusters.Queue.views = ({asked.number},), or leave "
                "out the queue"
            )
        if torch.is_grad_enabled():
            self._seen[asked.number] = tokens, asked.step
        rows = self.queue.own_rows(asked.number)
        return rows.unflatten(1, tokens.shape[1:]) if len(rows) else None

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Give how the clusters are used."""
        return usage(target, self.width)

    @torch.no_grad()
    def assignments(self, view: Float[Tensor, "B C *S"]) -> Int[Tensor, "B N"]:
        """Give the most likely cluster of each patch by itself: this needs no transport over a
        batch.
        """
        return (self._tokens(view) @ self.weight.T + self.bias).argmax(-1)

    @torch.no_grad()
    def _tokens(self, view: Tensor) -> Float[Tensor, "B N D"]:
        return normalize(self.teacher(view).tokens.float(), dim=-1, eps=1e-7)
