"""The embedded digits are scikit-learn's, read without its readers."""

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from pymim.data import digits


def test_glyphs_and_photographs_are_what_the_librarys_readers_give():
    glyphs, labels = digits._glyphs()
    theirs = load_digits()
    assert torch.equal(glyphs, torch.from_numpy(theirs.images).float() / 16)
    assert np.array_equal(labels, theirs.target) and labels.dtype == np.int64
    halves = [np.array(Image.fromarray(photo).reduce(2)) for photo in load_sample_images().images]
    assert torch.equal(digits._photos(), torch.from_numpy(np.stack(halves)))
