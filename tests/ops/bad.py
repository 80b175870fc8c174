"""Correct calls of every public op, and wrong values for each of their arguments."""

import numpy as np
import torch

from pymim.ops import kmeans, mask, rank, sinkhorn

INDEX, SCORES = torch.arange(4), torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
POINTS, CENTROIDS = SCORES[:, :3].repeat(2, 1).contiguous(), SCORES[:2, :3].contiguous()
FOUND = kmeans.assign(POINTS, CENTROIDS)
SQUARE = SCORES[:, :4] + SCORES[:, :4].T
DRAW = dict(seed=0, step=0, view=0)
BLOCKS = dict(grid=(8, 8), area=(4, None), aspect=(0.3, 3.0), duration=None, tries=10, **DRAW)
POTENTIALS = sinkhorn.potentials(SCORES)
ROW, COLUMN = torch.zeros(1, 4), torch.zeros(1, 12)


def statistics():
    found = kmeans.Statistics.zeros(2, 3)
    kmeans.accumulate(POINTS, FOUND, found)
    return found


def fit(data, weights, **options):
    return kmeans.KMeans(**options).fit(data, weights)


def partial_fit(points, weights):
    return kmeans.KMeans(2).partial_fit(points, weights)


def predict(data):
    return kmeans.KMeans(2).fit(POINTS).predict(data)


def hierarchy(data, weights, **options):
    return kmeans.HierarchicalKMeans(**options).fit(data, weights)


def product(features, prototypes, **options):
    return sinkhorn.plan(sinkhorn.Product(features, prototypes), **options)


# name: (what to call, arguments, who may speak)
CALLS = {
    "uniform": (mask.uniform, dict(index=INDEX, grid=(3, 4), visible=4, unit=1, **DRAW)),
    "filtered": (
        mask.filtered,
        dict(index=INDEX, bank=torch.rand(2, 8, 8), grid=(3, 4), visible=4, **DRAW),
    ),
    "disjoint": (
        mask.disjoint,
        dict(index=INDEX, patches=12, visible=6, views=2, covered=None, **DRAW),
    ),
    "budget": (mask.budget, dict(index=INDEX, grids=[(3, 4), 5], visible=6, alpha=1.0, **DRAW)),
    "subset": (mask.subset, dict(index=INDEX, ids=torch.arange(20).view(4, 5), count=2, **DRAW)),
    "expand": (
        mask.expand,
        dict(boolean=torch.tensor([[True, False]] * 3), grid=(4, 2), visible=4, unit=(2, 2)),
    ),
    "weighted": (
        mask.weighted,
        dict(index=INDEX, weights=SCORES, visible=4, side="visible", **DRAW),
    ),
    "ranked": (
        mask.ranked,
        dict(index=INDEX, scores=SCORES, visible=4, hard=2, hide="highest", **DRAW),
    ),
    "priority": (mask.priority, dict(index=INDEX, priority=SCORES, visible=4, **DRAW)),
    "block": (mask.block, dict(index=INDEX, hidden=20, **BLOCKS)),
    "ragged_block": (mask.ragged_block, dict(index=INDEX, hidden=20, **BLOCKS)),
    "inverse_block": (
        mask.inverse_block,
        dict(index=INDEX, grid=(8, 8), visible=20, aspect=(0.5, 2.0), roll=True, **DRAW),
    ),
    "multi_block": (
        mask.multi_block,
        dict(
            index=INDEX,
            grid=(8, 8),
            visible=10,
            target=(2, 2),
            context=(6, 6),
            blocks=2,
            edges=True,
            **DRAW,
        ),
    ),
    "block_size": (
        mask.block_size,
        dict(
            grid=(8, 8),
            share=(0.1, 0.2),
            aspect=(1.0, 1.0),
            which=0,
            together=True,
            edges=True,
            **DRAW,
        ),
    ),
    "relative_loss": (rank.relative_loss, dict(scores=SCORES, losses=SCORES * 2, epsilon=0.0)),
    "relative_sums": (rank.relative_sums, dict(scores=SCORES, losses=SCORES * 2, epsilon=0.0)),
    "ranks": (rank.ranks, dict(scores=SCORES, descending=False)),
    "top_k": (rank.top_k, dict(scores=SCORES, k=3, descending=True)),
    "assign": (kmeans.assign, dict(points=POINTS, centroids=CENTROIDS, metric="l2")),
    "accumulate": (
        kmeans.accumulate,
        dict(
            points=POINTS,
            assignment=FOUND,
            statistics=statistics(),
            weights=torch.ones(8),
            metric="l2",
        ),
    ),
    "update": (
        kmeans.update,
        dict(statistics=statistics(), centroids=CENTROIDS, metric="l2", empty="split"),
    ),
    "assign_balanced": (
        kmeans.assign_balanced,
        dict(points=POINTS, centroids=CENTROIDS, max_size=5, metric="l2"),
    ),
    "plus_plus": (
        kmeans.plus_plus,
        dict(points=POINTS, clusters=3, weights=torch.ones(8), metric="l2", seed=0),
    ),
    "fit": (
        fit,
        dict(
            data=POINTS,
            weights=torch.ones(8),
            clusters=2,
            start="random",
            iterations=3,
            restarts=1,
            rows=5,
        )
        | dict(tolerance=0.0, empty="split", max_size=None, decay=1.0, seed=0, metric="l2"),
    ),
    "partial_fit": (partial_fit, dict(points=POINTS, weights=torch.ones(8))),
    "predict": (predict, dict(data=POINTS)),
    "hierarchy": (hierarchy, dict(data=POINTS, weights=None, top=2, inside=2, iterations=2)),
    "sinkhorn.plan": (
        sinkhorn.plan,
        dict(
            scores=SCORES,
            epsilon=0.05,
            iterations=3,
            tolerance=0.0,
            first="rows",
            last="rows",
            domain="log",
        )
        | dict(rows=None, columns=None, mass=None, row_relax=None, column_relax=None),
    ),
    "sinkhorn.labels": (sinkhorn.labels, dict(scores=SCORES)),
    "sinkhorn.potentials": (sinkhorn.potentials, dict(scores=SCORES)),
    "sinkhorn.solve": (
        sinkhorn.solve,
        dict(scores=SCORES, rows=torch.ones(4), columns=torch.full((12,), 1 / 3)),
    ),
    "sinkhorn.product": (product, dict(features=POINTS, prototypes=CENTROIDS, epsilon=0.05)),
    "sinkhorn.plan_sums": (
        sinkhorn.plan_sums,
        dict(scores=SCORES, potentials=POTENTIALS, epsilon=0.05),
    ),
    "doubly_stochastic": (
        sinkhorn.doubly_stochastic,
        dict(affinity=SQUARE, epsilon=1.0, iterations=10, tolerance=1e-4),
    ),
    "sinkhorn.column_sums": (
        sinkhorn.column_sums,
        dict(scores=SCORES[None], row=ROW, epsilon=0.05),
    ),
    "sinkhorn.sweep": (
        sinkhorn.sweep,
        dict(scores=SCORES[None], row=ROW, column=COLUMN, log_rows=ROW, epsilon=0.05),
    ),
    "sinkhorn.write_plan": (
        sinkhorn.write_plan,
        dict(scores=SCORES[None], row=ROW, column=COLUMN, epsilon=0.05),
    ),
    "sinkhorn.write_labels": (
        sinkhorn.write_labels,
        dict(scores=SCORES[None], column=COLUMN, epsilon=0.05),
    ),
}

# Who speaks for an op, where that is not the op itself: what it is made of.
SPEAKERS = {
    "relative_sums": ["relative_loss"],
    "ranks": ["rank"],
    "top_k": ["rank"],
    "expand": ["subset"],
    "plus_plus": ["assign"],
    "doubly_stochastic": ["sinkhorn"],
    **dict.fromkeys(
        ["fit", "partial_fit", "predict"], ("KMeans", "assign", "accumulate", "update", "plus_plus")
    ),
    "hierarchy": ["HierarchicalKMeans", "KMeans", "assign"],
}

NO_TENSOR = {
    "list": [[1.0, 2.0]],
    "None": None,
    "text": "abc",
    "bytes": b"x",
    "dict": {},
    "tuple": (),
    "set": {1},
    "object": object(),
    "function": len,
    "module": torch,
    "objects": np.array([None, 1]),
    "texts": np.array(["a"]),
    "dates": np.array(["2020-01-01"], "datetime64[D]"),
    "no rows": np.zeros((0,)),
    "swapped bytes": np.arange(4).astype(">i8"),
}
NUMBERS = {
    "half": 1.5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "negative": -1,
    "zero": 0,
    "2^31": 2**31,
    "2^63": 2**63,
    "10^30": 10**30,
    "-2^63": -(2**63),
    "numpy": np.float32(1),
    "sizes": (1, 2, 3),
    "four sizes": (1, 1, 1, 1),
    "negative sizes": (-1, -2),
    "large sizes": (2**31, 2**31, 2**31),
    "many cells": (2**16, 2**15),
    "texts": ("a", "b"),
    "nan in a pair": (float("nan"), 1.0),
}


def no_dense_tensor(like):
    """What a tensor may be, and an op does not take."""
    floats = like.float()
    return {
        "scalar": floats.flatten()[0],
        "sparse": floats.to_sparse(),
        "compressed": floats.reshape(len(like), -1).to_sparse_csr(),
        "meta": floats.to("meta"),
        "complex": torch.complex(floats, floats),
        "quantised": torch.quantize_per_tensor(floats, 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.rand(2), torch.rand(3)]),
        "jagged": torch.nested.nested_tensor([torch.rand(2), torch.rand(3)], layout=torch.jagged),
        "float8": floats.to(torch.float8_e4m3fn),
        "eighth": floats.to(torch.uint8),
        "graph": floats.requires_grad_().expand_as(floats)[:],
        "nan": floats.detach() * torch.nan,
        "infinite": floats.detach() / 0,
        "large": floats.detach() * 1e38,
        "one more axis": like[None],
        "no row": like[:0],
        "fewer": like[:1],
        "turned": like.mT if like.ndim > 1 else like.flip(0),
    }
