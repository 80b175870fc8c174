"""MAE's central claim, small: how much of an image to hide (He et al., CVPR 2022, figure 5)."""

from pymim.compare import options, show

given = options(__doc__, "runs/ratio", steps=600)
variants = {f"ratio {ratio}": ["gin/mae.gin", f"RATIO={ratio}"] for ratio in (0.25, 0.5, 0.75)}
show(variants, given)
