"""pymim: masked image modelling and deep clustering, one gin file per paper, over a native core.

On the command line:

    python -m pymim.run --list                    every shipped method, recipe and model
    python -m pymim.run --gin gin/mae.gin         train, evaluate, draw
    python -m pymim.run --help                    modes, resuming, exit codes
    python -m pymim.compare --help                methods side by side, over seeds
    pymim export RUN --to DIR                     the encoder, for timm and transformers
    pymim docs                                    what each argument means: docs/reference

In a script, `from pymim import ...` has the names below; torch is imported with the first of them.

    Method, Objective     the life of a batch: encoder, mask, and what is predicted from what
    Trainer               the one training loop
    Evaluation, Tuning    probes on a small labelled set; fine-tuning and probes on a large one
    Folder                a run's folder, which Trainer.run writes to
    ViT                   encoders.ViT

The folders, in the order of a batch's life. Each is a slot that a gin file fills:

    data, views           sources and loaders of pictures and clips; crops and changes of them
    masks                 which patches the encoder sees, and which are predicted
    encoders              a view and a mask, to features; momentum copies and frozen teachers
    targets, clusters     what is predicted; what targets of clusters are made of
    predictors            features, to a prediction of the target
    losses, rankers       one number per patch; which patches are hard, for the next mask
    optim, schedule       optimisers over a whole method; numbers that change while training
    probes, draw          what features are worth; pictures of masks, predictions and clusters

Beneath and around them:

    contracts             what each slot is called with and must give: the guide for a new part
    layers, ops           blocks and positions of transformers; the native core, called by tensors
    loop, io, config      the trainer's parts; a run's files; gin files, checked
    bench, docs           benchmarks; what `pymim docs` writes

A method without gin:

    >>> from pymim import Method, Objective, ViT, losses, masks, predictors, targets
    >>> pixels = Objective(targets.Pixels, predictors.Transformer, losses.MSE())
    >>> encoder = ViT(dim=96, depth=4, heads=3, image=32, patch=4)
    >>> method = Method(encoder, [pixels], mask=masks.Uniform(ratio=0.75))
"""

from __future__ import annotations

import importlib
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# In a checkout (python -m pymim.run) this folder comes first on the path, but the compiled _core
# is in the installed package: look there too.
__path__ = extend_path(__path__, __name__)

if TYPE_CHECKING:
    from pymim.encoders import ViT as ViT
    from pymim.evaluate import Evaluation as Evaluation
    from pymim.io import Folder as Folder
    from pymim.method import Method as Method
    from pymim.objective import Objective as Objective
    from pymim.train import Trainer as Trainer
    from pymim.tune import Tuning as Tuning
else:
    # Not imported yet: --help, --list and whoever reads the version need no torch.
    _HOMES = {
        "Evaluation": "evaluate",
        "Folder": "io",
        "Method": "method",
        "Objective": "objective",
        "Trainer": "train",
        "Tuning": "tune",
        "ViT": "encoders",
    }
    _MODULES = {
        *(
            "clusters",
            "contracts",
            "data",
            "draw",
            "encoders",
            "layers",
            "losses",
            "masks",
            "ops",
            "optim",
        ),
        *("predictors", "probes", "rankers", "schedule", "targets", "views"),
    }

    def __getattr__(name: str) -> Any:
        """Import what a script asks for, when it asks (PEP 562)."""
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _HOMES:
            return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
