"""What the training loop is made of, besides the method."""

from pymim.loop.gauges import Gauges

__all__ = ["Gauges"]
