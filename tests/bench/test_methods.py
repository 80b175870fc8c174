"""The benchmark of methods: all are built, steps are split into shares, HPM sees MAE's data."""

import numpy as np
import pytest

from pymim import config
from pymim.bench import methods

TINY = [
    "DIM=24",
    "DEPTH=1",
    "HEADS=2",
    "BATCH=4",
    "IMAGE=32",
    "Transformer.dim=24",
    "Transformer.depth=1",
]
TINY += ["Transformer.heads=2"]


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_configuration_parses(name):
    words = methods.METHODS[name]
    config.load(
        [w for w in words if w.endswith(".gin")], [w for w in words if not w.endswith(".gin")]
    )
    assert config.value("train.Trainer", "batch", None) in (4, 64)


def test_each_method_has_a_row_with_its_shares(monkeypatch):
    monkeypatch.setattr(methods, "METHODS", {"HPM": [*methods.MINED, *TINY]})
    header, _, row = methods.accounts(quick=True).splitlines()
    assert header.count("|") == row.count("|") and row.startswith("| HPM, B 4 |")
    shares = dict(
        zip(
            header.split(" | ")[2:],
            (float(c.rstrip("% |")) for c in row.split(" | ")[2:]),
            strict=True,
        )
    )
    assert (
        shares["core: ranking"] > 0 and shares["all of the masks' choice"] > shares["core: masks"]
    )


def test_hpm_sees_what_mae_sees():
    seen = []
    for words in (methods.UNIFORM, methods.MINED):
        step, read = methods._step([*words, *TINY], [])
        seen.append(read(step()))
    np.testing.assert_array_equal(*seen)
    assert seen[0] == [4, 1]
