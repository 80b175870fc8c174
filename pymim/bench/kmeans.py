"""k-means: exact assignment, and Lloyd's algorithm from the same start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Scaling, Work

ITERATIONS = 20


def _rows(b: int, k: int, d: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    points = random.standard_normal((b, d), dtype=np.float32)
    return points, random.standard_normal((k, d), dtype=np.float32)


def _blobs(b: int, k: int, d: int) -> tuple[Any, Any]:
    """Draw overlapping clusters, and rows of the data to start from."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((k, d), dtype=np.float32)
    points = centres[random.integers(k, size=b)] + random.standard_normal((b, d), dtype=np.float32)
    return points, points[:k].copy()


def _assign_pymim(inputs: Any) -> Callable[[], Any]:
    import torch

    from pymim.ops import kmeans

    points, centroids = map(torch.from_numpy, inputs)
    return lambda: kmeans.assign(points, centroids)


def _assign_torch(inputs: Any) -> Callable[[], Any]:
    """Multiply blocks of rows that stay in the cache, into memory that is already allocated."""
    import torch

    points, centroids = map(torch.from_numpy, inputs)
    turned, squares = -2 * centroids.T.contiguous(), centroids.square().sum(1)
    scores = torch.empty(1024, len(centroids))

    def run() -> tuple[Any, Any]:
        labels, least = [], []
        for part in points.split(1024):
            block = torch.addmm(squares, part, turned, out=scores[: len(part)])
            found = block.min(1)
            labels.append(found.indices)
            least.append(found.values + part.square().sum(1))
        return torch.cat(labels), torch.cat(least)

    return run


def _assign_faiss(inputs: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    import faiss

    points, centroids = inputs
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    return lambda: index.search(points, 1), lambda found: (found[1][:, 0], found[0][:, 0])


def _agree_on_nearest(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4)
    assert (ours[0] == theirs[0]).mean() > 0.9999, "labels differ by more than rounding"


def _lloyd_pymim(inputs: Any) -> Callable[[], Any]:
    import torch

    from pymim.ops import kmeans

    points, start = map(torch.from_numpy, inputs)
    return lambda: (
        kmeans.KMeans(len(start), start=start, iterations=ITERATIONS).fit(points).objective
    )


def _lloyd_torch(inputs: Any) -> Callable[[], Any]:
    import torch

    points, start = map(torch.from_numpy, inputs)
    norms, ones = points.square().sum(1), torch.ones(len(points))
    scores = torch.empty(len(points), len(start))

    def run() -> float:
        centroids = start
        for _ in range(ITERATIONS + 1):
            least = torch.addmm(
                centroids.square().sum(1), points, centroids.T, alpha=-2, out=scores
            ).min(1)
            objective = float((least.values + norms).sum())
            sums = torch.zeros_like(start).index_add_(0, least.indices, points)
            counts = torch.zeros(len(start)).index_add_(0, least.indices, ones)
            centroids = torch.where(
                counts[:, None] > 0, sums / counts[:, None].clamp(min=1), centroids
            )
        return objective

    return run


def _lloyd_faiss(inputs: Any) -> Callable[[], Any]:
    import faiss

    points, start = inputs
    most = len(points) // len(start) + 1

    def run() -> float:
        trainer: Any = faiss.Kmeans(
            points.shape[1], len(start), niter=ITERATIONS, max_points_per_centroid=most
        )
        trainer.train(points, init_centroids=start)
        return float(trainer.obj[-1])  # of before the last update; others report it after

    return run


def _lloyd_sklearn(inputs: Any) -> Callable[[], Any]:
    import importlib
    import warnings

    peer: Any = importlib.import_module("sklearn.cluster")  # it has no types
    warnings.filterwarnings("ignore", message="Number of distinct clusters|.*did not converge")
    points, start = inputs
    trainer = peer.KMeans(
        len(start), init=start, n_init=1, max_iter=ITERATIONS, tol=0, algorithm="lloyd"
    )
    return lambda: float(trainer.fit(points).inertia_)


def _agree_on_objective(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def _assign(b: int, k: int, d: int, bars: dict[str, float] | None = None) -> Case:
    return Case(
        op="k-means assign",
        shape=f"{b} x {d}, K {k}",
        inputs=partial(_rows, b, k, d),
        contenders={"pymim": _assign_pymim, "torch": _assign_torch, "faiss": _assign_faiss},
        agree=_agree_on_nearest,
        bars=bars or {},
        work=Work(2.0 * b * k * d, "bfloat16"),
        items=(b, "rows"),
    )


def lloyd(
    b: int, k: int, d: int, op: str, peers: Sequence[str] = ("torch", "faiss", "scikit-learn")
) -> Case:
    """Run all iterations from the same start."""
    rivals = {"torch": _lloyd_torch, "faiss": _lloyd_faiss, "scikit-learn": _lloyd_sklearn}
    return Case(
        op=f"{op}, {ITERATIONS} iterations",
        shape=f"{b} x {d}, K {k}",
        inputs=partial(_blobs, b, k, d),
        contenders={"pymim": _lloyd_pymim, **{peer: rivals[peer] for peer in peers}},
        agree=_agree_on_objective,
        bars={peer: 1 for peer in peers if peer != "torch"},
        work=Work(2.0 * b * k * d * (ITERATIONS + 1), "bfloat16"),
        items=(b * ITERATIONS, "rows"),
        between=False,
    )


def cases() -> list[Case]:
    return [_assign(65536, 1000, 256, {"faiss": 1}), lloyd(100_000, 256, 64, "k-means")]


def scaling() -> list[Scaling]:
    return [
        Scaling(
            "k-means assign",
            "B, K 512, D 128",
            [4096, 8192, 16384, 32768],
            lambda b: _assign(b, 512, 128),
        ),
        Scaling(
            "k-means assign",
            "K, B 16384, D 128",
            [128, 256, 512, 1024],
            lambda k: _assign(16384, k, 128),
        ),
        Scaling(
            "k-means assign",
            "D, B 16384, K 512",
            [32, 64, 128, 256],
            lambda d: _assign(16384, 512, d),
        ),
    ]
