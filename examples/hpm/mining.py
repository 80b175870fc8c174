"""Show HPM's central claim, small (Wang et al. 2023).

To hide patches that are predicted to be difficult teaches more than to hide at random; learning to
predict the difficulty already helps.
"""

from pymim.compare import options, show

given = options(__doc__, "runs/mining", steps=800)
probes = "evaluate.Evaluation.probes=(@probes.KNN(), @probes.Linear())"
alike = [
    "targets.Pixels.normalise='none'",
    "train.Trainer.clip=5.0",
]  # HPM's; all else is MAE's in both
variants = {
    "random masks": ["gin/mae.gin", *alike],
    "random masks, losses predicted": ["gin/hpm.gin", "PredictedLoss.momentum=None"],
    "hard patches hidden (HPM)": ["gin/hpm.gin"],
}
show(variants, given, [probes])
