"""Logistic regression beside scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pymim.probes.logistic import Principal, fit


@pytest.fixture(scope="module")
def handwritten():
    """Standardised pixels of real digits, some of which never differ, and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images - images.mean(0)) / np.maximum(images.std(0), 1e-6)
    return torch.from_numpy(images).float(), torch.from_numpy(labels)


@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
def test_equals_scikit_learn(strength, handwritten):
    features, labels = (each[:900] for each in handwritten)
    theirs = LogisticRegression(
        C=1 / (strength * 900), solver="newton-cg", tol=1e-6, max_iter=10_000
    )
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


def test_classes_without_pictures_are_never_predicted(handwritten):
    features, labels = (each[:300] for each in handwritten)
    assert int(fit(features, labels, 12, 1e-2)(features).argmax(1).max()) < 10


@pytest.mark.parametrize("count", [40, 64, 300])
def test_principal_axes_give_the_same_answer(count, handwritten):
    """Also of fewer rows than features, whose span is all that there is to look at."""
    features, labels = (each[:count] for each in handwritten)
    space = Principal.of(features)
    rank = min(count, 64)
    assert space.coordinates.shape == (count, rank) and space.axes.shape == (64, rank)
    torch.testing.assert_close(space.axes.T @ space.axes, torch.eye(rank, dtype=torch.float64))
    torch.testing.assert_close(space.coordinates @ space.axes.T, features.double())
    plain = fit(features, labels, 10, 1e-2, tolerance=1e-7)
    turned = space.back(fit(space.coordinates, labels, 10, 1e-2, tolerance=1e-7))
    torch.testing.assert_close(turned.weight, plain.weight, atol=1e-4, rtol=1e-3)


def test_principal_axes_are_sooner_of_features_that_are_nearly_one(handwritten):
    features, labels = (each[:300] for each in handwritten)
    alike = features + 30 * features.mean(1, keepdim=True)
    assert fit(Principal.of(alike).coordinates, labels, 10, 0.1, iterations=40).converged
    assert not fit(alike, labels, 10, 0.1, iterations=40).converged
