"""Entropic optimal transport by Sinkhorn scaling: balanced, relaxed or partial assignments of B rows to K columns.

The plan of scores [B K], or of each of S independent problems [S B K], is

    P[b k] = exp(scores[b k] / epsilon + row[b] + column[k])

with the potentials `row` and `column` such that its rows and columns have the wanted sums (Cuturi 2013).
One read of the scores makes an iteration, nothing of their size is stored, nothing overflows and no row vanishes:
where the scalings themselves could not be computed with, their logarithms are. Scores so wide that the logarithms
lose their fractions (potentials beyond 2^14 in float32, 2^43 in float64) are refused: rows would not sum to 1.

What rows and columns sum to: unless told, each row to 1, so that it is a soft label, and each column to B / K
(CAPI, Darcet et al. 2025; SwAV, Caron et al. 2020, after its final product with B). The side that is scaled last
meets its sums exactly, the other as nearly as `Potentials.error` says.
"""

from pymim.ops.sinkhorn.pieces import Sums, plan_sums
from pymim.ops.sinkhorn.scores import Product
from pymim.ops.sinkhorn.steps import Potentials, Solution, column_sums, sweep, write_labels, write_plan
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
