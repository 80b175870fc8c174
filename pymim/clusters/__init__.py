"""Clusters: learned while training, or made anew between epochs; and how patches are shared out between them."""

from pymim.clusters.bank import Bank
from pymim.clusters.epochwise import Epochwise
from pymim.clusters.online import Online
from pymim.clusters.prototypes import Prototypes
from pymim.clusters.survey import Survey
from pymim.clusters.table import Table
from pymim.clusters.transport import Transport
from pymim.clusters.usage import usage
from pymim.clusters.whiten import Whitening

__all__ = [
    "Bank", "Epochwise", "Online", "Prototypes", "Survey", "Table", "Transport", "Whitening", "usage",
]  # fmt: skip
