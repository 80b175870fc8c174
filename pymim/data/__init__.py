"""Sources of images and clips, and the loader that makes batches of them."""

from pymim.data.batch import Batch
from pymim.data.digits import Digits
from pymim.data.loader import Loader
from pymim.data.maker import load
from pymim.data.opening import open
from pymim.data.source import Sample, Source, Subset, Unreadable

__all__ = ["Batch", "Digits", "Loader", "Sample", "Source", "Subset", "Unreadable", "load", "open"]
