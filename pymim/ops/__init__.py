"""The torch face of the native core: one module per op. The only importers of pymim._core live here."""

from pymim.ops import kmeans, mask, rank, sinkhorn

__all__ = ["kmeans", "mask", "rank", "sinkhorn"]
