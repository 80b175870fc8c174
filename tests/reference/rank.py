"""Patch-loss ranking: the pairwise relative loss, ranks and top-k, in plain torch."""
