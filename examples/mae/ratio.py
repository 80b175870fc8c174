"""MAE's central claim, small: how much of an image to hide (He et al., CVPR 2022, figure 5)."""

import argparse
from pathlib import Path

from pymim.compare import compare, markdown

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="digits", help="what DATA takes; CIFAR-10 as a parquet file, for the figures")
parser.add_argument("--workdir", type=Path, default=Path("runs/ratio"))
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("-b", action="append", default=[], dest="bindings")
given = parser.parse_args()

statistics = "cifar10" if "cifar10" in given.data else "digits"
common = [f"DATA={given.data}", f"STATISTICS={statistics}", f"STEPS={given.steps}", *given.bindings]
variants = {f"ratio {ratio}": ["gin/mae.gin", f"RATIO={ratio}"] for ratio in (0.25, 0.5, 0.75)}
print(markdown(compare(variants, given.workdir, given.seeds, common)))
