"""Write several crops of each picture as one list of views (SwAV, Caron et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymim.checks import whole
from pymim.contracts import View


class MultiCrop:
    """Repeat views[k] counts[k] times, such as two large and six small crops, for a loader.

    Args:
        views: the kinds of crops.
        counts: how many crops of each kind.
    """

    def __init__(self, views: Sequence[View], counts: Sequence[int]):
        whole(self, 1, counts=counts)
        if len(views) != len(counts):
            raise ValueError(
                f"MultiCrop: counts: expected one for each of {len(views)} views, got "
                f"{len(counts)}; give as many counts as views"
            )
        self.views = [view for view, count in zip(views, counts, strict=True) for _ in range(count)]

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)
