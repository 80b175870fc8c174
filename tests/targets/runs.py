"""A clustering method on a small source, as a trainer has it."""

import functools

import numpy as np
import torch

from pymim import clusters, data, encoders, losses, predictors, targets, views
from pymim.io import Folder
from pymim.method import Method
from pymim.objective import Objective
from pymim.optim import SGD
from pymim.schedule import Constant
from pymim.train import Trainer

CENTER = clusters.Survey((views.Center(16, statistics="half"),), batch=16)


class Pictures:
    """A source of `images` uint8 [N C H W] in memory."""

    classes = None

    def __init__(self, images, labels=None):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return data.Sample(
            self.images[index], -1 if self.labels is None else int(self.labels[index])
        )

    def take(self, index):
        return self.images[torch.from_numpy(index)]

    def path(self, index):
        return f"picture {index}"


def pictures(n=50, labels=True):
    images = torch.randint(
        256, (n, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return Pictures(images, np.arange(n) % 5 if labels else None)


def make_encoder(embedding=6):
    torch.manual_seed(0)
    trunk = encoders.ResNet((1, 1), dim=8, stem="small", image=16)
    return encoders.Projected(trunk, (embedding,))


def trainer(
    source=None, target=None, predictor=predictors.Renewed, encoder=None, crops=1, **options
):
    """Of batches of 16, so of 3 steps an epoch for 50 pictures."""
    target = target or functools.partial(targets.Epochwise, survey=CENTER, clusters=7)
    objective = Objective(
        target, predictor, losses.CrossEntropy(), on="pooled", source=tuple(range(crops))
    )
    view = views.Pretrain(16, statistics="half")
    loader = functools.partial(
        data.Loader, pictures() if source is None else source, [view] * crops
    )
    options = {
        "steps": 6,
        "batch": 16,
        "optimizer": SGD(Constant(0.05)),
        "precision": "float32",
    } | options
    options["data"] = functools.partial(loader, order=options.pop("order", None))
    return Trainer(Method(encoder or make_encoder(), [objective]), **options)


def started(run, folder):
    """The trainer before its first step, its table of labels made."""
    run.folder = Folder(folder)
    run.method.before_run(run)
    run.method.before_epoch(run)
    return run.method.objectives[0]
