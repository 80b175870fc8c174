"""Streaming k-means: its steps (assign, accumulate, update), starts, a size cap, and KMeans, which
runs them.

B or N rows, D their width, K clusters.
"""

from pymim.ops.kmeans.balance import assign_balanced
from pymim.ops.kmeans.clusterer import KMeans
from pymim.ops.kmeans.hierarchy import HierarchicalKMeans
from pymim.ops.kmeans.starts import plus_plus
from pymim.ops.kmeans.steps import Assignment, Statistics, accumulate, assign, update

__all__ = [
    "Assignment",
    "HierarchicalKMeans",
    "KMeans",
    "Statistics",
    "accumulate",
    "assign",
    "assign_balanced",
    "plus_plus",
    "update",
]
