"""Read and write files: the run's folder, metrics, checkpoints, exported weights."""

from pymim.io.folder import Folder
from pymim.io.metrics import Metrics

__all__ = ["Folder", "Metrics"]
