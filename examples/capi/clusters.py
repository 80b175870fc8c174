"""Show CAPI's central claims, small (Darcet et al. 2025).

Clusters are a better target than pixels, if no cluster may stand for a place.
"""

from pymim.compare import options, show

given = options(__doc__, "runs/clusters", steps=350)
common = ["BATCH=64", "masks.PredictShare.share=0.5"]  # 5 % of 42 hidden patches were two an image
common.append("evaluate.Evaluation.probes=(@probes.KNN(), @probes.PatchKNN(), @probes.Linear())")
pixels = [
    "method.Objective.target=@targets.Pixels",
    "method.Objective.loss=@losses.MSE()",
    "Cross.head='linear'",
]
pixels.append("optim.AdamW.groups=()")  # of parameters that a target of pixels does not have
clusters = ["gin/capi.gin", "CLUSTERS=64"]
variants = {
    "target: clusters, by position": clusters,
    "target: clusters, over the batch": [*clusters, "Transport.by='batch'"],
    "target: pixels": ["gin/capi.gin", *pixels],
}
show(variants, given, common)
