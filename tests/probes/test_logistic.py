"""Logistic regression beside scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pymim.probes.logistic import fit


@pytest.fixture(scope="module")
def handwritten():
    """Standardised pixels of real digits, some of which never differ, and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images - images.mean(0)) / np.maximum(images.std(0), 1e-6)
    return torch.from_numpy(images).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
def test_equals_scikit_learn(strength, handwritten):
    features, labels = (each[:900] for each in handwritten)
    theirs = LogisticRegression(C=1 / (strength * 900), solver="newton-cg", tol=1e-6, max_iter=10_000)
    theirs.fit(features.double().numpy(), labels.numpy())
    ours = fit(features, labels, 10, strength, tolerance=1e-7)
    assert ours.converged
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=2e-3 * np.abs(theirs.coef_).max())
    chances = ours(handwritten[0]).softmax(1)
    np.testing.assert_allclose(chances, theirs.predict_proba(handwritten[0].numpy()), atol=3e-3)


def test_a_start_saves_steps_and_changes_nothing(handwritten):
    features, labels = (each[:300] for each in handwritten)
    cold = fit(features, labels, 10, 1e-3, tolerance=1e-7)
    warm = fit(features, labels, 10, 1e-3, start=fit(features, labels, 10, 1e-2), tolerance=1e-7)
    torch.testing.assert_close(warm.weight, cold.weight, atol=1e-4, rtol=1e-3)
    again = fit(features, labels, 10, 1e-3, start=cold, iterations=1)
    torch.testing.assert_close(again.weight, cold.weight, atol=1e-6, rtol=1e-5)


def test_says_that_it_has_not_converged(handwritten):
    assert not fit(*handwritten, 10, 1e-4, iterations=3).converged


def test_one_class_more_than_is_there_gets_no_bit(handwritten):
    features, labels = (each[:300] for each in handwritten)
    assert int(fit(features, labels, 12, 1e-2)(features).argmax(1).max()) < 10
