"""Parts of the training loop: progress, saving, gauges, memory, and what wraps a method."""

from pymim.loop.gauges import Gauges

__all__ = ["Gauges"]
