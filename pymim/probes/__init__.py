"""Probes: measure frozen or fine-tuned features. Each gives one accuracy, or several measures by
name.

A probe has a `name`, and says what it `takes`: pooled features, tokens, scores or images. It is
called with training features, labels, test features and labels. Labels are 0, 1, ... for the
classes of the training images, then for others. With `supervised = False` it uses no labels, and
also runs without training labels. `remark(labels)` says what is odd about the training labels, such
as classes with too few images. `findings()` says what is odd about the last answer, such as a
solver that did not converge.
"""

from pymim.probes.assigned import Assigned
from pymim.probes.attentive import Attentive
from pymim.probes.classifier import Classifier, Readout
from pymim.probes.clusters import Clusters
from pymim.probes.finetune import FineTune
from pymim.probes.knn import KNN
from pymim.probes.learning import Learning
from pymim.probes.linear import Linear
from pymim.probes.linear_sgd import LinearSGD
from pymim.probes.mixing import Mixing
from pymim.probes.patches import PatchKNN

__all__ = [
    "KNN",
    "Assigned",
    "Attentive",
    "Classifier",
    "Clusters",
    "FineTune",
    "Learning",
    "Linear",
    "LinearSGD",
    "Mixing",
    "PatchKNN",
    "Readout",
]
