"""k nearest neighbours of patches: measure single tokens without training (CAPI, Darcet et al.
2025).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from pymim.checks import whole
from pymim.data.sample import drawn


class PatchKNN:
    """Give each patch the commonest label among its k most similar training patches; ties go to the
    first.

    With one label per patch [N T], the answer is the share of test patches with the right label, as
    in the paper's segmentation. With one label per image [N], all its patches have it; the answer
    is the share of images whose patches' neighbours vote for the right one.

    Args:
        k: neighbours; CAPI tries 1, 3, 10 and 30.
        each: patches taken of an image, at random places that are the same in all images. (Evenly
            spaced ones of a square grid would be its diagonal.)
        chunk: queries compared with all training patches at a time.
    """

    name = "patch_knn"
    takes = "tokens"

    def __init__(self, k: int = 10, each: int = 16, chunk: int = 1024) -> None:
        whole(self, 1, k=k, each=each, chunk=chunk)
        self.k, self.each = k, each
        self.chunk = chunk

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> float:
        """Give the top-1 accuracy on test tokens [M T D], from training tokens [N T D]."""
        taken = torch.from_numpy(drawn(train.shape[1], self.each))
        bank, queries = (
            normalize(tokens[:, taken].flatten(0, 1).float()) for tokens in (train, test)
        )
        named = labels[:, taken] if labels.ndim == 2 else labels[:, None].expand(-1, len(taken))
        votes = self._votes(bank, one_hot(named.flatten()).float(), queries).unflatten(
            0, (len(test), -1)
        )
        if labels.ndim == 2:
            return float((votes.argmax(-1) == truth[:, taken]).float().mean())
        return float((votes.sum(1).argmax(-1) == truth).float().mean())

    def _votes(self, bank: Tensor, classes: Tensor, queries: Tensor) -> Tensor:
        """Count the classes of each query's neighbours [queries classes]."""
        found = [
            (part @ bank.T).topk(min(self.k, len(bank))).indices
            for part in queries.split(self.chunk)
        ]
        return torch.cat([classes[nearest].sum(1) for nearest in found])
