"""Show SIGMA's central claim, small (Salehi et al. 2024).

A target that learns collapses under a squared error, but not under swapped assignments.
"""

from pymim.compare import options, show
from pymim.io.metrics import read

given = options(__doc__, "runs/collapse", "digits-moving", steps=400)
probes = "evaluate.Evaluation.probes=(@probes.KNN(), @probes.Linear())"
variants = {
    "learned target, swapped clusters": ["gin/sigma.gin"],
    "learned target, squared error": ["gin/sigma_l2.gin"],
    "pixels, squared error": ["gin/mae_video.gin"],
}
show(variants, given, [probes])
for name in variants:
    for seed in range(given.seeds):
        rows = read(given.workdir / name / f"seed-{seed}" / "metrics.jsonl")
        spread = [
            f"{row['projected/target_std']:.4f}" for row in rows if "projected/target_std" in row
        ]
        if spread:
            print(f"{name}, seed {seed}: deviation of the target from {spread[0]} to {spread[-1]}")
