"""The lines of a run: mean losses since the last line, passes over the data, images seen."""

import pytest

from pymim.io import Folder
from pymim.io.metrics import read
from pymim.loop import Gauges
from tests.test_train import late_weight, pixels, trainer


def rows(folder):
    return read(folder / "metrics.jsonl")


def run(folder, first=0, log_every=1, **options):
    made = trainer(
        [pixels(name="first"), pixels(weight=late_weight, steps=7, name="second")],
        steps=7,
        **options,
    )
    made.log_every = log_every
    made.run(Folder(folder), made.restore(first) if first else 0)
    return made


NAMES = ("loss", "first", "second")


def means(each, since, until):
    """Plainly: of the rows of every step after `since`, up to `until`."""
    window = [row for row in each if since < row["step"] <= until]
    found = {name: [row[name] for row in window if name in row] for name in NAMES}
    return {name: sum(values) / len(values) for name, values in found.items() if values}


def shown(row):
    return {name: row[name] for name in NAMES if name in row}


@pytest.fixture(scope="module")
def each(tmp_path_factory):
    """The rows of a run that speaks of every step."""
    folder = tmp_path_factory.mktemp("each")
    run(folder)
    return rows(folder)


def test_losses_are_means_over_the_steps_since_the_last_line(each, tmp_path, capsys):
    """Steps without an objective do not count in its mean: the second one begins at step 4."""
    run(tmp_path, log_every=5)
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [5, 7]
    for row, since in zip(found, (0, 5), strict=True):
        assert shown(row) == pytest.approx(means(each, since, row["step"]), rel=1e-6)
        assert row["loss_of_step"] == each[row["step"] - 1]["loss"]
    assert f"step 5/7  loss {means(each, 0, 5)['loss']:.4f}" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_a_resumed_run_continues_the_mean(each, stop, tmp_path):
    """Bit for bit, wherever between two lines it stopped."""
    run(tmp_path / "whole", log_every=5, save_every=2, keep=9)
    run(tmp_path / "again", tmp_path / f"whole/checkpoints/step-{stop:08d}", log_every=5)
    whole, again = (
        {row["step"]: shown(row) for row in rows(tmp_path / n)} for n in ("whole", "again")
    )
    assert again == {step: row for step, row in whole.items() if step > stop}


def test_an_epoch_is_a_pass_over_the_pictures(each):
    """Three batches of 16 are less than an epoch of 50 pictures; the rest follows in the next."""
    assert [row["images"] for row in each] == [16 * step for step in range(1, 8)]
    assert [row["epoch"] for row in each] == pytest.approx(
        [16 * step / 50 for step in range(1, 8)], abs=1e-4
    )


def test_images_are_counted_by_the_batch_that_each_step_had(tmp_path):
    run(tmp_path / "whole", save_every=4, keep=9)
    made = run(tmp_path / "again", tmp_path / "whole/checkpoints/step-00000004", batch=8)
    assert [row["images"] for row in rows(tmp_path / "again")] == [
        4 * 16 + 8 * n for n in (1, 2, 3)
    ]
    assert made.images == 88 and made.epoch == 88 / 50
    assert rows(tmp_path / "again")[-1]["epoch"] == 1.76


@pytest.mark.parametrize("micro", [None, 4])
def test_gauges_change_no_weights(micro, tmp_path):
    plain, gauged = (
        run(tmp_path / str(n), gauges=g, micro=micro) for n, g in enumerate((None, Gauges()))
    )
    states = [made.state.state_dict() for made in (plain, gauged)]
    assert all((states[0][name] == value).all() for name, value in states[1].items())
    assert (
        "features/rank" in rows(tmp_path / "1")[-1]
        and "features/rank" not in rows(tmp_path / "0")[-1]
    )
