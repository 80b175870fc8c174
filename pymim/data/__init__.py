"""Sources of images and clips, and the loader that makes batches of them."""

from pymim.data.about import describe
from pymim.data.array import Array
from pymim.data.channel_statistics import measured
from pymim.data.digits import Digits
from pymim.data.folder import PictureFolder
from pymim.data.loader import Loader
from pymim.data.maker import load
from pymim.data.moving import MovingDigits
from pymim.data.opening import open
from pymim.data.order import Balanced, InTurn, Shuffled
from pymim.data.parquet import Parquet
from pymim.data.source import Sample, Source, Subset, Unreadable
from pymim.data.videos import Clip, Videos

__all__ = [
    "Array",
    "Balanced",
    "Clip",
    "Digits",
    "InTurn",
    "Loader",
    "MovingDigits",
    "Parquet",
    "PictureFolder",
    "Sample",
    "Shuffled",
    "Source",
    "Subset",
    "Unreadable",
    "Videos",
    "describe",
    "load",
    "measured",
    "open",
]
