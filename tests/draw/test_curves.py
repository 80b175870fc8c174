import pytest

from pymim.draw import curves
from pymim.io import Folder, Metrics


@pytest.mark.parametrize(
    "row, drawn",
    [
        ({"loss": 2.0, "Pixels": 2.0}, ["loss"]),
        ({"loss": 3.0, "Pixels": 2.0, "Relative": 1.0}, ["Pixels", "Relative", "loss"]),
    ],
)
def test_an_only_objective_is_not_drawn_beside_the_loss_that_it_is(row, drawn, tmp_path, monkeypatch):
    metrics = Metrics(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        metrics.write(step, rate=0.1, **row)
    metrics.close()
    figures = []
    monkeypatch.setattr(curves, "save", lambda figure, path: figures.append(figure))
    curves.draw(Folder(tmp_path), tmp_path / "curves.png")
    assert figures[0].axes[0].get_legend_handles_labels()[1] == drawn
