"""Shipped parts have the members that pymim.contracts lists; no hook is misspelt."""

import ast
import inspect

import pytest

from pymim import encoders, losses, masks, predictors, probes, rankers, targets
from pymim.compatible import READS
from pymim.contracts import HOOKS, Encoder, Hooks, Target
from tests.sources import LIBRARY, name_of, tree

# What a package offers besides the parts of its slot.
BESIDE = {
    *(
        "Average",
        "Copy",
        "Momentum",
        "Frozen",
        "Itself",
        "Fill",
        "Filter",
        "Table",
        "visible_count",
        "Absolute",
        "Relative",
    ),
}


def parts(package):
    return [getattr(package, name) for name in package.__all__ if name not in BESIDE]


def takes(function, *names):
    """Whether a function can be called with its arguments by these names."""
    bound = inspect.signature(function)
    given = {name: None for name in names}
    return (
        bound.bind(*([None] if next(iter(bound.parameters)) == "self" else []), **given) is not None
    )


@pytest.mark.parametrize("kind", parts(targets), ids=lambda kind: kind.__name__)
def test_a_target_answers_what_is_asked(kind):
    assert takes(kind.forward, "asked")
    assert getattr(kind, "reads", Target.reads) in READS["target"]
    assert "width" in assigned(kind)
    assert next(iter(inspect.signature(kind).parameters)) == "encoder"


@pytest.mark.parametrize("kind", parts(predictors), ids=lambda kind: kind.__name__)
def test_a_predictor_takes_features_a_mask_and_the_grid(kind):
    assert takes(kind.forward, "features", "mask", "grid")
    assert getattr(kind, "reads", None) in READS["predictor"] or "reads" in assigned(kind)
    assert [*inspect.signature(kind).parameters][:2] == ["encoder", "width"]


@pytest.mark.parametrize("kind", parts(encoders), ids=lambda kind: kind.__name__)
def test_an_encoder_has_its_sizes(kind):
    assert issubclass(kind, Encoder)
    assert takes(kind.forward, "view", "mask") and takes(kind.forward, "view")
    assert takes(kind.grid, "shape")
    measures = {"width", "channels", "patch", "base", "prefix"}
    assert not [name for name in measures if name not in assigned(kind) and not hasattr(kind, name)]


@pytest.mark.parametrize("kind", parts(losses), ids=lambda kind: kind.__name__)
def test_a_loss_takes_a_prediction_and_its_target(kind):
    given = [*inspect.signature(getattr(kind, "forward", kind.__call__)).parameters]
    assert given[:3] == ["self", "prediction", "target"]


@pytest.mark.parametrize("kind", parts(rankers), ids=lambda kind: kind.__name__)
def test_a_ranker_takes_a_batch(kind):
    assert takes(kind.forward, "batch", "draw")
    assert [*inspect.signature(kind).parameters][:2] == ["encoder", "objectives"]
    assert "losses" not in vars(kind)  # it is called loss


@pytest.mark.parametrize("kind", parts(masks), ids=lambda kind: kind.__name__)
def test_a_policy_takes_an_optional_difficulty(kind):
    assert takes(kind.__call__, "index", "grid", "draw", "difficulty") and takes(
        kind.__call__, "index", "grid", "draw"
    )


# What fine-tuning is made of, in the folder of the probes that fine-tune.
INGREDIENTS = {probes.Classifier, probes.Learning, probes.Mixing, probes.Readout}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in parts(probes) if kind not in INGREDIENTS],
    ids=lambda kind: kind.__name__,
)
def test_a_probe_has_a_name_and_says_what_it_takes(kind):
    assert {"name", "takes"} <= assigned(kind) | set(dir(kind))


@pytest.mark.parametrize("package", [targets, predictors, encoders, losses, rankers, masks, probes])
def test_every_part_has_a_docstring(package):
    assert not [kind.__name__ for kind in parts(package) if not (kind.__doc__ or "").strip()]


def test_no_hook_is_misspelt_anywhere_in_the_library():
    """A misspelt hook would never be called; each hook has the arguments that Hooks lists."""
    found = []
    for path in LIBRARY:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith(("before_", "after_")):
                found.append((name_of(path), node))
    assert not [(path, node.name) for path, node in found if node.name not in HOOKS]
    assert {node.name for _, node in found} == set(HOOKS)
    for path, node in found:
        arguments = [argument.arg for argument in node.args.args]
        if path != "pymim/method.py":  # which calls them, with the encoder that it has
            assert len(arguments) == len(inspect.signature(getattr(Hooks, node.name)).parameters), (
                path,
                node.name,
            )


def assigned(kind):
    """The names that a class or its bases give a value, on the class or on self."""
    found = set()
    for base in inspect.getmro(kind):
        if not base.__module__.startswith("pymim") or base.__module__.startswith(
            "pymim.contracts."
        ):
            continue
        for node in ast.walk(ast.parse(inspect.getsource(base))):
            targets_of = (
                node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            )
            if (
                isinstance(node, ast.Assign | ast.AnnAssign)
                and getattr(node, "value", None) is not None
            ):
                found |= {name for one in targets_of for name in _names(one)}
            elif isinstance(node, ast.FunctionDef):
                found.add(node.name)
    return found


def _names(node):
    for one in ast.walk(node):
        if (
            isinstance(one, ast.Attribute)
            and isinstance(one.value, ast.Name)
            and one.value.id == "self"
        ):
            yield one.attr
        elif isinstance(one, ast.Name):
            yield one.id
