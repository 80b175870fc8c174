"""The extension guide: what the slots hand on, and what a part that fills a slot must have.

A part is any object with the members that its slot asks for. Inherit from the class of the slot, or
write a class with the same members. `Method` checks every part once, when it is built. Import all
names from here; the files are pages to read, in this order:

- inputs: `Grid`, `Draw`, `Batch` and `Mask`: what an encoder is given.
- encoded: `Features`, and `Branch`, one view under one mask, named by its `Source`.
- predicted: `Asked`, what a target is called with; `Made`, what target and predictor may return;
  `Pair` and `Output`, what a step computes.
- slots: `Order`, `View`, `Policy`, `Encoder`, `Target`, `Predictor`, `Loss`, `Ranker`, `Probe` and
  `Callback`: one for each slot of a gin file.
- run: `Run`, what a hook may use of the run that calls it.
- hooks: `Hooks`, the methods of a part that a run calls, such as `before_epoch`.
- capabilities: what a part may do besides, such as `ShowsPixels` or `GivesGauges`.

Axes: B images, N patches, V visible, M predicted, D width, T target width, K clusters, R prefix
tokens, C channels.
"""

from pymim.contracts.capabilities import (
    AssignsClusters,
    Builds,
    Follows,
    GivesCodes,
    GivesGauges,
    KeptElsewhere,
    KnowsChance,
    Learns,
    OverBatch,
    Pastes,
    PredictsAll,
    Relabelled,
    ShowsPixels,
    Tally,
    WantsWidth,
)
from pymim.contracts.encoded import Branch, Features, Source
from pymim.contracts.hooks import HOOKS, Hooks
from pymim.contracts.inputs import Batch, Draw, Grid, Mask
from pymim.contracts.predicted import Asked, Made, Output, Pair
from pymim.contracts.run import Run
from pymim.contracts.slots import (
    Callback,
    Encoder,
    Loss,
    Order,
    Policy,
    Predictor,
    Probe,
    Ranker,
    Target,
    View,
)

__all__ = [
    "HOOKS",
    "Asked",
    "AssignsClusters",
    "Batch",
    "Branch",
    "Builds",
    "Callback",
    "Draw",
    "Encoder",
    "Features",
    "Follows",
    "GivesCodes",
    "GivesGauges",
    "Grid",
    "Hooks",
    "KeptElsewhere",
    "KnowsChance",
    "Learns",
    "Loss",
    "Made",
    "Mask",
    "Order",
    "Output",
    "OverBatch",
    "Pair",
    "Pastes",
    "Policy",
    "Predictor",
    "PredictsAll",
    "Probe",
    "Ranker",
    "Relabelled",
    "Run",
    "ShowsPixels",
    "Source",
    "Tally",
    "Target",
    "View",
    "WantsWidth",
]
