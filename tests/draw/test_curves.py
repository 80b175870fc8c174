import json

import pytest

from pymim.draw import curves
from pymim.io import Folder, Metrics


@pytest.fixture
def panels(tmp_path, monkeypatch):
    """The panels that are drawn of rows of metrics, by step."""

    def draw(rows):
        metrics = Metrics(tmp_path / "metrics.jsonl")
        for step, row in rows.items():
            metrics.write(step, rate=0.1, **row)
        metrics.close()
        figures = []
        monkeypatch.setattr(curves, "save", lambda figure, path: figures.append(figure))
        curves.draw(Folder(tmp_path), tmp_path / "curves.png")
        return figures[0].axes

    return draw


@pytest.mark.parametrize(
    "row, drawn",
    [
        ({"loss": 2.0, "Pixels": 2.0, "loss_of_step": 1.9}, ["loss"]),
        ({"loss": 3.0, "Pixels": 2.0, "Relative": 1.0}, ["Pixels", "Relative", "loss"]),
    ],
)
def test_a_single_objective_is_not_drawn_beside_the_equal_loss(row, drawn, panels):
    assert panels({1: row, 2: row})[0].get_legend_handles_labels()[1] == drawn


def test_all_panels_show_the_run_from_its_start_with_plain_numbers(panels):
    axes = panels({step: {"loss": 2.0, "features/rank": step + 10.0} for step in (20, 40)})
    assert {axis.get_xlim() for axis in axes} == {(0, 1.03 * 40)}
    axes[1].figure.canvas.draw()
    labels = [label.get_text() for label in axes[1].get_yticklabels(which="both")]
    assert "30" in labels and not any("10^" in label for label in labels)


def test_probes_are_in_percent_beside_their_baselines(panels, tmp_path):
    (tmp_path / "evaluation").mkdir()
    for step, told in ((20, {"knn": 0.25}), (40, {"knn": 0.5, "linear": 0.75})):
        found = {"step": step, **told, "baselines": {"untrained": {"knn": 0.125}}}
        (tmp_path / "evaluation" / f"step-{step:08d}.json").write_text(json.dumps(found))
    probes = panels({step: {"loss": 2.0} for step in (20, 40)})[3]
    drawn = {line.get_label(): list(line.get_ydata()) for line in probes.lines}
    assert (
        drawn["knn"] == [25, 50]
        and drawn["linear"][1] == 75
        and drawn["knn, untrained"] == [12.5, 12.5]
    )
