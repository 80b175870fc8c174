"""Decide which tests are fast by what their file imports, so that a new file needs no entry."""

import ast
import functools

from tests.sources import PYTHON, ROOT, imports, module_of, tree

# Parts of the library on their own, and rules over its text.
FOLDERS = {
    *(
        "clusters",
        "encoders",
        "layers",
        "losses",
        "masks",
        "optim",
        "predictors",
        "rankers",
        "targets",
    ),
}
FILES = {"test_floors", "test_objective", "test_philox", "test_schedule", "test_slots"}
# Runs, further processes, and judges that take long to import or to answer.
SLOW = {
    *(
        "pymim.bench",
        "pymim.compare",
        "pymim.config",
        "pymim.draw",
        "pymim.evaluate",
        "pymim.run",
        "pymim.train",
    ),
    *(
        "faiss",
        "hypothesis",
        "multiprocessing",
        "ot",
        "scipy",
        "sklearn",
        "subprocess",
        "torch.multiprocessing",
    ),
    *("torch._dynamo", "transformers"),
}
TESTS = {module_of(path): path for path in PYTHON if path.is_relative_to(ROOT / "tests")}


@functools.cache
def reached(path):
    """Everything that a file of tests imports, through other files of tests too."""
    found = set(imports(path)) | set(_perhaps(path))
    return found.union(*(reached(TESTS[name]) for name in found if name in TESTS))


def _perhaps(path):
    """What is imported where it is installed."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            yield node.args[0].value


def slow_of(path):
    """What a file reaches that is slow."""
    return {
        slow
        for name in reached(path)
        for slow in SLOW
        if name == slow or name.startswith(f"{slow}.")
    }


@functools.cache
def is_fast(path):
    """Whether a file of tests is of the fast part."""
    if path not in TESTS.values():
        return False
    inside = path.relative_to(ROOT / "tests")
    return (inside.parts[0] in FOLDERS or inside.stem in FILES) and not slow_of(path)
