"""k nearest neighbours of patches: what single tokens tell, with nothing to tune (CAPI, Darcet et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from pymim.checks import whole
from pymim.data.sample import drawn


class PatchKNN:
    """Each patch takes the label that most of the k most similar training patches bear; of equals the first.

    Labels may be one for each patch, [N T]: the answer is the share of test patches that get theirs, as in the
    paper's segmentation. Or one for each image, [N], borne by its patches: the answer is the share of images whose
    label most of its patches' neighbours bear.

    k: CAPI sweeps 1, 3, 10 and 30. each: how many patches of an image are taken, at random places that are the same
        in all images: evenly spaced ones of a square grid would be its diagonal.
    chunk: queries compared with all training patches at a time.
    """

    name = "patch_knn"
    takes = "tokens"

    def __init__(self, k: int = 10, each: int = 16, chunk: int = 1024) -> None:
        whole(self, 1, k=k, each=each, chunk=chunk)
        self.k, self.each, self.chunk = k, each, chunk

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Top-1 accuracy on test tokens [M T D] from training tokens [N T D]."""
        taken = torch.from_numpy(drawn(train.shape[1], self.each))
        bank, queries = (normalize(tokens[:, taken].flatten(0, 1).float()) for tokens in (train, test))
        named = labels[:, taken] if labels.ndim == 2 else labels[:, None].expand(-1, len(taken))
        votes = self._votes(bank, one_hot(named.flatten()).float(), queries).unflatten(0, (len(test), -1))
        if labels.ndim == 2:
            return float((votes.argmax(-1) == truth[:, taken]).float().mean())
        return float((votes.sum(1).argmax(-1) == truth).float().mean())

    def _votes(self, bank: Tensor, classes: Tensor, queries: Tensor) -> Tensor:
        """How many of each query's neighbours are of each class, [queries classes]."""
        found = [(part @ bank.T).topk(min(self.k, len(bank))).indices for part in queries.split(self.chunk)]
        return torch.cat([classes[nearest].sum(1) for nearest in found])
