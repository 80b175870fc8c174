"""A run is reused only if configuration, code, data and stages are the same."""

import re

import numpy as np

from pymim.making import first_difference, made_of


def test_a_run_of_an_edited_module_is_not_reused(tmp_path, monkeypatch):
    from pymim import config, making

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_loss.py").write_text(
        "class Loss:\n    def __call__(self, a, b): return (a - b).mean(-1)\n"
    )
    (tmp_path / "mine.gin").write_text(
        "include 'mae.gin'\nfrom __gin__ import dynamic_registration\nimport edited_loss\n"
        "from pymim import method\nmethod.Objective.loss = @edited_loss.Loss()\n"
    )
    with config.trusting():
        before = made_of([str(tmp_path / "mine.gin")], tmp_path / "run")
        (tmp_path / "edited_loss.py").write_text("class Loss: pass")
        making._code.cache_clear()  # as another command
        after = made_of([str(tmp_path / "mine.gin")], tmp_path / "run")
    assert first_difference(before, after).startswith("code of edited_loss: ")


def test_the_data_are_part_of_a_run(tmp_path):
    from pymim import making

    def made(path):
        making._files.cache_clear()  # as another command
        return made_of(["gin/mae.gin", f"DATA={path}"], tmp_path / "run")

    pictures = tmp_path / "pictures" / "a"
    pictures.mkdir(parents=True)
    (pictures / "1.png").write_bytes(b"one")
    (tmp_path / "pictures" / "again").symlink_to(tmp_path / "pictures")
    np.save(tmp_path / "all.npy", np.zeros((3, 4, 4, 3), np.uint8))
    np.save(tmp_path / "all_labels.npy", np.zeros(3, int))
    for name in ("some_train.parquet", "some_test.parquet"):
        (tmp_path / name).write_bytes(b"rows")
    for named, touched in (
        ("pictures", "pictures/a/2.png"),
        ("all.npy", "all_labels.npy"),
        ("some_train.parquet", "some_test.parquet"),
        ("some_train.parquet", "some_train.parquet"),
    ):
        before = made(tmp_path / named)
        assert first_difference(before, made(tmp_path / named)) is None
        (tmp_path / touched).write_bytes(b"other")
        assert f"files of {tmp_path / named}: " in first_difference(before, made(tmp_path / named))
    again = tmp_path / "some_train.parquet"
    before, content = made(again), again.read_bytes()
    again.unlink()
    again.write_bytes(content)  # the same, written again
    assert first_difference(before, made(again)) is None


def test_a_stage_is_part_of_a_run(tmp_path):
    folders = (tmp_path / "run", tmp_path / "moved/run")
    before, moved = (made_of(["gin/mr_mae.gin", "STAGE_STEPS=3"], folder) for folder in folders)
    assert before == moved and before["stage 1-mae: train.Trainer.steps"] == "3"
    after = made_of(["gin/mr_mae.gin", "STAGE_STEPS=4"], folders[0])
    assert re.search("(?s)3.* then, .*4.* now", first_difference(before, after))
