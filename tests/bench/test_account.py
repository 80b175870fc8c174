"""The account of a step: every operator is in one kind, and the core's have their own."""

import pytest

from pymim.bench import account
from pymim.config import flags


def test_time_of_masks_is_reported_by_itself(capsys):
    small = (
        "DIM=48",
        "DEPTH=1",
        "BATCH=8",
        "WORKERS=0",
        "IMAGE=16",
        "train.Trainer.precision='float32'",
    )
    assert account.main([*flags(["gin/mae.gin", *small]), "--steps", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = {
        line[:30].strip(): float(line.split()[-1].rstrip("%")) for line in lines if "%" in line
    }
    assert {"core: masks", "products", "norms", "optimiser"} <= set(kinds)
    assert sum(kinds.values()) == pytest.approx(100, abs=1)
    assert 0 < kinds["core: masks"] < kinds["products"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pymim::sinkhorn_sweep", "core: transport"),
        ("pymim::kmeans_assign", "core: clustering"),
        ("pymim::relative_loss", "core: ranking"),
        ("pymim::uniform", "core: masks"),
        ("aten::addmm", "products"),
        ("Optimizer.step#AdamW.step", "optimiser"),
        ("aten::nothing_we_know", "the rest"),
    ],
)
def test_operators_are_sorted_by_kind(name, kind):
    assert account._kind(name) == kind
