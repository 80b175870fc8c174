from typing import Any

def relative_loss(
    scores: Any,
    losses: Any,
    weights: Any,
    epsilon: float,
    scratch: Any,
    sums: Any,
    pairs: Any,
    gradient: Any,
    stream: int,
) -> None: ...
def relative_loss_scratch(m: int) -> int: ...
def rank(
    scores: Any, descending: bool, scratch: Any, ids: Any, ranks: Any, stream: int
) -> None: ...
def rank_scratch(m: int, wide: bool) -> int: ...
