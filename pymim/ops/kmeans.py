"""Streaming k-means: assign, accumulate, update."""
