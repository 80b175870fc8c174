"""Show DeepCluster's central claim, small (Caron et al. 2018, figure 2).

Features that learn from their own clusters give better clusters epoch by epoch. Beside it:
DeepCluster-v2 (Caron et al. 2020), and learning from clusters of random features, which stay as
they are.
"""

import io
from statistics import mean, stdev

import numpy as np
from matplotlib.figure import Figure

from pymim import data
from pymim.compare import options, show
from pymim.draw.image import save
from pymim.io.figures import evaluations
from pymim.io.metrics import read

BATCH = 64
FROZEN = "targets.Epochwise.every=1000000"
VARIANTS = {
    "clusters made anew each epoch": ["gin/deepcluster.gin"],
    "clusters of random features": ["gin/deepcluster.gin", FROZEN],
    "DeepCluster-v2": ["gin/deepcluster_v2.gin"],
}
PANELS = {
    "nmi_previous": "NMI with the last epoch's clusters",
    "nmi_labels": "NMI of what is learned with the classes",
    "nmi": "NMI of k-means on features with the classes",
    "linear": "linear probe (%)",
}


def main():
    """Runs what has not been run, and leaves table.md, compare.png and epochs.png in the folder."""
    given = options(__doc__, "runs/epochs", epochs=6, images=5000)
    epoch = given.images // BATCH
    common = [
        f"BATCH={BATCH}",
        f"STEPS={given.epochs * epoch}",
        f"train.Trainer.evaluate_every={epoch}",
        "evaluate.Evaluation.probes=(@probes.KNN(), @probes.Linear(), @probes.Clusters())",
        "evaluate.Evaluation.train_images=2000",
    ]
    given.common.append(f"DATA={some(given.data, given.images, given.workdir)}")
    show(VARIANTS, given, common)
    draw(given.workdir, given.seeds, epoch)


def some(source, count, folder):
    """`count` pictures of the training set, and its test set, as files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, most in (("train", count), ("test", 2000)):
        whole = data.open(source, split=split)
        index = np.linspace(0, len(whole) - 1, min(most, len(whole))).astype(int)
        images = np.stack([whole[i].image.numpy() for i in index.tolist()])
        made = io.BytesIO()
        np.savez(made, images=images, labels=whole.labels[index])
        file = folder / f"pictures_{split}.npz"
        if (
            not file.exists() or file.read_bytes() != made.getvalue()
        ):  # data that are written again are other data
            file.write_bytes(made.getvalue())
    return folder / "pictures_train.npz"


def curve(folder, start, name, epoch):
    """Return what a run reports under `name`, by epoch: probes when one ends, clusters when one
    begins.

    start: the run whose untrained encoder was probed.
    """
    found = {
        row["step"] // epoch: row[name] for row in read(folder / "clusters.jsonl") if name in row
    }
    for result in evaluations(folder):
        if name in result:
            found[result["step"] // epoch] = result[name]
    untrained = evaluations(start)[-1]["baselines"]["untrained"]
    if name in untrained:
        found[0] = untrained[name]
    return dict(sorted(found.items()))


def draw(workdir, seeds, epoch):
    """A panel a measure: the mean over the seeds, and a standard deviation to both sides."""
    first = workdir / next(iter(VARIANTS))
    figure = Figure(figsize=(3.3 * len(PANELS), 3), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for colour, variant in enumerate(VARIANTS):
            runs = [
                (workdir / variant / f"seed-{seed}", first / f"seed-{seed}")
                for seed in range(seeds)
            ]
            curves = [curve(*folders, name, epoch) for folders in runs]
            scale = 100 if "%" in title else 1
            values = [[scale * found[e] for found in curves] for e in curves[0]]
            if len(values) == 1:  # the clusters stay as they are
                axis.axhline(mean(values[0]), color=f"C{colour}")
            if len(values) < 2:
                continue
            middle, spread = map(mean, values), [stdev(v) if seeds > 1 else 0 for v in values]
            axis.errorbar(
                list(curves[0]), list(middle), spread, color=f"C{colour}", capsize=2, label=variant
            )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    figure.axes[-1].legend(fontsize=7)
    save(figure, workdir / "epochs.png")


if __name__ == "__main__":
    main()
