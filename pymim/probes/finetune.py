"""Fine-tune on few labels: the usual measure of a masked autoencoder."""

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
    """Train the whole encoder and a head on `labels_per_class` images per class, with layer-wise
    rate decay.

    Images are drawn from the probe's training set. A class with fewer gives all, which the probe
    reports. For whole data sets and the papers' recipes use `tune.Tuning`.

    Args:
        labels_per_class: training images of each class.
        rate: peak learning rate, not scaled by the batch; annealed to 0.
        steps: training steps.
        batch: images per step.
        layer_decay: scales the rate of block i of L by layer_decay^(L + 1 - i) (BEiT, Bao et al.
            2022).
        weight_decay: AdamW's weight decay.
        frozen: train the head alone, a norm and a linear layer, as VideoMAE and SIGMA probe (Salehi
            et al. 2024); the result is then named "head".
        warmup: share of the steps over which the rate rises.
        smoothing: see `Learning`.
        mixing: see `Learning`.
        clip: see `Learning`.
        average: see `Learning`.
        drop_path: see `Classifier`.
        view: augments the images at each step, for example a `views.Pretrain` with RandAugment and
            erasing. It gets images as the evaluation prepared them, and must have the same
            statistics. None: no augmentation.
        readout: see `Classifier`.

    Raises:
        ConfigError: the view does not normalise.
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
            raise ConfigError(
                f"FineTune: view: expected a view that normalises, got {kind}; use views.Pretrain"
            )
        self.frozen, self.name = frozen, "head" if frozen else "finetune"
        self.labels_per_class, self.steps = labels_per_class, steps
        self.batch = batch
        self.drop_path, self.view = drop_path, view
        self.readout = readout
        recipe = AdamW(
            Cosine(rate, warmup=warmup),
            weight_decay=weight_decay,
            betas=(0.9, 0.999),
            layer_decay=layer_decay,
        )
        self.learning = Learning(recipe, smoothing, mixing, clip, average=average)

    def __call__(
        self, encoder: Encoder, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor
    ) -> float:
        """Give the top-1 accuracy on test images [M C H W], after training on some of the images [N
        C H W].

        Runs on the encoder's device.
        """
        device = next(encoder.parameters()).device
        few = torch.from_numpy(of_each(labels.numpy(), self.labels_per_class))
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(0)
            model = self._train(encoder, train[few].to(device), labels[few].to(device))
        with torch.no_grad(), autocast(device):
            scores = torch.cat([model.eval()(chunk.to(device)).cpu() for chunk in test.split(256)])
        return accuracy(scores, truth)

    def remark(self, labels: Tensor) -> str:
        """Say if classes have fewer images than asked for."""
        counts = labels.unique(return_counts=True)[1]
        least, most = int(counts.min()), int(counts.max())
        wanted = self.labels_per_class
        if least >= wanted:
            return ""
        span = f"{least}" if least == most else f"{least} to {min(most, wanted)}"
        total = int(counts.clamp_max(wanted).sum())
        return f"expected {wanted} images of each class, got {span}: it trains on {total} images"

    def _train(self, encoder: Encoder, images: Tensor, labels: Tensor) -> nn.Module:
        model = Classifier(
            encoder, int(labels.max()) + 1, self.frozen, self.readout, self.drop_path
        )
        lesson = Lesson(self.learning, model.train().to(images.device))
        for step in range(self.steps):
            chosen = torch.randint(len(images), (self.batch,))
            lesson.step(self._shown(images[chosen], chosen, step), labels[chosen], step, self.steps)
        return lesson.learnt

    def _shown(self, images: Tensor, index: Tensor, step: int) -> Tensor:
        """Augment the images by the view of this step."""
        if self.view is None:
            return images
        plain = self.view.normalise.back(images).cpu()
        return self.view(plain, index, Draw(0, step)).to(images.device)
