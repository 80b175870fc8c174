"""The recipes say what the papers do: numbers that are easily got wrong."""

import ast
import functools
from pathlib import Path

import pytest
import torch

import pymim
from pymim import config, losses, predictors, targets
from pymim.method import Method
from pymim.objective import Objective
from tests.targets.runs import CENTER, make_encoder


def optimiser(paper, step=0):
    """The recipe's optimiser, of a small method, with the values of a step."""
    config.load([f"gin/recipe/{paper}.gin"])
    recipe = config.build("train.Trainer", "optimizer")
    target = functools.partial(targets.Epochwise, survey=CENTER, clusters=7)
    method = Method(
        make_encoder(), [Objective(target, predictors.Renewed, losses.CrossEntropy(), on="pooled")]
    )
    made = recipe(method)
    recipe.set(
        made,
        step,
        config.value("train.Trainer", "steps", 0),
        config.value("train.Trainer", "batch", 0),
    )
    return method, made


def test_head_and_body_learn_apart_at_a_constant_rate():
    for step in (0, 10**6):
        method, made = optimiser("deepcluster", step)
        momentum = {id(p): part["momentum"] for part in made.param_groups for p in part["params"]}
        assert {(part["lr"], part["weight_decay"]) for part in made.param_groups} == {(0.05, 1e-5)}
        assert {momentum[id(p)] for p in method.objectives.parameters()} == {0.0}
        assert {momentum[id(p)] for p in method.encoder.parameters()} == {0.9}


@pytest.mark.parametrize(("step", "rate"), [(0, 0.3), (3120, 4.8), (249600, 0.0048)])
def test_the_second_version_warms_up_from_above_zero_and_does_not_end_there(step, rate):
    _, made = optimiser("deepcluster_v2", step)
    assert [part["lr"] for part in made.param_groups] == pytest.approx(
        [rate] * len(made.param_groups)
    )
    assert made.trust == 0.001


def test_k_means_is_that_of_the_release():
    config.load(["gin/recipe/deepcluster.gin"])
    assert config.value("targets.Epochwise", "iterations", None) == 20
    assert config.value("clusters.Whitening", "dim", None) == 256
    with torch.device("meta"):
        method = config.build("train.Trainer", "method")
    target, trunk = method.objectives[0].target, method.encoder.trunk
    assert (target.width, target.every, target.sets) == (10000, 1, 1)
    assert trunk.trunk.features[0].in_channels == 2 and trunk.channels == 3
    assert method.encoder.embedding == 4096 and isinstance(method.encoder.head[-1], torch.nn.Linear)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 0.25),
        (1, 0.22),
        (4, 0.13),
        (5, 0.1),
        (29, 0.1),
        (30, 0.01),
        (60, 1e-3),
        (90, 1e-4),
        (99, 1e-4),
        (100, 1e-5),
    ],
)
def test_clusters_are_fitted_at_the_released_rates(epoch, rate):
    """The warm-up is a straight line down from 0.25; norms are not decayed, biases are."""
    method, made = optimiser("clusterfit", 5004 * epoch + 5003)
    assert [part["lr"] for part in made.param_groups] == pytest.approx(
        [rate] * len(made.param_groups)
    )
    decays = {id(p): part["weight_decay"] for part in made.param_groups for p in part["params"]}
    trunk = method.encoder.trunk
    norms = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {decays[id(p)] for norm in norms for p in norm.parameters()} == {0.0}
    assert (
        decays[id(trunk.conv1.weight)]
        == decays[id(method.objectives[0].predictor.head.bias)]
        == 1e-4
    )


def test_clusters_are_fitted_by_the_release_s_numbers():
    config.load(["gin/recipe/clusterfit.gin"])
    with torch.device("meta"):
        method = config.build("train.Trainer", "method")
    target = method.objectives[0].target
    assert (target.width, target.every, target.iterations) == (16000, 0, 50)
    assert (
        target.whitening.epsilon == 1e-5
        and target.teacher.module.embedding == method.encoder.embedding == 2048
    )
    assert method.objectives[0].predictor.head.out_features == 16000


def test_clustering_needs_no_faiss():
    files = [path for path in Path(pymim.__path__[0]).rglob("*.py") if "bench" not in path.parts]
    names = [alias.name for path in files for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Import) for alias in node.names]  # fmt: skip
    assert "numpy" in names and "faiss" not in names
