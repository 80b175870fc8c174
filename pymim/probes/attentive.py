"""The attentive probe: one learned query attends to frozen patch tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import positive, whole
from pymim.probes.knn import accuracy
from pymim.probes.linear_sgd import steps_of
from pymim.schedule import Cosine


class Pool(nn.Module):
    """Attend from one query to all tokens, then classify by a linear layer."""

    def __init__(self, width: int, classes: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens)
        pooled, _ = self.attention(
            self.query.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False
        )
        scores: Tensor = self.head(pooled[:, 0])
        return scores


class Attentive:
    """Train a `Pool` on frozen tokens [N T D] by AdamW (Chen et al. 2024, "Context autoencoder").

    It finds what is in the tokens but not in their mean.

    Args:
        rate: peak learning rate.
        epochs: passes over the training set.
        batch: images per step.
        heads: attention heads.
        least: fewest steps; used if `epochs` give fewer.
    """

    name = "attentive"
    takes = "tokens"

    def __init__(
        self,
        rate: float = 2e-3,
        epochs: int = 20,
        batch: int = 64,
        heads: int = 4,
        least: int = 1000,
    ) -> None:
        positive(self, rate=rate)
        whole(self, 1, epochs=epochs, batch=batch, heads=heads, least=least)
        self.rate, self.epochs = rate, epochs
        self.batch = batch
        self.heads, self.least = heads, least

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Give the top-1 accuracy on test tokens [M T D], after training on tokens [N T D]."""
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            model = self._train(train, labels)
        with torch.no_grad():
            scores = torch.cat([model.eval()(chunk.float()) for chunk in test.split(self.batch)])
        return accuracy(scores, truth)

    def _train(self, train: Tensor, labels: Tensor) -> nn.Module:
        model = Pool(train.shape[2], int(labels.max()) + 1, self.heads).to(train.device)
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
        rate = Cosine(self.rate, warmup=0.1)
        steps = steps_of(len(train), self.batch, self.epochs, self.least)
        for step in range(steps):
            chosen = torch.randint(len(train), (min(self.batch, len(train)),))
            loss = cross_entropy(model(train[chosen].float()), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = rate(step, steps)
            optimizer.step()
        return model
