"""Views: batched crops and changes of pictures, pure functions of (seed, epoch, index, view)."""

from pymim.views.change import Blur, Grey, Jitter, Solarise
from pymim.views.cutout import Cutout
from pymim.views.erasing import Erasing
from pymim.views.multi import MultiCrop
from pymim.views.normalise import Normalise
from pymim.views.operations import Operations
from pymim.views.partner import Partner
from pymim.views.randaugment import RandAugment
from pymim.views.scaled import MultiScale
from pymim.views.view import Center, Pretrain

__all__ = [
    "Blur",
    "Center",
    "Cutout",
    "Erasing",
    "Grey",
    "Jitter",
    "MultiCrop",
    "MultiScale",
    "Normalise",
    "Operations",
    "Partner",
    "Pretrain",
    "RandAugment",
    "Solarise",
]
