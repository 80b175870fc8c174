"""Pictures of masks, reconstructions, features and curves."""

from pymim.draw.pictures import Pictures

__all__ = ["Pictures"]
