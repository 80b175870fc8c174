"""What k-means refuses, how its starts are distributed, and that its torch ops are sound."""

import numpy as np
import pytest
import sklearn.cluster
import torch
from scipy.stats import chisquare

from pymim import _core
from pymim.ops import kmeans
from pymim.ops.kmeans import steps

POINTS, CENTROIDS = torch.ones(4, 3), torch.ones(2, 3)
NAN = torch.tensor([[1.0, 2, 3], [1, float("nan"), 3]])


@pytest.mark.parametrize(
    ("points", "centroids", "error", "message"),
    [
        (POINTS[0], CENTROIDS, ValueError, "assign: points: expected 2 axes, got 1"),
        (POINTS, CENTROIDS[0], ValueError, "assign: centroids: expected 2 axes, got 1"),
        (
            POINTS,
            torch.ones(2, 4),
            ValueError,
            r"assign: centroids: expected \[K D\] = \[2 3\], got \[2 4\]",
        ),
        (POINTS, torch.ones(0, 3), ValueError, "assign: centroids: expected at least one"),
        (
            torch.ones(4, 0),
            torch.ones(2, 0),
            ValueError,
            "assign: points: expected at least one column",
        ),
        (
            POINTS.double(),
            CENTROIDS,
            TypeError,
            "assign: points: expected dtype float32, got float64",
        ),
        (
            POINTS,
            CENTROIDS.bfloat16(),
            TypeError,
            "assign: centroids: expected dtype float32, got bfloat16",
        ),
        (torch.ones(3, 4).T, CENTROIDS, ValueError, "assign: points: expected a contiguous array"),
        (
            NAN,
            CENTROIDS,
            ValueError,
            "assign: points: expected rows .* got row 1 with NaN, infinity",
        ),
        (POINTS / 0, CENTROIDS, ValueError, "assign: points: expected rows .* got row 0"),
        (POINTS * 1e30, CENTROIDS, ValueError, "assign: points: expected rows .* or an overflow"),
        pytest.param(
            *(POINTS, NAN, ValueError, "assign: centroids: expected rows .* got row 1"),
            marks=pytest.mark.skipif(
                _core.emulated, reason="CUDA passes over such a centroid, unrefused"
            ),
        ),
        (POINTS, CENTROIDS / 0, ValueError, "assign: centroids: expected rows .* got row 0"),
        ([1, 2], CENTROIDS, TypeError, "assign: points: expected a tensor or array, got list"),
    ],
)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_assign_refuses(points, centroids, error, message, metric):
    with pytest.raises(error, match=message):
        kmeans.assign(points, centroids, metric=metric)


def test_accumulate_refuses():
    found = kmeans.assign(POINTS, CENTROIDS)
    zeros = kmeans.Statistics.zeros(2, 3)

    def refuses(message, error=ValueError, assignment=found, statistics=zeros, **options):
        with pytest.raises(error, match=message):
            kmeans.accumulate(POINTS, assignment, statistics, **options)

    refuses("accumulate: metric: expected 'l2' or 'cosine', got 'l1'", metric="l1")
    refuses("accumulate: weights: expected finite and not negative, got -1", weights=-torch.ones(4))
    refuses(
        "accumulate: weights: expected finite and not negative, got nan",
        weights=torch.ones(4) * np.nan,
    )
    refuses(r"accumulate: weights: expected \[B\] = \[4\], got \[3\]", weights=torch.ones(3))
    refuses(
        "accumulate: labels: expected below 2",
        assignment=kmeans.Assignment(torch.full((4,), 2), found.distances),
    )
    refuses(
        "accumulate: labels: expected dtype int64",
        TypeError,
        kmeans.Assignment(found.labels.int(), found.distances),
    )
    refuses(r"accumulate: sums: expected \[K D\]", statistics=kmeans.Statistics.zeros(2, 4))
    assert not any(part.any() for part in zeros)


def test_update_refuses():
    zeros = kmeans.Statistics.zeros(2, 3)
    with pytest.raises(ValueError, match="update: empty: expected 'split' or 'keep', got 'drop'"):
        kmeans.update(zeros, CENTROIDS, empty="drop")
    with pytest.raises(
        ValueError, match=r"update: centroids: expected \[K D\] = \[2 3\], got \[4 3\]"
    ):
        kmeans.update(zeros, POINTS)


@pytest.mark.parametrize("empty", ["split", "keep"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "counts",
            -1.0,
            "update: counts: expected finite and not negative, got -1 of cluster 1; start",
        ),
        (
            "counts",
            np.nan,
            "update: counts: expected finite and not negative, got -?nan of cluster 1",
        ),
        ("errors", -2.0, "update: errors: expected finite and not negative, got -2 of cluster 1"),
        (
            "errors",
            np.inf,
            "update: errors: expected finite and not negative, got inf of cluster 1",
        ),
        (
            "sums",
            np.nan,
            "update: sums: expected means that are finite floats, got another of cluster 1; accum",
        ),
        (
            "sums",
            1e300,
            "update: sums: expected means that are finite floats, got another of cluster 1",
        ),
    ],
)
def test_update_refuses_statistics_that_do_not_fit(name, value, message, empty):
    statistics = kmeans.Statistics(
        *(torch.ones(shape, dtype=torch.float64) for shape in ((3, 2), (3,), (3,)))
    )
    getattr(statistics, name)[1] = value
    with pytest.raises(ValueError, match=message):
        kmeans.update(statistics, torch.ones(3, 2), empty=empty)


def test_a_cluster_without_rows_never_donates(device):
    statistics = kmeans.Statistics.zeros(3, 2, device)
    statistics.errors[:] = 1  # as where a moving average let the counts underflow first
    new = kmeans.update(statistics, torch.ones(3, 2, device=device))
    assert torch.equal(new.cpu(), torch.ones(3, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters: expected at least 1, got 0"),
        ({"restarts": 0}, "restarts: expected at least 1"),
        ({"metric": "l1"}, "metric: expected 'l2' or 'cosine'"),
        ({"start": "best"}, "start: expected 'k-means"),
        ({"decay": 2}, "decay: expected 0 to 1"),
        ({"max_size": 1, "group": "world"}, "max_size: expected None with a group"),
    ],
)
def test_class_refuses_options(options, message):
    with pytest.raises(ValueError, match=f"KMeans: {message}"):
        kmeans.KMeans(**({"clusters": 2} | options))


def test_class_refuses_data():
    def refuses(message, data, weights=None, **options):
        with pytest.raises(ValueError, match=message):
            kmeans.KMeans(2, **options).fit(data, weights)

    refuses("KMeans: data: expected an array or an iterable that starts afresh", iter([POINTS]))
    refuses("KMeans: data: expected 2 axes, got 1", POINTS[0])
    refuses("KMeans: data: expected at least one row, got none", POINTS[:0])
    refuses(
        "KMeans: data: expected at least one row with a positive weight", POINTS, torch.zeros(4)
    )
    refuses("KMeans: weights: expected 4", POINTS, torch.ones(3))
    refuses("KMeans: weights: expected None beside an iterable", [POINTS], torch.ones(4))
    refuses(r"KMeans: start: expected \[K D\] = \[2 3\], got \[4 3\]", POINTS, start=POINTS)
    refuses("KMeans: data: expected one array under max_size", [POINTS], max_size=2)
    refuses("assign_balanced: max_size: expected room for 4 rows, got 1", POINTS, max_size=1)
    refuses(r"KMeans: data: expected rows .* got row 1 with NaN", NAN, start=CENTROIDS, max_size=2)
    with pytest.raises(ValueError, match="KMeans: centroids: expected a fitted object"):
        kmeans.KMeans(2).predict(POINTS)
    with pytest.raises(ValueError, match="HierarchicalKMeans: restarts: expected nothing, got 2"):
        kmeans.HierarchicalKMeans(2, 2, restarts=2)
    with pytest.raises(ValueError, match="plus_plus: clusters: expected at least one"):
        kmeans.plus_plus(POINTS, 0)
    with pytest.raises(ValueError, match="plus_plus: weights: expected at least one above zero"):
        kmeans.plus_plus(POINTS, 2, weights=torch.zeros(4))


def test_plus_plus_chooses_as_scikit_learn_does():
    points = torch.tensor([[0.0], [1], [3], [7], [7.5], [20]])
    counts = np.zeros((2, 6, 6))
    for seed in range(1200):
        first, second = kmeans.plus_plus(points, 2, seed=seed).tolist()
        counts[0, first, second] += 1
        _, theirs = sklearn.cluster.kmeans_plusplus(
            points.numpy(), 2, random_state=seed, n_local_trials=1
        )
        counts[1, theirs[0], theirs[1]] += 1
    squares = torch.cdist(points, points).double().square().numpy()
    expected = (squares / squares.sum(1, keepdims=True) / 6).ravel()
    for chosen in counts.reshape(2, -1):
        assert chisquare(chosen[expected > 0], 1200 * expected[expected > 0]).pvalue > 1e-3
        assert not chosen[expected == 0].any()


def test_plus_plus_follows_weights_and_repeats_when_rows_run_out():
    points = torch.arange(4.0)[:, None]
    chosen = kmeans.plus_plus(points, 3, weights=torch.tensor([0.0, 1, 0, 1]))
    assert set(chosen.tolist()) == {1, 3}
    assert isinstance(kmeans.plus_plus(points.numpy(), 2), np.ndarray)


def test_random_start_is_uniform():
    points = torch.arange(8.0)[:, None]
    starts = [
        kmeans.KMeans(3, start="random", iterations=0, seed=s).fit(points).centroids
        for s in range(400)
    ]
    assert all(len(torch.unique(start)) == 3 for start in starts)
    assert (
        chisquare(torch.bincount(torch.cat(starts)[:, 0].long(), minlength=8).numpy()).pvalue > 1e-3
    )


def test_registered_ops_are_sound():
    found = kmeans.assign(POINTS, CENTROIDS)
    torch.library.opcheck(steps._assign, (POINTS, CENTROIDS, False))
    given = (
        POINTS,
        found.labels,
        torch.ones(4),
        found.distances,
        True,
        *kmeans.Statistics.zeros(2, 3),
    )
    torch.library.opcheck(steps._accumulate, given)
    torch.library.opcheck(steps._update, (*kmeans.Statistics.zeros(2, 3), CENTROIDS, False, True))

    def step(points, centroids):
        statistics = kmeans.Statistics.zeros(2, 3)
        kmeans.accumulate(points, kmeans.assign(points, centroids), statistics)
        return kmeans.update(statistics, centroids)

    points = torch.randn(9, 3)
    centroids = points[:2].clone()
    assert torch.equal(
        torch.compile(step, fullgraph=True, backend="aot_eager")(points, centroids),
        step(points, centroids),
    )


def test_gradients_stop_at_assignments():
    points = POINTS.clone().requires_grad_()
    found = kmeans.assign(points, CENTROIDS.clone().requires_grad_())
    assert not found.distances.requires_grad
