"""The graph of a configuration, measured: what each part makes, holds and costs."""

from types import SimpleNamespace

import pytest
import torch

from pymim import config, explain
from pymim.run import main

MAE = ["--gin", "gin/mae.gin"]


def test_explain_draws_the_tree_without_training(tmp_path, capsys):
    assert main([*MAE, "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for part in ("encoder", "ViT", "predictor", "Transformer", "FLOPs", "pymim/encoders/vit.py"):
        assert part in shown
    assert (tmp_path / "mae.svg").read_text().startswith("<svg")


def test_explain_counts_clips(tmp_path, capsys):
    assert (
        main(["--gin", "gin/mae_video.gin", "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    )
    assert "one step of 64 clips" in capsys.readouterr().out


def test_explain_shows_the_memory_of_each_part():
    config.load(["gin/mae.gin"])
    root = config.graph("train.Trainer")
    with torch.device("meta"):
        method = config.build("train.Trainer", "method")
        cost = explain.measure(method, explain.example(method, root), root)
    parts = {node.name: node for _, node in root.walk()}
    assert parts["Method"].memory == cost.memory
    assert (
        parts["ViT"].memory > parts["Transformer"].memory > 16 * parts["Transformer"].parameters > 0
    )
    assert parts["ViT"].memory + parts["Transformer"].memory <= cost.memory


def test_explain_counts_a_whole_piece_and_the_branches_that_run():
    """CAPI's blocks run on four fifths of the images, which of two images would be one."""
    costs = []
    for drop in (0.0, 0.2):
        config.load(
            ["gin/capi.gin"],
            [f"encoders.ViT.drop_path = {drop}", "encoders.ViT.drop = 'subset'", "BATCH = 10"],
        )
        root = config.graph("train.Trainer")
        with torch.device("meta"):
            method = config.build("train.Trainer", "method")
            costs.append(explain.measure(method, explain.example(method, root), root))
    parts = {node.name: node for _, node in root.walk()}
    assert parts["ViT"].shapes.startswith("tokens [10 ")
    assert 0.75 < costs[1].flops / costs[0].flops < 1


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (SimpleNamespace(), [2, 3, 32, 32]),
        (SimpleNamespace(size=(16, 24)), [2, 3, 16, 24]),
        (SimpleNamespace(channels=8), [2, 8, 32, 32]),
        (SimpleNamespace(channels=(0, 3)), [2, 2, 32, 32]),
        (SimpleNamespace(channels=None), [2, 3, 32, 32]),
    ],
)
def test_a_view_is_explained_with_its_own_size_and_channels(view, shape):
    encoder = SimpleNamespace(base=(8, 8), patch=(4, 4), channels=3)
    root = SimpleNamespace(arguments={"batch": 2})
    plain = SimpleNamespace()
    first, second = explain.example(
        SimpleNamespace(encoder=encoder, objectives=()), root, [plain, view]
    )
    assert list(first.shape) == [2, 3, 32, 32]
    assert list(second.shape) == shape
    assert second.is_meta


def test_a_view_without_a_size_takes_the_encoders():
    encoder = SimpleNamespace(base=(2, 8, 8), patch=(2, 4, 4), channels=3)
    root = SimpleNamespace(arguments={"batch": 8, "micro": 2})
    views = [SimpleNamespace(), SimpleNamespace(size=(16, 16))]
    made = explain.example(SimpleNamespace(encoder=encoder, objectives=()), root, views)
    assert [list(each.shape) for each in made] == [[2, 3, 4, 32, 32], [2, 3, 4, 16, 16]]
