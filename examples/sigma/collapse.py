"""SIGMA's central claim, small: a target that learns collapses under a squared error, and under swapped assignments
does not (Salehi et al., 2024)."""

import argparse
from pathlib import Path

from pymim.compare import compare, markdown
from pymim.io.metrics import read

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="digits-moving", help="what DATA takes")
parser.add_argument("--workdir", type=Path, default=Path("runs/collapse"))
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("-b", action="append", default=[], dest="bindings")
given = parser.parse_args()

common = [f"DATA={given.data}", f"STEPS={given.steps}", *given.bindings]
common.append("evaluate.Evaluation.probes=(@probes.KNN(), @probes.Linear())")
variants = {
    "learned target, swapped clusters": ["gin/sigma.gin"],
    "learned target, squared error": ["gin/sigma_l2.gin"],
    "pixels, squared error": ["gin/mae_video.gin"],
}
print(markdown(compare(variants, given.workdir, given.seeds, common)))
for name in variants:
    for seed in range(given.seeds):
        rows = read(given.workdir / name / f"seed-{seed}" / "metrics.jsonl")
        spread = [f"{row['projected/target_std']:.4f}" for row in rows if "projected/target_std" in row]
        if spread:
            print(f"{name}, seed {seed}: deviation of the target from {spread[0]} to {spread[-1]}")
