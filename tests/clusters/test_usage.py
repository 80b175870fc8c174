"""Collapse shows in how clusters are used."""

import pytest
import torch

from pymim import measures
from pymim.clusters import Prototypes


def usage(assignments, clusters):
    return {
        name: tally.value.item() for name, tally in measures.usage(assignments, clusters).items()
    }


def test_even_hard_labels_use_every_cluster():
    found = usage(torch.arange(12).view(3, 4) % 6, 6)
    assert found == pytest.approx({"entropy": 0, "balance": 1, "used": 1}, abs=1e-6)


def test_one_label_for_all_is_a_collapse():
    found = usage(torch.full((30,), 4), 6)
    assert found["balance"] == 0
    assert found["used"] == pytest.approx(1 / 6)


def test_uniform_shares_have_an_entropy_and_a_balance_of_one():
    found = usage(torch.full((2, 5, 8), 1 / 8), 8)
    assert found["entropy"] == pytest.approx(1)
    assert found["balance"] == pytest.approx(1)
    sharp = usage(torch.eye(8)[None], 8)
    assert sharp["entropy"] == 0
    assert sharp["used"] == 1


def test_fewer_patches_than_clusters_can_have_a_balance_of_one():
    found = usage(torch.tensor([3, 90, 7]), 100)
    assert found["balance"] == pytest.approx(1)
    assert found["used"] == 1


@pytest.mark.parametrize("soft", [False, True])
def test_tallies_of_pieces_add_up_to_those_of_the_whole(soft):
    """No average of pieces would do: each piece of four labels uses four clusters, or one."""
    labels = torch.tensor([0, 1, 2, 3, 5, 5, 5, 5])
    scores = torch.nn.functional.one_hot(labels, 20).float() * torch.arange(1.0, 9)[:, None]
    whole, pieces = [], []
    for rows, found in ((slice(None), whole), (slice(0, 4), pieces), (slice(4, 8), pieces)):
        found.append(measures.usage(scores[rows].softmax(1) if soft else labels[rows], 20))
    for name, tally in whole[0].items():
        summed = tally._replace(sums=pieces[0][name].sums + pieces[1][name].sums)
        torch.testing.assert_close(summed.value, tally.value)
    assert whole[0]["used"].value.item() == 5 / 8


def test_prototypes_are_unit_vectors_and_come_back_to_that():
    torch.manual_seed(0)
    prototypes = Prototypes(8, 5)
    tokens = torch.randn(3, 8, requires_grad=True)
    assert prototypes(tokens).abs().max() <= 1 + 1e-6
    prototypes(tokens).sum().backward()
    with torch.no_grad():
        prototypes.weight.mul_(0.3)  # as weight decay might
    prototypes.after_step(torch.nn.Identity(), 0)
    torch.testing.assert_close(prototypes.weight.norm(dim=1), torch.ones(5))
    prototypes.weight.grad = None
    prototypes(tokens, detach=True).sum().backward()
    assert prototypes.weight.grad is None
