"""KMeans against the plain reference and scikit-learn; streams, processes, state, corners."""

import itertools

import numpy as np
import pytest
import sklearn.cluster
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sklearn.metrics import normalized_mutual_info_score as nmi

from pymim.ops.kmeans import (
    HierarchicalKMeans,
    KMeans,
    Statistics,
    accumulate,
    assign,
    assign_balanced,
    update,
)
from tests import reference
from tests.launch import one_of_two

pytestmark = pytest.mark.slow


def blobs(clusters, each, width, seed=0, spread=0.05):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(clusters, width, generator=generator)
    noise = torch.randn(clusters * each, width, generator=generator)
    truth = torch.arange(clusters).repeat_interleave(each)
    order = torch.randperm(len(truth), generator=generator)
    return (centres[truth] + spread * noise)[order], truth[order]


def test_lloyd_equals_reference(device):
    points, _ = blobs(6, 50, 8, spread=0.8)
    start = points[:9].clone()
    fitted = KMeans(9, start=start, iterations=5, empty="keep", device=device).fit(points)
    centroids, history = reference.kmeans.lloyd(points, start, 5)
    torch.testing.assert_close(fitted.centroids.cpu(), centroids)
    torch.testing.assert_close(torch.tensor(fitted.history[:5]), torch.tensor(history))


def test_objective_is_that_of_scikit_learn():
    points, _ = blobs(10, 100, 16, spread=0.7)
    start = points[:20].clone()
    theirs = sklearn.cluster.KMeans(
        20, init=start.numpy(), n_init=1, max_iter=12, tol=0, algorithm="lloyd"
    )
    theirs.fit(points.numpy())
    ours = KMeans(20, start=start, iterations=12).fit(points)
    assert ours.objective == pytest.approx(theirs.inertia_, rel=1e-3)
    exact = assign(points, ours.centroids).distances.double().sum()
    assert ours.objective == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize("start", ["k-means++", "k-means||"])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_separated_blobs_are_recovered(start, metric, device):
    points, truth = blobs(20, 60, 24)
    labels = (
        KMeans(20, start=start, metric=metric, restarts=3, device=device)
        .fit(points)
        .predict(points)
    )
    assert nmi(truth, labels.cpu()) > 0.95
    names = torch.randperm(20)
    assert nmi(labels.cpu(), names[labels.cpu()]) == pytest.approx(1)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("seed", range(5))
def test_objective_never_rises(metric, seed):
    points = torch.randn(400, 6, generator=torch.Generator().manual_seed(seed))
    weights = torch.rand(400, generator=torch.Generator().manual_seed(seed + 99))
    history = (
        KMeans(12, metric=metric, empty="keep", start="random", seed=seed)
        .fit(points, weights)
        .history
    )
    assert len(history) > 2
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(history))


@pytest.mark.parametrize("seed", range(5))
def test_objective_rises_at_splits_alone(seed):
    points = torch.randn(400, 3, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    start = torch.cat(
        [points[:6], points[:2], points[:4] * 50 + 100]
    )  # of twelve, six are nearest to nothing
    centroids, objectives, split = start, [], []
    for _ in range(12):
        found, statistics = assign(points, centroids), Statistics.zeros(12, 3)
        accumulate(points, found, statistics)
        objectives.append(float(found.distances.double().sum()))
        split.append(bool((statistics.counts == 0).any()))
        centroids = update(statistics, centroids, empty="split")
    assert split[0] and not all(split)
    for before, after, splits in zip(objectives, objectives[1:], split, strict=False):
        assert splits or after <= before * (1 + 1e-6)
    fitted = KMeans(12, start=start, iterations=11).fit(points)
    assert fitted.history[:12] == pytest.approx(objectives, rel=1e-6)


def test_streams_of_any_kind_and_chunk_give_the_same_bits(tmp_path):
    points, _ = blobs(5, 101, 7, spread=1)
    weights = torch.rand(len(points))
    np.save(tmp_path / "points.npy", points.numpy())
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    pairs = list(zip(points.split(77), weights.split(77), strict=True))
    for start in ("random", "k-means++", "k-means||"):
        whole = KMeans(11, start=start, seed=4).fit(points, weights)
        for data, w, rows in ((mapped, weights, 200), (pairs, None, 9)):
            streamed = KMeans(11, start=start, seed=4, rows=rows).fit(data, w)
            assert torch.equal(streamed.centroids, whole.centroids)
            assert torch.equal(streamed.predict(mapped), whole.predict(points))


def test_seed_decides_whatever_the_threads():
    points, _ = blobs(8, 50, 12, spread=1)
    threads, results = torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(KMeans(10, start="k-means||", seed=7).fit(points).centroids)
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], KMeans(10, start="k-means||", seed=8).fit(points).centroids)


def test_weights_count_as_repeated_rows():
    points, _ = blobs(4, 30, 5, spread=1)
    repeats = torch.randint(1, 4, (len(points),), generator=torch.Generator().manual_seed(0))
    start = points[:6].clone()
    weighted = KMeans(6, start=start, iterations=8).fit(points, repeats.float())
    repeated = KMeans(6, start=start, iterations=8).fit(points.repeat_interleave(repeats, 0))
    torch.testing.assert_close(weighted.centroids, repeated.centroids)
    assert weighted.objective == pytest.approx(repeated.objective)


def test_restarts_keep_the_best():
    points, _ = blobs(12, 20, 3, spread=0.1)
    single = [KMeans(12, start="random", seed=seed).fit(points).objective for seed in range(4)]
    assert KMeans(12, start="random", restarts=4).fit(points).objective == min(single)


def test_tolerance_and_fixed_point_stop_early():
    points, _ = blobs(3, 50, 4)
    assert len(KMeans(3, iterations=100).fit(points).history) < 20
    loose = KMeans(9, iterations=100, tolerance=0.2, start="random").fit(points)
    assert len(loose.history) < len(KMeans(9, iterations=100, start="random").fit(points).history)


@pytest.mark.parametrize("start", ["random", "k-means++", "k-means||"])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_edge_cases_have_defined_answers(start, metric, device):
    options = {"start": start, "metric": metric, "device": device}
    one = KMeans(5, **options).fit(torch.ones(1, 3))  # K > N
    assert one.objective < 1e-6
    assert one.predict(torch.ones(2, 3)).tolist() == [0, 0]
    same = KMeans(10, **options).fit(torch.full((50, 4), 2.0))  # duplicate rows
    assert int((same.counts > 0).sum()) == 1
    assert bool(same.centroids.isfinite().all())
    zeros = KMeans(2, **options).fit(torch.zeros(6, 4))
    assert zeros.predict(torch.zeros(6, 4)).tolist() == [0] * 6


def test_partial_fit_is_a_running_mean():
    points, _ = blobs(1, 90, 4, spread=1)
    online = KMeans(1, start=points[:1].clone())
    for batch in points.split(20):
        online.partial_fit(batch)
    torch.testing.assert_close(online.centroids[0], points.mean(0))


def test_partial_fit_with_decay_is_an_exponential_average():
    a, b = torch.full((4, 2), 1.0), torch.full((4, 2), 3.0)
    average = KMeans(1, start=a[:1].clone(), decay=0.5)
    average.partial_fit(a).partial_fit(b)
    torch.testing.assert_close(average.centroids, torch.full((1, 2), (0.5 * 1 + 3) / 1.5))


def test_state_resumes_bit_for_bit():
    batches = torch.randn(6, 40, 5, generator=torch.Generator().manual_seed(0))
    whole, first = KMeans(7, seed=1), KMeans(7, seed=1)
    for batch in batches:
        whole.partial_fit(batch)
    for batch in batches[:3]:
        first.partial_fit(batch)
    resumed = KMeans(7)
    resumed.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        resumed.partial_fit(batch)
    assert torch.equal(resumed.centroids, whole.centroids)
    with pytest.raises(ValueError, match="KMeans: state: expected 8 centroids, got 7"):
        KMeans(8).load_state_dict(first.state_dict())


def test_size_cap_holds_and_is_stable():
    points, _ = blobs(3, 40, 6, spread=0.5)
    centroids = points[:8].clone()
    found = assign_balanced(points, centroids, 15)
    sizes = torch.bincount(found.labels, minlength=8)
    assert sizes.sum() == 120
    assert sizes.max() == 15
    cost = torch.cdist(points, centroids).square()
    furthest = torch.stack([cost[found.labels == k, k].max() for k in range(8)])
    envy = cost < found.distances[:, None] * (1 - 1e-5)  # clusters a row would rather be in
    assert not (envy & ((sizes < 15) | (cost < furthest * (1 - 1e-5)))).any()
    assert torch.equal(
        assign_balanced(points, centroids, 120).labels, assign(points, centroids).labels
    )
    capped = KMeans(8, max_size=15, iterations=5).fit(points)
    assert capped.counts.max() <= 15


def test_hierarchy_nests():
    points, truth = blobs(12, 30, 10)
    fitted = HierarchicalKMeans(3, 4, seed=2).fit(points)
    labels = fitted.predict(points)
    assert torch.equal(labels // 4, fitted.top.predict(points))
    assert fitted.centroids.shape == (12, 10)
    assert nmi(truth, labels) > 0.8
    assert all(b <= a * 1.001 for a, b in itertools.pairwise(fitted.history[2:]))
    again = HierarchicalKMeans(3, 4)
    again.load_state_dict(fitted.state_dict())
    assert torch.equal(again.predict(points), labels)


def test_hierarchy_survives_empty_clusters():
    fitted = HierarchicalKMeans(4, 3).fit(torch.ones(5, 2))
    assert fitted.predict(torch.ones(2, 2)).tolist() == [0, 0]


def run_rank(rank, folder, points, start):
    with one_of_two(rank, folder):
        fitted = KMeans(7, start=start, group=dist.group.WORLD).fit(points[rank])
        torch.save((fitted.centroids, fitted.history), f"{folder}/{rank}.pt")


def test_two_processes_give_the_answer_of_one(tmp_path):
    points, _ = blobs(5, 60, 6, spread=1)
    start = points[:7].clone()
    mp.spawn(run_rank, (str(tmp_path), (points[:100], points[100:]), start), nprocs=2)
    alone = KMeans(7, start=start).fit(points)
    for rank in range(2):
        centroids, history = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(centroids, alone.centroids, rtol=1e-6, atol=1e-6)
        assert history == pytest.approx(alone.history, rel=1e-9)


def run_start(rank, folder, points, method):
    with one_of_two(rank, folder):
        group = dist.group.WORLD
        flat = KMeans(6, start=method, seed=3, iterations=4, group=group).fit(
            points[rank].split(41)
        )
        nested = HierarchicalKMeans(3, 4, start=method, seed=2, iterations=4, group=group).fit(
            points[rank]
        )
        labels = nested.predict(points[rank])
        torch.save(
            (flat.centroids, nested.top.centroids, nested.centroids, labels), f"{folder}/{rank}.pt"
        )


@pytest.mark.parametrize("method", ["k-means++", "k-means||", "random"])
def test_two_processes_start_and_nest_as_one(method, tmp_path):
    """A top cluster far from the others has rows in the second process alone."""
    points, _ = blobs(9, 30, 5, spread=0.5)
    points[180:] += 100
    parts = points[:180].contiguous(), points[180:].contiguous()
    mp.spawn(run_start, (str(tmp_path), parts, method), nprocs=2)
    flat = KMeans(6, start=method, seed=3, iterations=4).fit(points)
    nested = HierarchicalKMeans(3, 4, start=method, seed=2, iterations=4).fit(points)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for centroids, top, inside, _ in found:
        torch.testing.assert_close(centroids, flat.centroids, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(top, nested.top.centroids, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(inside, nested.centroids, rtol=1e-5, atol=1e-5)
    labels = [nested.predict(part) for part in parts]
    assert all(torch.equal(ours[3], expected) for ours, expected in zip(found, labels, strict=True))
    assert len(set((labels[1] // 4).tolist()) - set((labels[0] // 4).tolist())) > 0


def test_one_pass_in_chunks_is_a_lloyd_step():
    points, _ = blobs(5, 60, 6, spread=1)
    parts, whole = Statistics.zeros(4, 6), Statistics.zeros(4, 6)
    for chunk in points.split(17):
        accumulate(chunk, assign(chunk, points[:4].clone()), parts)
    accumulate(points, assign(points, points[:4].clone()), whole)
    assert all(torch.equal(a, b) for a, b in zip(parts, whole, strict=True))
