"""Entropic optimal transport by Sinkhorn scaling, in plain torch."""
