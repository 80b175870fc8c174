"""Ingredients of clustering targets: assignments, prototypes, queues, whitening, and passes over
the data.
"""

from pymim.clusters.centred import Centred
from pymim.clusters.codebook import Codebook
from pymim.clusters.memberships import memberships
from pymim.clusters.prototypes import Prototypes
from pymim.clusters.queue import Queue
from pymim.clusters.survey import Survey
from pymim.clusters.transport import Transport
from pymim.clusters.unit import Unit
from pymim.clusters.whiten import Whitening

__all__ = [
    "Centred",
    "Codebook",
    "Prototypes",
    "Queue",
    "Survey",
    "Transport",
    "Unit",
    "Whitening",
    "memberships",
]
