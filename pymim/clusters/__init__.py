"""What targets of clusters are made of: transport, prototypes, whitening, a pass over the data."""

from pymim.clusters.memberships import memberships
from pymim.clusters.prototypes import Prototypes
from pymim.clusters.survey import Survey
from pymim.clusters.transport import Transport
from pymim.clusters.whiten import Whitening

__all__ = ["Prototypes", "Survey", "Transport", "Whitening", "memberships"]
