"""The torch face of the native core, one module per op. Only these modules import pymim._core."""

from pymim.ops import block, kmeans, mask, rank, sinkhorn

__all__ = ["block", "kmeans", "mask", "rank", "sinkhorn"]
