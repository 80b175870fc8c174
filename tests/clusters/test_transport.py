"""Assignments: who is balanced with whom, in which order, over how many processes."""

import pytest
import torch
from torch.nn.functional import normalize

from pymim.clusters import Transport, transport
from tests.ops.ranks import two_ranks

TOY = torch.tensor([[0.0, 1], [2, 0], [1, 1], [0, 3]])


def shares_of(transport, features, prototypes):
    return transport.shares(features @ prototypes.T, transport(features, prototypes))


def biased(places=10, images=256, clusters=40, width=16):
    """Tokens of which most is said by their place."""
    torch.manual_seed(0)
    features = 4 * torch.randn(1, places, width) + torch.randn(images, places, width)
    return normalize(features, dim=-1), torch.randn(clusters, width)


def test_clusters_first_then_tokens_three_times():
    three, many = (Transport(0.5, n, by="position") for n in (3, 100))
    expected = torch.tensor(
        [(0.334562, 0.665438), (0.995094, 0.004906), (0.787911, 0.212089), (0.009125, 0.990875)]
    )
    found = shares_of(three, TOY[:, None], torch.eye(2))[:, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.sum(0), torch.tensor([2.126692, 1.873308]), rtol=0, atol=2e-6)
    limit = torch.tensor(
        [(0.268941, 0.731059), (0.993307, 0.006693), (0.731059, 0.268941), (0.006693, 0.993307)]
    )
    found = shares_of(many, TOY[:, None], torch.eye(2))[:, 0]
    torch.testing.assert_close(found, limit, rtol=0, atol=1e-6)


def test_by_position_no_cluster_stands_for_a_place():
    features, prototypes = biased()
    spread = {}
    for by in ("position", "batch"):
        sizes = shares_of(Transport(0.05, 50, by), features, prototypes).sum(0)  # [places K]
        spread[by] = float((sizes.amax(0) - sizes.amin(0)).max())
    assert spread["position"] < 0.5  # each place uses every cluster alike: 256 / 40 times
    assert spread["batch"] > 14


def test_shares_sum_to_one_and_cluster_sizes_only_nearly():
    features, prototypes = biased()
    shares = shares_of(Transport(0.05, 3, "position"), features, prototypes)
    torch.testing.assert_close(shares.sum(-1), torch.ones(256, 10), rtol=0, atol=1e-6)
    sizes = shares.sum(0)
    assert (sizes - 6.4).abs().max() > 0.01
    assert (
        shares_of(Transport(0.05, 50, "position"), features, prototypes).sum(0) - 6.4
    ).abs().max() < 0.2


def test_images_of_a_position_may_be_shuffled():
    features, prototypes = biased()
    how, order = Transport(0.05, 3, "position"), torch.randperm(256)
    shuffled = features.clone()
    shuffled[:, 3] = features[order, 3]
    shares, other = shares_of(how, features, prototypes), shares_of(how, shuffled, prototypes)
    torch.testing.assert_close(other[:, 3], shares[order, 3], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(other[:, 4], shares[:, 4], rtol=1e-4, atol=1e-6)


def test_a_number_for_a_place_and_a_cluster_is_absorbed():
    features, prototypes = biased()
    how, extra = (
        Transport(0.5, 3, "position"),
        torch.randn(1, 10, 16),
    )  # adds <extra, prototype> at each place
    moved = how.shares((features + extra) @ prototypes.T, how(features + extra, prototypes))
    torch.testing.assert_close(moved, shares_of(how, features, prototypes), rtol=1e-3, atol=1e-5)


def test_shares_do_not_depend_on_which_places_are_asked_for():
    features, prototypes = biased()
    how = Transport(0.05, 3, "position")
    column = how(features, prototypes)
    ids = torch.stack([torch.randperm(10)[:3] for _ in range(256)])
    rows = torch.arange(256)[:, None]
    asked = how.shares(features[rows, ids] @ prototypes.T, column, ids)
    whole = how.shares(features @ prototypes.T, column)
    torch.testing.assert_close(asked, whole[rows, ids])
    assert torch.equal(
        how.labels(features[rows, ids] @ prototypes.T, column, ids), asked.argmax(-1)
    )


def test_wide_scores_leave_no_token_without_shares():
    torch.manual_seed(0)
    scores = (
        20 / 0.06 * torch.randn(64, 1, 512)
    )  # the release's exponentials underflow for half of these rows
    shares = shares_of(Transport(1.0, 3, "position"), scores, torch.eye(512))
    torch.testing.assert_close(shares.sum(-1), torch.ones(64, 1))


def test_with_one_place_balance_by_position_equals_balance_by_batch():
    features, prototypes = biased(places=1)
    one, other = (
        shares_of(Transport(0.05, 3, by), features, prototypes) for by in ("position", "batch")
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("by", ["position", "batch"])
def test_chunks_change_nothing(by, monkeypatch):
    features, prototypes = biased()
    whole = Transport(0.05, 3, by)(features, prototypes)
    monkeypatch.setattr(transport, "_most", lambda tensor: 3 * 256 * 40)
    assert len([*transport.chunks(features, 40)]) == 4
    torch.testing.assert_close(
        Transport(0.05, 3, by)(features, prototypes), whole, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("by", ["position", "batch"])
def test_two_processes_give_the_answer_of_one(by):
    features, prototypes = biased(images=12)
    features[:, :, 0] += torch.arange(12)[
        :, None
    ]  # the largest score of a cluster is on one of the two only

    def half(rank, group):
        how = Transport(0.05, 3, by)
        how.group = group
        return how(features[[slice(0, 5), slice(5, 12)][rank]], prototypes)

    whole = Transport(0.05, 3, by)(features, prototypes)
    for column in two_ranks(half):
        torch.testing.assert_close(column, whole, rtol=1e-5, atol=1e-4)


def test_bad_by_is_refused():
    with pytest.raises(
        ValueError, match="Transport: by: expected one of position, batch, got 'image'"
    ):
        Transport(by="image")
