"""What frozen (or fine-tuned) features are worth: each probe gives one accuracy, or several measures by name.

A probe has a `name`, says what it `takes` (pooled features, tokens, scores or images), and is called with training
features, labels, test features and labels. Labels are 0, 1, ... of the classes of the training images, then of
others. `supervised = False`: it learns from no label, and is measured where the training images have none.
`remark(labels)`: what is to be said of the training labels, such as classes with fewer images than asked for.
`findings()`: what is to be said of the last answer, such as one that was not solved to its tolerance.
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
