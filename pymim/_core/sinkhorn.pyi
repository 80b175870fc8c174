from typing import Any

def scratch(s: int, b: int, l: int, product: bool, cuda: bool) -> int: ...
def solve(
    scores: Any,
    prototypes: Any | None,
    epsilon: float,
    log_rows: Any,
    log_columns: Any,
    row_power: float,
    column_power: float,
    iterations: int,
    rows_first: bool,
    rows_last: bool,
    tolerance: float,
    log_domain: bool,
    row: Any,
    column: Any,
    plan: Any | None,
    labels: Any | None,
    error: Any,
    count: Any,
    scratch: Any,
    stream: int,
) -> None: ...
def columns(
    scores: Any,
    prototypes: Any | None,
    epsilon: float,
    row: Any,
    log_sums: Any,
    scratch: Any,
    stream: int,
) -> None: ...
def sweep(
    scores: Any,
    prototypes: Any | None,
    epsilon: float,
    log_rows: Any,
    row_power: float,
    row: Any,
    column: Any,
    log_sums: Any,
    scratch: Any,
    stream: int,
) -> None: ...
def plan(
    scores: Any,
    prototypes: Any | None,
    epsilon: float,
    row: Any,
    column: Any,
    out: Any,
    scratch: Any,
    stream: int,
) -> None: ...
def labels(
    scores: Any,
    prototypes: Any | None,
    epsilon: float,
    column: Any,
    out: Any,
    scratch: Any,
    stream: int,
) -> None: ...
