"""Entropic optimal transport by Sinkhorn scaling: balanced, relaxed or partial assignments of B
rows to K columns.

The plan of scores [B K], or of each of S independent problems [S B K], is

    P[b k] = exp(scores[b k] / epsilon + row[b] + column[k])

with potentials `row` and `column` such that rows and columns have the wanted sums (Cuturi 2013). An
iteration reads the scores once and stores nothing of their size. Nothing overflows, and no row
vanishes: if the scalings leave the range of floats, their logarithms are used. Scores so wide that
the logarithms lose their fractions (potentials beyond 2^14 in float32, 2^43 in float64) are
refused: rows would not sum to 1.

By default each row sums to 1, so it is a soft label, and each column to B / K (CAPI, Darcet et al.
2025; SwAV, Caron et al. 2020, after its final product with B). The side scaled last meets its sums
exactly, the other as nearly as `Potentials.error` says.

Reading order: transport (options, the public functions), steps (half-steps in the core), pieces
(the same loop over chunks and ranks), marginals (sums), scores (scores or their factors).
"""

from pymim.ops.sinkhorn.pieces import Sums, plan_sums
from pymim.ops.sinkhorn.scores import Product
from pymim.ops.sinkhorn.steps import (
    Potentials,
    Solution,
    column_sums,
    sweep,
    write_labels,
    write_plan,
)
from pymim.ops.sinkhorn.symmetric import doubly_stochastic
from pymim.ops.sinkhorn.transport import Options, labels, plan, potentials, solve

__all__ = [
    "Options",
    "Potentials",
    "Product",
    "Solution",
    "Sums",
    "column_sums",
    "doubly_stochastic",
    "labels",
    "plan",
    "plan_sums",
    "potentials",
    "solve",
    "sweep",
    "write_labels",
    "write_plan",
]
