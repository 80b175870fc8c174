from collections.abc import Sequence
from typing import Any

def uniform(
    index: Any,
    seed: int,
    step: int,
    view: int,
    grid: Sequence[int],
    unit: Sequence[int],
    visible: Any,
    hidden: Any,
    boolean: Any,
    stream: int,
) -> None: ...
