"""Train any method: the one loop for all papers.

What a step does is a pure function of the weights and of (seed, step): the batch, the masks, the
rates and the random state follow from the two. So a resumed run equals an uninterrupted one, bit
for bit.
"""

from __future__ import annotations

import contextlib
import copy
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pymim import signals
from pymim.checks import given, positive, share, whole
from pymim.checks import seed as seeds
from pymim.contracts import Batch, Callback, Encoder, KeptElsewhere
from pymim.errors import ConfigError
from pymim.io import Folder, Metrics, checkpoint, replay, weights
from pymim.io.metrics import tensorboard as tensorboard_writer
from pymim.loop.average import TEACHER, average_of
from pymim.loop.callbacks import Callbacks
from pymim.loop.gauges import Gauges
from pymim.loop.idle import Idle
from pymim.loop.keeper import Keeper
from pymim.loop.progress import Done, Progress
from pymim.loop.seeds import seed_everything
from pymim.loop.wrap import check_recompute, synchronise_only, wrap
from pymim.method import Method
from pymim.optim import AdamW, Recipe
from pymim.precision import AUTO, check, chosen, computing
from pymim.stages import Stages
from pymim.world import PATIENCE, World


class Trainer:
    """Pre-train `method` on the batches of `data` for `steps` steps.

    method: what is trained. data: constructor of the loader. steps: updates of the weights.
    batch: the global batch, divided among the processes and processed in pieces of `micro` images
        (None: a process's whole share) whose gradients are summed (`loop.pieces`).
    precision: "bf16" (autocast), "float32", "tf32" (float32 products rounded on GPUs), or "auto":
        "bf16", but "float32" on a processor without AVX-512, which would emulate bf16.
    compile: use torch.compile. recompute: recompute the activations of ViT and ResNet blocks.
    micro: images of a piece, in each process; None: a process's whole share.
    optimizer: a recipe, called with the method; None: `optim.AdamW()`.
    seed: of the data's order, the views and all random states; masks have `method.Method.seed`.
    clip: largest norm of the gradient.
    average: momentum of an exponential moving average of the encoder, which is then evaluated and
        exported; or "teacher", the method's own momentum copy (`encoders.Momentum`; DINO, Caron et
        al. 2021; I-JEPA, Assran et al. 2023).
    log_every: steps between two lines, printed and written to metrics.jsonl. `loss` and each
        objective's are means since the last line, over pieces, processes, and the steps in which
        the objective does not rest; `loss_of_step` is the last step's.
    tensorboard: write the logged figures for TensorBoard too.
    gauges: computed in the steps that are logged.
    save_every: steps between checkpoints. keep: how many of the newest checkpoints stay.
    start: where the encoder's weights come from, in whole or in part (`pymim.io.weights`).
    stages: what `python -m pymim.run` runs first (`pymim.stages`); a trainer by itself runs none.
    patience: seconds that another process may be silent or late (Lost). An evaluation or a
        drawing may take longer.
    evaluate, draw: called with (trainer, folder, step), at the end and in between.
    evaluate_every, draw_every: steps between two calls; 0: at the end alone.

    During a run, `step` is the number of steps done, `images` of images seen, `folder` the run's.
    """

    def __init__(
        self,
        method: Method,
        data: Callable[..., Any],
        steps: int,
        batch: int,
        optimizer: Recipe | None = None,
        seed: int = 0,
        micro: int | None = None,
        precision: str = AUTO,
        compile: bool = False,
        recompute: bool = False,
        clip: float | None = None,
        average: float | str | None = None,
        log_every: int = 20,
        save_every: int = 500,
        keep: int = 2,
        tensorboard: bool = False,
        gauges: Gauges | None = None,
        evaluate: Callback | None = None,
        evaluate_every: int = 0,
        draw: Callback | None = None,
        draw_every: int = 0,
        start: str | Path | None = None,
        stages: Stages | None = None,
        patience: float = PATIENCE,
    ) -> None:
        whole(self, 1, steps=steps, batch=batch, **given(micro=micro))
        whole(self, 1, log_every=log_every, save_every=save_every, keep=keep)
        seeds(self, seed=seed)
        check(self, precision)
        whole(self, 0, evaluate_every=evaluate_every, draw_every=draw_every)
        positive(self, patience=patience, **given(clip=clip))
        if average != TEACHER:
            share(self, "from 0 to below 1", **given(average=average))
        self.steps, self.batch = steps, batch
        self.seed, self.micro = seed, micro
        self.compile = compile
        self.recompute, self.clip = recompute, clip
        self.log_every, self.save_every = log_every, save_every
        self.keep, self.gauges = keep, gauges
        self.board = tensorboard_writer() if tensorboard else None
        self.callbacks = Callbacks((evaluate, evaluate_every), (draw, draw_every))
        self.evaluate, self.draw = evaluate, draw
        self.world = World.current(patience)
        self.precision = chosen(precision, self.world.device)
        self.method = method.to(self.world.device)
        self.start = None if start is None else Path(start)
        self.stages = stages
        self.momentum = None if isinstance(average, str) else average
        self.average = average_of(method, average)
        self.optimizer: Recipe = optimizer or AdamW()
        self.loader = data(batch=batch, seed=seed, rank=self.world.rank, world=self.world.size)
        # The average comes first, so that tensors it shares are saved under the name START reads.
        self.state = nn.ModuleDict(
            ({"average": self.average} if self.average else {}) | {"method": method}
        )
        self.stepper = self.optimizer(method)
        self.untrained = copy.deepcopy(method.encoder)
        self.step, self.images = 0, 0
        self._kept: dict[str, Any] = {}
        self._idle = Idle()
        method.check_views(len(self.loader.views))
        with computing(self.precision):
            method.before_load(self)

    @property
    def encoder(self) -> Encoder:
        """The trained encoder, or its average if one is kept."""
        return self.average.module if self.average else self.method.encoder  # type: ignore[return-value]

    @property
    def epoch(self) -> float:
        """Passes over the training set: images seen, divided by its pictures."""
        return self.images / len(self.loader.source)

    def forget(self, parameters: Iterable[nn.Parameter]) -> None:
        """Drop the optimiser's state of these parameters."""
        for parameter in parameters:
            self.stepper.state.pop(parameter, None)

    def report(self, name: str, **facts: float) -> None:
        """Write a row of facts of this step to NAME.jsonl in the run's folder, and print it."""
        if self.world.leads:
            metrics = Metrics(self.folder / f"{name}.jsonl", self.step - 1)  # drops repeated rows
            metrics.write(self.step, **facts)
            metrics.close()
            text = ", ".join(f"{key} {value:.4g}" for key, value in facts.items())
            tqdm.write(f"{name}: {text}", file=sys.stderr)

    def check(self, resuming: bool = False) -> None:
        """Check the files that a run starts from, before it has a folder. Raises: ConfigError."""
        if self.recompute:
            check_recompute(self.method, self.compile)
        for part in self.method.modules():
            if isinstance(part, KeptElsewhere):
                part.check()
        if self.start is not None and not resuming:
            weights.match(self.method.encoder, self.start)

    def restore(self, path: Path) -> int:
        """Restore a checkpoint; return its step."""
        meta = checkpoint.load(path, self.state, self.stepper)
        self.images = int(meta.get("images", meta["step"] * meta.get("batch", self.batch)))
        self._kept = meta.get("progress", {})
        return int(meta["step"])

    def run(self, folder: Folder, first: int = 0) -> None:
        """Train from step `first` to the end.

        Raises: Stopped on a signal, after saving; ConfigError if `first` is past the end.
        """
        if first > self.steps:
            raise ConfigError(
                f"Trainer.run: first: expected at most {self.steps}, got {first}; raise steps"
            )
        self.step, self.folder = first, folder
        keeper = Keeper(self, folder.checkpoints, first)
        held = signals.held(self.world.size > 1)  # several processes must stop at the same step
        with signals.handled(), keeper.among_others(), held, computing(self.precision):
            with keeper.between(first):
                self._prepare()
            self._train(keeper)

    def _prepare(self) -> None:
        if self.step == 0:
            self._begin_from_start()
        self.method.before_run(self)
        self.callbacks.prepare(self)

    def _train(self, keeper: Keeper) -> None:
        first, folder = self.step, self.folder
        forward = wrap(self.method, self.world, self.compile, self.recompute)
        metrics = Metrics(folder / "metrics.jsonl", first, self.board) if self.world.leads else None
        self.progress = progress = Progress(
            self._done(first), self.steps, self.encoder.items, metrics, self.log_every, self._kept
        )
        batches = self.loader.batches(first, self.steps)
        with signals.held(), contextlib.closing(progress), contextlib.closing(batches):
            for done in range(first + 1, self.steps + 1):
                with keeper.between(done - 1):
                    self._begin(done - 1)
                    batch = next(batches)
                rate = self.optimizer.set(self.stepper, done - 1, self.steps, self.batch)
                losses, gauges = self.learn(forward, batch.to(self.world.device), done - 1, folder)
                self.method.after_step(done - 1)
                if self.average is not None and self.momentum is not None:
                    self.average.update(self.method.encoder, self.momentum)
                self.images += self.batch
                progress.report(self._done(done), rate, losses, gauges)
                for complaint in (
                    self.gauges.complaints(gauges) if self.gauges and self._is_logged(done) else ()
                ):
                    progress.say(complaint)
                stopping = self.world.any(bool(signals.requested()))
                if stopping or done == self.steps or done % self.save_every == 0:
                    keeper.save(done)
                if stopping:
                    raise signals.asked(together=True).error(keeper.where(done))
                with progress.apart():
                    self.callbacks.call(self, keeper, done)
            if first == self.steps:  # the run was stopped during its last evaluation
                self.callbacks.call(self, keeper, first)

    def _done(self, step: int) -> Done:
        return Done(step, self.images, self.epoch, self.loader.waited, len(self.loader.broken))

    def _begin_from_start(self) -> None:
        if self.start is None:
            return
        fit = weights.load(self.method.encoder, self.start)
        if self.average is not None:
            self.average.update(self.method.encoder, 0.0)  # also a teacher, which starts as a copy
        if self.world.leads:
            tqdm.write(str(fit), file=sys.stderr)

    def _begin(self, step: int) -> None:
        """Update every part before an epoch or step, with a random state that all ranks share."""
        self.step = step
        seed_everything(self.seed, step, rank=-1)
        if step % self.loader.steps_per_epoch == 0:
            with signals.released(self.world.size == 1):
                self.method.before_epoch(self)
        self.method.before_step(self)

    def learn(
        self, forward: nn.Module, batch: Batch, step: int, folder: Folder
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Take one step. Return each loss over the global batch, and its gauges if it is logged."""
        seed_everything(self.seed, step, self.world.rank)
        self.stepper.zero_grad(set_to_none=True)  # an evaluation or a hook may have left gradients
        pieces = batch.split(self.micro or len(batch.index))
        total: dict[str, Tensor] = {}
        gauges = self.gauges if self._is_logged(step + 1) else None
        for piece in pieces:
            share = len(piece.index) / len(batch.index)
            with synchronise_only(forward, piece is pieces[-1]):
                with self.world.autocast(self.precision):
                    output = forward(piece, step)
                (output.loss * share).backward()  # outside autocast: float32 stays float32
            self.method.after_forward(piece, output)
            if gauges is not None:
                gauges.see(self.method, output, share)
            for name, value in {"loss": output.loss, **output.losses}.items():
                total[name] = total.get(name, 0) + value.detach().mean() * share
        losses = dict(zip(total, self.world.mean(torch.stack(list(total.values()))), strict=True))
        if (line := self._idle.report(self.method, output)) and self.world.leads:
            tqdm.write(line, file=sys.stderr)
        norm = nn.utils.get_total_norm(
            [p.grad for p in self.method.parameters() if p.grad is not None]
        )
        for name, value in (("loss", losses["loss"]), ("norm of the gradients", float(norm))):
            if not math.isfinite(value):
                what = f"the {name} is {value}"
                replay.keep_and_raise(folder, batch, step, self.seed, self.world.rank, losses, what)
        shown = {} if gauges is None else gauges.values(self.method, self.world, losses)
        if self.clip is not None:
            nn.utils.clip_grads_with_norm_(self.method.parameters(), self.clip, norm)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        return losses, shown

    def _is_logged(self, done: int) -> bool:
        return done % self.log_every == 0 or done == self.steps
