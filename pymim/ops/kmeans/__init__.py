"""Streaming k-means: the steps (assign, accumulate, update), starts, a size cap, and KMeans, which runs them.

B or N rows, D their width, K clusters.
"""

from pymim.ops.kmeans.steps import Assignment, Statistics, accumulate, assign, update

__all__ = ["Assignment", "Statistics", "accumulate", "assign", "update"]
