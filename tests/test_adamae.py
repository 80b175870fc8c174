"""gin/adamae.gin as a run: what the sampler learns is logged, drawn, and resumed to the bit."""

import json

import pytest
import torch
from safetensors.torch import load_file

from pymim import config, masks
from pymim.contracts import Draw
from pymim.run import main

SMALL = ["DIM=16", "DEPTH=1", "HEADS=2", "BATCH=8", "STEPS=4", "predictors.Transformer.dim=16"]
SMALL += ["predictors.Transformer.heads=2", "Trainer.log_every=1", "Trainer.save_every=2"]
QUICK = ["Trainer.evaluate=None", "Pictures.images=2"]


def command(folder, *more):
    return [*config.flags(["gin/adamae.gin", *SMALL, *QUICK]), "--workdir", str(folder), *more]


def weights(folder, step=4):
    (path,) = (folder / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")
    return load_file(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled") / "whole"
    assert main(command(folder)) == 0
    return folder


def test_both_terms_are_logged_and_add_up(finished):
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    for row in rows:
        assert row["loss"] == pytest.approx(row["pixels"] + row["ranker"], rel=1e-4)
        assert 0 < row["ranker"] < 0.01


def test_chances_are_drawn(finished):
    assert list((finished / "pictures").glob("difficulty-*.png"))


def test_the_sampler_moves_and_is_saved_without_the_embedding_it_reads(finished):
    first, last = weights(finished, 2), weights(finished, 4)
    names = [name for name in last if "ranker." in name and not name.startswith("optimizer")]
    assert names and not [name for name in names if "patch_embed" in name]
    moved = {
        name.rpartition("ranker.")[2] for name in names if not torch.equal(first[name], last[name])
    }
    assert {"pos_embed", "head.weight", "block.mlp.fc1.weight"} <= moved


def test_a_resumed_run_draws_the_same_masks(finished, tmp_path):
    folder = tmp_path / "resumed"
    assert main(command(folder, "--resume", str(finished / "checkpoints" / "step-00000002"))) == 0
    for name, value in weights(finished).items():
        assert torch.equal(value, weights(folder)[name]), name


def test_78_of_1568_patches_are_visible():
    mask = masks.Weighted(0.95)(torch.arange(2), (8, 14, 14), Draw(0, 0), torch.rand(2, 1568))
    assert mask.visible.shape == (2, 78)
