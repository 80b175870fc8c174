"""Entropic optimal transport by Sinkhorn scaling, in plain torch: half-steps in float64."""

import torch


def marginals(scores, rows, columns, mass):
    s, b, k = scores.shape
    if rows is None:
        total = torch.full((s, 1), float(b)) if columns is None else columns.sum(-1, keepdim=True)
        rows = total.expand(s, b) / b
    rows = rows.double().expand(s, b)
    columns = (rows.sum(-1, keepdim=True) / k if columns is None else columns.double()).expand(s, k)
    if mass is not None:
        columns = torch.cat([mass * columns, (1 - mass) * columns.sum(-1, keepdim=True)], -1)
    return rows, columns


def solve(
    scores,
    *,
    epsilon=0.05,
    iterations=3,
    first="columns",
    last="rows",
    rows=None,
    columns=None,
    row_relax=None,
    column_relax=None,
    mass=None,
):
    """The plan [S B K], and the potentials of rows and columns."""
    s, _, k = scores.shape
    rows, columns = marginals(scores, rows, columns, mass)
    x = scores.double() / epsilon
    if mass is not None:
        x = torch.cat([x, x.new_zeros(*x.shape[:2], 1)], -1)
    power = torch.ones(x.shape[2], dtype=torch.float64)
    if column_relax is not None:
        power[:k] = column_relax / (column_relax + epsilon)
    row_power = 1 if row_relax is None else row_relax / (row_relax + epsilon)
    row, column = x.new_zeros(x.shape[:2]), x.new_zeros(s, x.shape[2])
    other = {"rows": "columns", "columns": "rows"}
    steps = [first, other[first]] * iterations
    for side in steps if steps[-1] == last else [*steps, last]:
        if side == "rows":
            row = row_power * (rows.log() - torch.logsumexp(x + column[:, None], 2))
        else:
            column = power * (columns.log() - torch.logsumexp(x + row[:, :, None], 1))
    return (x + row[:, :, None] + column[:, None]).exp()[:, :, :k], row, column


def scaling(scores, epsilon, iterations):
    """The papers' loop: exp, then each prototype, then each sample (SwAV, CAPI, SIGMA)."""
    plan = (scores / epsilon).exp()
    for _ in range(iterations):
        plan = plan / plan.sum(-2, keepdim=True)
        plan = plan / plan.sum(-1, keepdim=True)
    return plan
