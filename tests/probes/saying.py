"""An evaluation of labelled pictures, with what it says and what it measures."""

import json

import numpy as np
import torch

from pymim import views
from pymim.encoders import ViT
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.probes import KNN, Linear
from pymim.world import World
from tests.labelled import Labelled

TURN = np.arange(400) % 10


class Run:
    """What an evaluation asks of a run."""

    def __init__(self):
        torch.manual_seed(0)
        self.encoder = self.untrained = ViT(16, 1, 2, image=8, patch=4)
        self.method, self.world = None, World.current()


def evaluated(folder, train, test, probes=None, run=None, **options):
    """Yield what is said before the training, what at its end, and the measures, or None."""
    splits = {"train": train, "test": test}
    splits = {
        name: s if s is None or hasattr(s, "labels") else Labelled(s, 0.3)
        for name, s in splits.items()
    }
    probes = [KNN(k=3), Linear(iterations=20)] if probes is None else probes
    view = options.pop("view", None) or views.Center(8, 1, "none")
    evaluation = Evaluation(lambda split: splits[split], view, probes, **options)
    evaluation.before_run(run := run or Run())
    yield
    Folder(folder).create()
    evaluation(run, Folder(folder), 3)
    yield
    path = folder / "evaluation" / "step-00000003.json"
    yield json.loads(path.read_text()) if path.exists() else None


def said(capsys, *given, **options):
    steps = evaluated(*given, **options)
    next(steps)
    before = capsys.readouterr().err
    next(steps)
    return before, capsys.readouterr().err, next(steps)
