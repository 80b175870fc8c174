"""Entropic optimal transport by Sinkhorn scaling."""
