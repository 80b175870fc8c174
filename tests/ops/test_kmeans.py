"""The half-steps of k-means against the plain reference, and the promises they make."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pymim.ops import kmeans
from tests import reference

METRICS = ["l2", "cosine"]
# (B, K, D): one of each, odd, K > B, several panels and column blocks, empty
SHAPES = [(1, 1, 1), (7, 3, 5), (3, 40, 9), (100, 67, 64), (130, 1100, 33), (257, 2, 17), (0, 4, 3)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def rows(b, k, d, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(b, d, generator=generator).to(dtype), torch.randn(k, d, generator=generator)


def check_nearest(result, points, centroids, metric, slack=1e-5):
    """Every label names a centroid as near as the nearest, but for float32 rounding."""
    _, best = reference.kmeans.assign(points, centroids, metric)
    chosen = centroids[result.labels.cpu()].double()
    if metric == "l2":
        own = (points.double() - chosen).square().sum(1)
    else:
        own = 1 - torch.cosine_similarity(points.double(), chosen, eps=1e-300)
    torch.testing.assert_close(own, best, rtol=slack, atol=1e-6 if metric == "cosine" else 1e-30)
    torch.testing.assert_close(result.distances.double().cpu(), best, rtol=slack, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("b", "k", "d"), SHAPES)
def test_assign_equals_reference(b, k, d, dtype, metric, device):
    points, centroids = rows(b, k, d, dtype)
    result = kmeans.assign(points.to(device), centroids.to(device), metric=metric)
    check_nearest(result, points, centroids, metric)
    assert torch.equal(result.labels.cpu(), reference.kmeans.assign(points, centroids, metric)[0])


@pytest.mark.parametrize("scale", [1e-18, 1e-3, 1, 1e12])
def test_assign_is_exact_at_any_scale(scale, device):
    points, centroids = rows(200, 90, 48)
    points, centroids = points * scale, centroids * scale
    check_nearest(kmeans.assign(points.to(device), centroids.to(device)), points, centroids, "l2")


def test_assign_does_not_cancel_far_from_the_origin(device):
    points, centroids = rows(300, 80, 32)
    points, centroids = points + 1e3, centroids + 1e3
    result = kmeans.assign(points.to(device), centroids.to(device))
    check_nearest(result, points, centroids, "l2")


def test_assign_is_exact_where_bounds_leave_everything_open(device):
    centre = torch.randn(8, 24, generator=torch.Generator().manual_seed(1)) * 100
    points, centroids = rows(256, 160, 24, seed=2)
    points = centre.repeat(32, 1) + points * 1e-2
    centroids = centre.repeat(20, 1) + centroids * 1e-2
    check_nearest(kmeans.assign(points.to(device), centroids.to(device)), points, centroids, "l2")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spread", [0.1, 0.001])
def test_assign_is_exact_where_rounded_scores_leave_much_open(spread, dtype, metric, device):
    centre = torch.randn(8, 24, generator=torch.Generator().manual_seed(1))
    points, centroids = rows(144, 1280, 24, seed=2)
    points = (centre.repeat(18, 1) + points * spread).to(dtype)
    points[128:] = (
        torch.randn(16, 24, generator=torch.Generator().manual_seed(3)) * 9
    )  # a block that knows well
    centroids = centre.repeat(160, 1) + centroids * spread
    result = kmeans.assign(points.to(device), centroids.to(device), metric=metric)
    check_nearest(result, points, centroids, metric)


def test_equal_centroids_give_the_lower_id(device):
    points, centroids = rows(50, 30, 16)
    doubled = torch.cat([centroids, centroids]).to(device)
    for metric in METRICS:
        once = kmeans.assign(points.to(device), centroids.to(device), metric=metric)
        twice = kmeans.assign(points.to(device), doubled, metric=metric)
        assert torch.equal(once.labels, twice.labels)


def test_rows_equal_to_a_centroid_are_at_distance_zero(device):
    centroids = rows(0, 70, 20)[1] + 1e3
    result = kmeans.assign(centroids.to(device), centroids.to(device))
    assert torch.equal(result.labels.cpu(), torch.arange(70))
    assert not result.distances.any()


def test_zero_rows_and_zero_centroids_are_at_cosine_distance_one(device):
    points, centroids = torch.zeros(3, 8), rows(0, 20, 8)[1]
    result = kmeans.assign(points.to(device), centroids.to(device), metric="cosine")
    assert result.labels.tolist() == [0, 0, 0]
    assert result.distances.tolist() == [1, 1, 1]
    centroids = torch.stack([torch.zeros(8), -torch.ones(8), torch.zeros(8)]).repeat(4, 1)
    result = kmeans.assign(torch.ones(1, 8).to(device), centroids.to(device), metric="cosine")
    assert (result.labels.item(), result.distances.item()) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 80),
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.sampled_from(METRICS),
)
def test_assign_is_exact_for_lattice_points_with_many_ties(b, k, d, seed, metric):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(-2, 3, (b, d), generator=generator).float()
    centroids = torch.randint(-2, 3, (k, d), generator=generator).float()
    result = kmeans.assign(points, centroids, metric=metric)
    check_nearest(result, points, centroids, metric)
    if metric == "l2":  # every distance is an integer, so ties are ties
        exact = (points[:, None] - centroids[None]).square().sum(2)
        assert torch.equal(result.distances, exact.min(1).values)
        first = (exact == exact.min(1, keepdim=True).values).int().argmax(1)
        assert torch.equal(result.labels, first)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("b", "k", "d"), SHAPES)
def test_accumulate_and_update_equal_reference(b, k, d, dtype, metric, device):
    points, centroids = rows(b, k, d, dtype)
    weights = torch.rand(b, generator=torch.Generator().manual_seed(3))
    found = kmeans.assign(points.to(device), centroids.to(device), metric=metric)
    statistics = kmeans.Statistics.zeros(k, d, device)
    kmeans.accumulate(
        points.to(device), found, statistics, weights=weights.to(device), metric=metric
    )
    expected = reference.kmeans.accumulate(points, *(t.cpu() for t in found), k, weights, metric)
    for got, want in zip(statistics, expected, strict=True):
        torch.testing.assert_close(got.cpu(), want, rtol=1e-9, atol=1e-9)
    updated = kmeans.update(statistics, centroids.to(device), metric=metric, empty="keep")
    want = reference.kmeans.update(*expected[:2], centroids, metric).float()
    torch.testing.assert_close(updated.cpu(), want)


@pytest.mark.slow
def test_chunks_and_threads_do_not_change_a_bit():
    points, centroids = rows(3000, 37, 50)
    weights = torch.rand(3000)

    def run(cut, threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        statistics = kmeans.Statistics.zeros(37, 50)
        for part, w in zip(points.split(cut), weights.split(cut), strict=True):
            kmeans.accumulate(part, kmeans.assign(part, centroids), statistics, weights=w)
        torch.set_num_threads(before)
        return *statistics, kmeans.update(statistics, centroids)

    whole = run(3000, 1)
    for cut, threads in [(3000, 2), (3000, 5), (999, 1), (7, 2)]:
        assert all(torch.equal(a, b) for a, b in zip(whole, run(cut, threads), strict=True))


def test_negative_labels_are_left_out(device):
    points = torch.ones(4, 3, device=device)
    found = kmeans.Assignment(
        torch.tensor([-100, 0, -1, 1], device=device), torch.ones(4, device=device)
    )
    statistics = kmeans.Statistics.zeros(2, 3, device)
    kmeans.accumulate(points, found, statistics)
    assert statistics.counts.tolist() == [1, 1]
    assert statistics.errors.tolist() == [1, 1]


@pytest.mark.parametrize("scale", [1e-3, 1, 100])
def test_empty_clusters_split_the_largest_at_any_scale(scale, device):
    points = rows(60, 4, 8)[0] * scale + scale
    labels = torch.cat([torch.zeros(40), torch.ones(19), torch.full((1,), 3)]).long()
    statistics = kmeans.Statistics.zeros(6, 8, device)
    found = kmeans.Assignment(
        labels.to(device), points.square().sum(1).to(device)
    )  # from the centroids `old`
    kmeans.accumulate(points.to(device), found, statistics)
    old = torch.zeros(6, 8, device=device)
    new = kmeans.update(statistics, old)
    assert len(torch.unique(new, dim=0)) == 6
    means = kmeans.update(statistics, old, empty="keep")
    assert torch.equal(means[2], old[2])
    # 40 gives to 2 (20, 20), then again, by the lower id, to 4 (10, 10), and 2 to 5
    torch.testing.assert_close(
        (new[0] + new[4] + new[2] + new[5]) / 4, means[0], rtol=0, atol=scale * 0.2
    )
    assert torch.equal(new[3], means[3])
    assert torch.equal(new[1], means[1])


def test_two_empty_clusters_get_two_donors(device):
    statistics = kmeans.Statistics(
        torch.tensor([[6.0, 6], [0, 0], [5, 0], [0, 0]], dtype=torch.float64),
        torch.tensor([6.0, 0, 5, 0], dtype=torch.float64),
        torch.tensor(
            [13.0, 0, 6, 0], dtype=torch.float64
        ),  # 1 more than the rows' mean is from the old centroid
    )
    statistics = kmeans.Statistics(*(t.to(device) for t in statistics))
    new = kmeans.update(statistics, torch.zeros(4, 2, device=device)).cpu()
    torch.testing.assert_close(new[1], torch.tensor([1.0, 1]), atol=0.3, rtol=0)
    torch.testing.assert_close(new[3], torch.tensor([1.0, 0]), atol=0.3, rtol=0)


def test_equal_rows_never_donate(device):
    points = torch.full((20, 4), 7.0, device=device)
    centroids = torch.full((10, 4), 7.0, device=device)
    found = kmeans.assign(points, centroids)
    statistics = kmeans.Statistics.zeros(10, 4, device)
    kmeans.accumulate(points, found, statistics)
    assert not found.labels.any()
    assert torch.equal(kmeans.update(statistics, centroids), centroids)


def test_single_rows_never_donate(device):
    """Not even where nothing else could: of sizes 0, 1, 1, 1 the empty cluster stays as it was."""
    points, old = rows(3, 1, 4)[0].to(device), torch.full((4, 4), 9.0, device=device)
    for sizes in ([1, 2, 3], [1, 1, 2]):
        statistics = kmeans.Statistics.zeros(4, 4, device)
        labels = torch.tensor(sizes, device=device)
        errors = (points - old[0]).square().sum(1)  # the centroids have not come to their rows yet
        kmeans.accumulate(points, kmeans.Assignment(labels, errors), statistics)
        new = kmeans.update(statistics, old)
        single = [k for k in (1, 2, 3) if sizes.count(k) == 1]
        for k in single:
            assert torch.equal(new[k], points[sizes.index(k)])
        assert torch.equal(new[0], old[0]) == (len(single) == 3)


def test_split_halves_stay_apart_where_the_spread_rounds_away(device):
    statistics = kmeans.Statistics.zeros(2, 4, device)
    statistics.sums[0] = 1e8
    statistics.counts[0] = 1e4
    statistics.errors[0] = 1e-12
    new = kmeans.update(statistics, torch.zeros(2, 4, device=device))
    assert (new[0] != new[1]).all()


def test_numpy_in_numpy_out():
    points, centroids = (t.numpy() for t in rows(10, 3, 4))
    found = kmeans.assign(points, centroids)
    assert isinstance(found.labels, np.ndarray)
    statistics = kmeans.Statistics(np.zeros((3, 4)), np.zeros(3), np.zeros(3))
    kmeans.accumulate(points, found, statistics)
    assert statistics.counts.sum() == 10
    assert isinstance(kmeans.update(statistics, centroids), np.ndarray)
