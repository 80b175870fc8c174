"""Fine-tuning on few labels: the field's own measure of a masked autoencoder."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pymim.checks import finite, whole
from pymim.contracts import Encoder
from pymim.data.sample import of_each
from pymim.encoders import Average
from pymim.optim import AdamW
from pymim.probes.knn import accuracy
from pymim.schedule import Cosine


class Classifier(nn.Module):
    """An encoder, the mean of its patch tokens, a norm and a linear layer of small init (std 2e-5)."""

    def __init__(self, encoder: Encoder, classes: int, frozen: bool = False) -> None:
        super().__init__()
        self.encoder: nn.Module = Average(encoder) if frozen else copy.deepcopy(encoder).requires_grad_(True)
        self.fc_norm = nn.LayerNorm(encoder.width, eps=1e-6)
        self.head = nn.Linear(encoder.width, classes)
        nn.init.trunc_normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.fc_norm(self.encoder(images).tokens.float().mean(1)))
        return scores


class FineTune:
    """Trains the whole encoder and a head on `labels_per_class` labelled images of each class, with layer-wise
    decay of the learning rate and flips off; the images are drawn from the probe's training set. A class that has
    fewer gives all, which is said.

    frozen: train the head alone, a norm and a linear layer: the linear probing of VideoMAE and SIGMA (Salehi et al.
        2024). Its entry is then called "head".
    """

    takes = "images"

    def __init__(
        self,
        labels_per_class: int = 50,
        rate: float = 1e-3,
        steps: int = 300,
        batch: int = 32,
        layer_decay: float = 0.75,
        weight_decay: float = 0.05,
        frozen: bool = False,
    ) -> None:
        whole(self, 1, labels_per_class=labels_per_class, steps=steps, batch=batch)
        finite(self, 0, rate=rate)
        self.frozen, self.name = frozen, "head" if frozen else "finetune"
        self.labels_per_class, self.steps, self.batch = labels_per_class, steps, batch
        self.recipe = AdamW(
            Cosine(rate, warmup=0.1), weight_decay=weight_decay, betas=(0.9, 0.999), layer_decay=layer_decay
        )

    def __call__(self, encoder: Encoder, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test images [M C H W] after training on some of the training images [N C H W], on the
        encoder's device."""
        device = next(encoder.parameters()).device
        few = torch.from_numpy(of_each(labels.numpy(), self.labels_per_class))
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            model = self._train(encoder, train[few].to(device), labels[few].to(device))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            scores = torch.cat([model.eval()(chunk.to(device)).cpu() for chunk in test.split(256)])
        return accuracy(scores, truth)

    def remark(self, labels: Tensor) -> str:
        """Say so where classes have fewer images than asked for."""
        counts = labels.unique(return_counts=True)[1]
        least, most, wanted = int(counts.min()), int(counts.max()), self.labels_per_class
        if least >= wanted:
            return ""
        span = f"{least}" if least == most else f"{least} to {min(most, wanted)}"
        total = int(counts.clamp_max(wanted).sum())
        return f"{wanted} images a class are asked for, there are {span}: it learns from {total}"

    def _train(self, encoder: Encoder, images: Tensor, labels: Tensor) -> nn.Module:
        model = Classifier(encoder, int(labels.max()) + 1, self.frozen).train().to(images.device)
        optimizer = self.recipe(model)
        for step in range(self.steps):
            self.recipe.set(optimizer, step, self.steps, self.batch)
            chosen = torch.randint(len(images), (self.batch,))
            with torch.autocast(images.device.type, torch.bfloat16):
                scores = model(images[chosen])
            optimizer.zero_grad()
            cross_entropy(scores.float(), labels[chosen], label_smoothing=0.1).backward()
            optimizer.step()
        return model
