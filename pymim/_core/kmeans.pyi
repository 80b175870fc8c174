from typing import Any

def assign_workspace(cuda: bool, index: int, b: int, k: int, d: int) -> int: ...
def assign(
    points: Any,
    centroids: Any,
    cosine: bool,
    workspace: Any,
    labels: Any,
    distances: Any,
    stream: int,
) -> None: ...
def accumulate_workspace(cuda: bool, index: int, b: int, k: int) -> int: ...
def accumulate(
    points: Any,
    labels: Any,
    weights: Any,
    distances: Any,
    cosine: bool,
    workspace: Any,
    sums: Any,
    counts: Any,
    errors: Any,
    stream: int,
) -> None: ...
def update(
    sums: Any, counts: Any, errors: Any, cosine: bool, split: bool, centroids: Any, stream: int
) -> None: ...
