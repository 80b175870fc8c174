"""The torch face of the native core: one module per op. The only importers of pymim._core live here."""

from pymim.ops import block, kmeans, mask, rank, sinkhorn

__all__ = ["block", "kmeans", "mask", "rank", "sinkhorn"]
