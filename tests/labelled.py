"""A source made in a line: a picture of label k is of value k."""

import numpy as np
import torch

from pymim.data import Sample, Unreadable


class Labelled:
    """Picture i is float32 [3 8 8], all of its label's value and `noise`; those in `broken` are Unreadable."""

    def __init__(self, labels, noise=0.0, broken=(), classes=None, count=0):
        self.labels = None if labels is None else np.asarray(labels, np.int64)
        self.count = count if labels is None else len(labels)
        self.noise, self.broken, self.classes = noise, set(broken), classes

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.broken:
            raise Unreadable(index, "cut short")
        label = -1 if self.labels is None else int(self.labels[index])
        random = torch.Generator().manual_seed(index)
        return Sample(label + self.noise * torch.randn(3, 8, 8, generator=random), label)

    def path(self, index):
        return f"picture {index}"
