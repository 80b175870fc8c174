"""Each figure has its protocol; baselines are measured again only if their protocol differs."""

import json

import numpy as np
import pytest
import torch

from pymim import views
from pymim.encoders import ViT
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.io.figures import evaluations
from pymim.io.protocol import difference, digest, settings
from pymim.probes import KNN, Linear
from pymim.probing import Probing
from pymim.world import World
from tests.labelled import Labelled

TURN = np.arange(120) % 4


class Run:
    """What an evaluation asks of a run: an encoder, and what it was before."""

    def __init__(self, seed=0, **options):
        torch.manual_seed(seed)
        self.encoder = self.untrained = ViT(16, 2, 2, image=8, patch=4, **options)
        self.method, self.world, self.seed, self.precision = None, World.current(), seed, "bf16"


def evaluation(noise=0.3, probes=None, view=None, labels=TURN, **options):
    splits = {
        name: Labelled(labels, noise, seed=seed) for seed, name in enumerate(("train", "test"))
    }
    options = {"train_images": 80, "test_images": 40} | options
    return Evaluation(
        lambda split: splits[split],
        view or views.Center(8, 1, "none"),
        probes or [KNN(k=3)],
        **options,
    )


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def written(folder, name):
    return json.loads((folder / "evaluation" / f"{name}.json").read_text())


def rows(folder):
    return [row["name"] for row in written(folder, "baselines")]


def test_a_figure_carries_what_it_was_measured_with(folder):
    evaluation(probes=[KNN(k=3), Linear(iterations=7)], pool="encoder")(Run(seed=5), folder, 3)
    found = written(folder, "step-00000003")["protocol"]
    assert (
        found["train"]["count"] == 80
        and found["test"]["count"] == 40
        and found["train"]["classes"] == 4
    )
    knn, linear = found["probes"]
    assert (knn["is"], knn["k"], linear["is"], linear["iterations"]) == ("KNN", 3, "Linear", 7)
    assert (found["view"]["is"], found["view"]["size"]) == ("Center", [8, 8])
    assert found["pool"] == "encoder"
    assert found["seed"] == 5 and found["device"] == World.current().device.type
    assert found.keys() >= {"pymim", "torch", "source", "layer", "head", "precision"}
    assert [row["protocol"]["train"] for row in written(folder, "baselines")] == [
        found["train"]
    ] * 2


BOTH, ENCODER = ["untrained", "pixels"], ["untrained"]
OTHERS = {
    "nothing": ({}, {}, [], ""),
    "counts": ({"train_images": 60}, {}, BOTH, "train: count 80 then, 60 now"),
    "data": ({"noise": 0.5}, {}, BOTH, "train: checksum "),
    "labels": ({"labels": TURN[::-1].copy()}, {}, BOTH, "train: checksum "),
    "view": ({"view": views.Center(8, 0.75, "none")}, {}, BOTH, "view: share 1 then, 0.75 now"),
    "probes": ({"probes": [KNN(k=4)]}, {}, BOTH, "probes: 1: k 3 then, 4 now"),
    "pool": ({"pool": "class"}, {}, ENCODER, "pool mean then, class now"),
    "layer": ({"layer": 1}, {}, ENCODER, "layer none then, 1 now"),
    "seed": ({}, {"seed": 1}, ENCODER, "seed 0 then, 1 now"),
    "weights": ({}, {"mlp_ratio": 2}, ENCODER, "weights "),
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("mode", ["__call__", "again"])
def test_baselines_are_measured_again_if_their_protocol_differs(what, mode, folder, capsys):
    """The independent answer is that of a folder of its own, where nothing was measured before."""
    options, of_run, measured, said = OTHERS[what]
    evaluation()(Run(taps=(1,)), folder, 3)
    assert rows(folder) == BOTH
    capsys.readouterr()
    run, other = Run(taps=(1,), **of_run), Folder(folder / "other")
    getattr(evaluation(**options), mode)(run, folder, 5)
    printed = [line for line in capsys.readouterr().err.splitlines() if "measured again" in line]
    assert len(printed) == len(measured) and all(said in line for line in printed)
    assert rows(folder) == BOTH + measured
    other.create()
    evaluation(**options)(run, other, 5)
    name = "step-00000005" if mode == "__call__" else "eval-00000005"
    assert written(folder, name) == written(other, "step-00000005")


def test_each_is_measured_once_by_each_protocol(folder, monkeypatch):
    first, second = {}, {"train_images": 60}
    for options in (first, second, first, second):
        evaluation(**options)(Run(), folder, 3)
    assert rows(folder) == BOTH * 2
    monkeypatch.setattr(Probing, "pixels", lambda *_: pytest.fail("measured again"))
    evaluation()(Run(), folder, 4)


DAMAGED = {
    "cut short": (lambda text: text[: len(text) // 2], "is cut short or changed"),
    "empty": (lambda _: "", "is cut short or changed"),
    "no rows": (lambda _: "[1, 2]", "is cut short or changed"),
    "a row without figures": (lambda _: '[{"name": "pixels"}]', "is cut short or changed"),
    "older": (
        lambda _: '{"pixels": {"knn": 0.5}}',
        "does not say what its figures were measured with",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_measured_again_and_said_in_a_line(what, folder, capsys):
    damage, said = DAMAGED[what]
    evaluation()(Run(), folder, 3)
    file = folder / "evaluation/baselines.json"
    whole = file.read_text()
    file.write_text(damage(whole))
    capsys.readouterr()
    evaluation()(Run(), folder, 3)
    printed = [line for line in capsys.readouterr().err.splitlines() if "again" in line]
    assert printed == [f"evaluation: {file}: {said}: the baselines are measured again"]
    assert file.read_text() == whole


def test_evaluating_again_overwrites_nothing(folder, capsys):
    evaluation()(Run(), folder, 3)
    own = (folder / "evaluation/step-00000003.json").read_bytes()
    for options, name in (
        ({}, "eval-"),
        ({"test_images": 20}, "eval-2-"),
        ({}, "eval-"),
        ({"pool": "class"}, "eval-3-"),
    ):
        before = {path: path.read_bytes() for path in (folder / "evaluation").glob("eval-*")}
        evaluation(**options).again(Run(), folder, 3)
        assert (
            f"evaluation: written to {folder.path}/evaluation/{name}00000003.json"
            in capsys.readouterr().err
        )
        assert all(path.read_bytes() == content for path, content in before.items())
        assert written(folder, f"{name}00000003")["protocol"]["test"]["count"] == options.get(
            "test_images", 40
        )
    assert (folder / "evaluation/step-00000003.json").read_bytes() == own
    assert [each["step"] for each in evaluations(folder.path)] == [3]


def test_a_damaged_evaluation_is_left_out_and_reported(folder, caplog):
    for step in (3, 5):
        evaluation()(Run(), folder, step)
    (folder / "evaluation/step-00000005.json").write_text('{"step": 5, "kn')
    assert [each["step"] for each in evaluations(folder.path)] == [3]
    assert "step-00000005.json: is no valid evaluation" in caplog.text


def test_a_part_is_written_by_its_settings():
    (found,) = settings([KNN(k=3)])
    assert (found["is"], found["k"]) == ("KNN", 3)
    assert settings(np.mean) == "numpy.mean" and settings("a b") == "a b" and settings(None) is None
    assert settings({"a": torch.tensor([1, 2])}) == {"a": [1, 2]}
    large = torch.zeros(20)
    assert settings(large) == f"[20] {digest([large])}" != settings(large + 1)
    assert json.loads(json.dumps(found)) == found
    assert difference({"probes": [found]}, {"probes": [found | {"k": 5}]}) == (
        "probes: 1: k 3 then, 5 now"
    )


def test_a_digest_tells_numbers_apart():
    images = torch.arange(24.0).reshape(2, 3, 2, 2)
    same = (
        images.transpose(0, 1).contiguous().transpose(0, 1)
    )  # the same numbers in another order of memory
    assert digest([images]) == digest([same]) and digest([images]) != digest([images.flip(0)])
    assert digest([images.bfloat16(), torch.tensor(True)]) != digest(
        [images.bfloat16(), torch.tensor(False)]
    )
    assert difference({"a": {"b": 1}, "c": 2}, {"a": {"b": 1}, "c": 2}) == ""
    assert difference({"a": {"b": 1}}, {"a": {"b": 1}, "c": 2}) == "c none then, 2 now"
