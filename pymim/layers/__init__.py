"""Layers that encoders and predictors are made of."""
