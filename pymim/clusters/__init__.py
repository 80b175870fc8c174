"""Clusters that are learned while training, and how patches are shared out between them."""

from pymim.clusters.online import Online
from pymim.clusters.prototypes import Prototypes
from pymim.clusters.transport import Transport
from pymim.clusters.usage import usage

__all__ = ["Online", "Prototypes", "Transport", "usage"]
