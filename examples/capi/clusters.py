"""CAPI's central claims, small: clusters make a better target than pixels, if no cluster may stand for a place
(Darcet et al., 2025)."""

import argparse
from pathlib import Path

from pymim.compare import compare, markdown

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="digits", help="what DATA takes; CIFAR-10 as a parquet file, for the figures")
parser.add_argument("--workdir", type=Path, default=Path("runs/clusters"))
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("-b", action="append", default=[], dest="bindings")
given = parser.parse_args()

statistics = "cifar10" if "cifar10" in given.data else "digits"
common = [f"DATA={given.data}", f"STATISTICS={statistics}", f"STEPS={given.steps}", "BATCH=128", "CLUSTERS=64"]
common.append("evaluate.Evaluation.probes=(@probes.KNN(), @probes.PatchKNN(), @probes.Linear())")
pixels = ["method.Objective.target=@targets.Pixels", "method.Objective.loss=@losses.MSE()", "Cross.head='linear'"]
variants = {
    "target: clusters, by position": ["gin/capi.gin"],
    "target: clusters, over the batch": ["gin/capi.gin", "Transport.by='batch'"],
    "target: pixels": ["gin/capi.gin", *pixels],
}
print(markdown(compare(variants, given.workdir, given.seeds, [*common, *given.bindings])))
