"""Streaming k-means: assign, accumulate, update, in plain torch."""
