"""Views: crops and changes of pictures, batched, each a pure function of (seed, epoch, dataset index, view)."""

from pymim.views.normalise import Normalise
from pymim.views.view import Center, Pretrain, View

__all__ = ["Center", "Normalise", "Pretrain", "View"]
