from typing import Any

def uniform(
    index: Any, seed: int, step: int, view: int, keys: Any, visible: Any, hidden: Any, boolean: Any, stream: int
) -> None: ...
