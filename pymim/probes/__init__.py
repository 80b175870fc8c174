"""What frozen (or fine-tuned) features are worth: each probe gives one accuracy, or several measures by name."""

from pymim.probes.assigned import Assigned
from pymim.probes.attentive import Attentive
from pymim.probes.clusters import Clusters
from pymim.probes.finetune import FineTune
from pymim.probes.knn import KNN
from pymim.probes.linear import Linear, LinearSGD
from pymim.probes.patches import PatchKNN

__all__ = ["KNN", "Assigned", "Attentive", "Clusters", "FineTune", "Linear", "LinearSGD", "PatchKNN"]
