"""A source made in a line: pictures of a label are of one pattern."""

import numpy as np
import torch

from pymim.data import Sample, Unreadable


def drawn(seed):
    return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(seed))


class Labelled:
    """Give pictures, float32 [3 8 8]: a pattern for each label, and `noise`.

    Those in `broken` raise Unreadable.

    patterns: the label that each picture looks like, by default its own.
    """

    def __init__(self, labels, noise=0.0, broken=(), classes=None, count=0, seed=0, patterns=None):
        self.labels = None if labels is None else np.asarray(labels, np.int64)
        self.count = count if labels is None else len(labels)
        self.patterns = self.labels if patterns is None else patterns
        self.noise, self.broken, self.classes, self.seed = noise, set(broken), classes, seed

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.broken:
            raise Unreadable(index, "cut short")
        label = -1 if self.labels is None else int(self.labels[index])
        pattern = 0 if self.patterns is None else int(self.patterns[index])
        return Sample(drawn(pattern) + self.noise * drawn(1000 * (self.seed + 1) + index), label)

    def path(self, index):
        return f"picture {index}"
