"""Fine-tuning on few labels: the field's own measure of a masked autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pymim.checks import finite, given, whole
from pymim.contracts import Draw, Encoder, View
from pymim.data.sample import of_each
from pymim.errors import ConfigError
from pymim.optim import AdamW
from pymim.precision import autocast
from pymim.probes.classifier import Classifier, Readout
from pymim.probes.knn import accuracy
from pymim.probes.learning import Learning, Lesson
from pymim.probes.mixing import Mixing
from pymim.schedule import Cosine


class FineTune:
    """Trains the whole encoder and a head on `labels_per_class` labelled images of each class, with layer-wise
    decay of the learning rate; the images are drawn from the probe's training set. A class that has fewer gives
    all, which is said. `tune.Tuning` is for whole data sets, and for the papers' recipes.

    Args:
        rate: of a batch, not scaled by it; warmed up for a share `warmup` of all steps, then annealed to 0.
        layer_decay: the rate of block i of L is scaled by layer_decay^(L + 1 - i) (BEiT, Bao et al. 2022).
        frozen: train the head alone, a norm and a linear layer: the linear probing of VideoMAE and SIGMA (Salehi
            et al. 2024). Its entry is then called "head".
        smoothing, mixing, clip, average: as `Learning` has them. drop_path, readout: as `Classifier` has them.
        view: shows each image otherwise at each step, such as a `views.Pretrain` with RandAugment and erasing; of
            the images as the evaluation prepared them, with its statistics. None: as they are.
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
        warmup: float = 0.1,
        smoothing: float = 0.1,
        mixing: Mixing | None = None,
        clip: float | None = None,
        average: float | None = None,
        drop_path: float | None = None,
        view: View | None = None,
        readout: Readout | None = None,
    ) -> None:
        whole(self, 1, labels_per_class=labels_per_class, steps=steps, batch=batch)
        finite(self, 0, rate=rate, **given(drop_path=drop_path))
        if view is not None and not hasattr(view, "normalise"):
            kind = type(view).__name__
            raise ConfigError(f"FineTune: view: expected one that normalises, got {kind}; use views.Pretrain")
        self.frozen, self.name = frozen, "head" if frozen else "finetune"
        self.labels_per_class, self.steps, self.batch = labels_per_class, steps, batch
        self.drop_path, self.view, self.readout = drop_path, view, readout
        recipe = AdamW(
            Cosine(rate, warmup=warmup), weight_decay=weight_decay, betas=(0.9, 0.999), layer_decay=layer_decay
        )
        self.learning = Learning(recipe, smoothing, mixing, clip, average=average)

    def __call__(self, encoder: Encoder, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test images [M C H W] after training on some of the training images [N C H W], on the
        encoder's device."""
        device = next(encoder.parameters()).device
        few = torch.from_numpy(of_each(labels.numpy(), self.labels_per_class))
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            model = self._train(encoder, train[few].to(device), labels[few].to(device))
        with torch.no_grad(), autocast(device):
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
        model = Classifier(encoder, int(labels.max()) + 1, self.frozen, self.readout, self.drop_path)
        lesson = Lesson(self.learning, model.train().to(images.device))
        for step in range(self.steps):
            chosen = torch.randint(len(images), (self.batch,))
            lesson.step(self._shown(images[chosen], chosen, step), labels[chosen], step, self.steps)
        return lesson.learnt

    def _shown(self, images: Tensor, index: Tensor, step: int) -> Tensor:
        """Give the images as the view shows them at this step."""
        if self.view is None:
            return images
        plain = self.view.normalise.back(images).cpu()
        return self.view(plain, index, Draw(0, step)).to(images.device)
