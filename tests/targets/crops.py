"""A small method of several crops, for targets that are predicted across them."""

import torch

from pymim import encoders, losses, predictors
from pymim.contracts import Batch
from pymim.method import Method
from pymim.objective import Objective

CLUSTERS = 5


def make_batch(b=8, crops=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    views = [
        torch.randn(b, 3, side, side, generator=generator) for side in (16, 16, *[8] * (crops - 2))
    ]
    return Batch(views, torch.arange(b), torch.full((b,), -1))


def make_method(target, kind="unit", crops=3, sets=1, source=None, **options):
    torch.manual_seed(0)
    trunk = encoders.ViT(24, 2, 2, image=16, patch=4)
    encoder = encoders.Projected(trunk, (6,), norm="none", unit=True)

    def predictor(encoder, width):
        return predictors.Heads(encoder, width, sets, kind)

    source = tuple(range(crops)) if source is None else source
    options = {"source": source, "to": (0, 1), "on": "pooled", "name": "codes"} | options
    return Method(encoder, [Objective(target, predictor, losses.CrossEntropy(0.1), **options)])


def counted(modules):
    """How often each of the named modules is called from now on."""
    counts = dict.fromkeys(modules, 0)
    for name, module in modules.items():

        def count(*_, name=name):
            counts[name] += 1

        module.register_forward_hook(count)
    return counts
