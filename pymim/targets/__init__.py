"""Targets: what the predictor has to predict."""

from pymim.targets.assigned import Assigned
from pymim.targets.bank import Bank
from pymim.targets.codes import Codes
from pymim.targets.confident import Confident
from pymim.targets.epochwise import Epochwise
from pymim.targets.frames import Frames
from pymim.targets.gradients import Gradients
from pymim.targets.mapped import Mapped
from pymim.targets.neighbours import Neighbours
from pymim.targets.online import Online
from pymim.targets.pixels import Pixels
from pymim.targets.predicted import Predicted
from pymim.targets.table import Table
from pymim.targets.taught import Taught
from pymim.targets.tokens import Tokens
from pymim.targets.whole import Whole

__all__ = [
    "Assigned",
    "Bank",
    "Codes",
    "Confident",
    "Epochwise",
    "Frames",
    "Gradients",
    "Mapped",
    "Neighbours",
    "Online",
    "Pixels",
    "Predicted",
    "Table",
    "Taught",
    "Tokens",
    "Whole",
]
