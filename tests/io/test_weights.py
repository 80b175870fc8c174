"""A run may begin from any weights: what fits is taken, the rest is said by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pymim.encoders import Average, Projected, ViT
from pymim.errors import ConfigError
from pymim.io import checkpoint, seal, weights
from pymim.io.export import export


def vit(seed=0, **options):
    torch.manual_seed(seed)
    return ViT(
        **{"dim": 32, "depth": 2, "heads": 4, "image": (16, 24), "patch": 4} | options
    ).eval()


VIEW = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def exported(tmp_path):
    export(vit(1), tmp_path, [0.5] * 3, [0.5] * 3)
    return tmp_path


def save_run(folder, average=False, step=3):
    """Make a run's folder with a checkpoint of vit(1), as the encoder or as its average."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = vit(2 if average else 1)
    state = torch.nn.ModuleDict({"method": torch.nn.ModuleDict({"encoder": encoder})})
    if average:
        state["average"] = Average(vit(1))
    checkpoint.save(
        folder / "checkpoints", step, state, torch.optim.SGD(encoder.parameters(), 0.1), {}, keep=2
    )
    return folder


def test_features_are_those_of_a_vit_of_transformers(exported):
    """The judge is another library, which reads another file of the same encoder."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.ViTModel.from_pretrained(
        exported / "transformers", add_pooling_layer=False
    ).eval()
    ours = vit()
    fit = weights.load(ours, exported)
    total = len(fit.loaded)
    assert str(fit) == f"start: {exported / 'model.safetensors'}: {total} of {total} tensors loaded"
    with torch.no_grad():
        features = ours(VIEW)
        found = torch.cat([features.prefix, features.tokens], 1)
        torch.testing.assert_close(theirs(VIEW).last_hidden_state, found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "form", ["file", "folder", "run", "checkpoint", "average", "old run", "wrapped"]
)
def test_every_kind_of_file_gives_the_same_features(exported, tmp_path, form):
    path = {"file": exported / "model.safetensors", "folder": exported}.get(form)
    if form in ("run", "checkpoint", "average"):
        path = save_run(tmp_path / "run", form == "average")
        path = path / "checkpoints/step-00000003" if form == "checkpoint" else path
    if form in ("old run", "wrapped"):
        prefix = "method.method.encoder." if form == "old run" else "method.encoder.trunk."
        path = tmp_path / "other.safetensors"
        save_file(
            {prefix + name: value.clone() for name, value in vit(1).state_dict().items()}, path
        )
    ours = vit()
    assert not weights.load(ours, path).missing
    assert torch.equal(ours(VIEW).tokens, vit(1)(VIEW).tokens)


def test_a_wrapped_encoder_takes_its_trunk_and_says_what_is_missing(exported):
    ours = Projected(vit(), (8, 4), norm="none")
    fit = weights.load(ours, exported)
    assert fit.missing == [
        f"head.{number}.{kind}" for number in (1, 5) for kind in ("weight", "bias")
    ]
    assert torch.equal(ours(VIEW).tokens, vit(1)(VIEW).tokens)
    assert (
        "start: 4 missing in the file: head.1.weight, head.1.bias, head.5.weight, head.5.bias"
        in str(fit)
    )


def test_tensors_left_over_or_of_another_shape_are_named(exported):
    path = exported / "part.safetensors"
    others = {"head.weight": torch.zeros(10, 32), "pos_embed": torch.zeros(1, 5, 32)}
    save_file(load_file(exported / "model.safetensors") | others, path, metadata={"heads": "2"})
    ours = vit(positions="learned")
    before = ours.pos_embed.clone()
    lines = str(weights.load(ours, path)).splitlines()
    assert lines[1:] == [
        "start: 1 only in the file: head.weight",
        "start: 1 of another shape: pos_embed [1, 5, 32], here [1, 25, 32]",
        "start: 1 different, which weights do not show: heads 2, here 4",
    ]
    assert torch.equal(ours.pos_embed, before)


def test_many_names_are_counted_and_ten_shown(exported):
    ours = vit(depth=4)
    (line,) = [line for line in str(weights.load(ours, exported)).splitlines() if "missing" in line]
    assert (
        line.startswith("start: 24 missing in the file: blocks.2.norm1.weight, ")
        and line.count(", ") == 9
    )
    assert line.endswith(" and 14 more")


def test_a_file_that_does_not_fit_at_all_is_refused(tmp_path):
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(
        ConfigError, match=r"start: .*expected an encoder's tensors, .*got conv.weight: none fits"
    ):
        weights.match(vit(), tmp_path / "other.safetensors")
    with pytest.raises(
        ConfigError, match=r"start: expected a safetensors file.* which is none of these"
    ):
        weights.match(vit(), tmp_path / "nothing")
    (tmp_path / "model.safetensors").write_text(json.dumps({"no": "tensors"}))
    with pytest.raises(ConfigError, match="expected a safetensors file, got: "):
        weights.match(vit(), tmp_path)


def test_a_runs_checkpoint_is_summed_once(tmp_path, monkeypatch):
    save_run(tmp_path)
    summed, check = [], seal.check
    monkeypatch.setattr(seal, "check", lambda *given: (summed.append(given[0]), check(*given)))
    weights.load(vit(), tmp_path, whole=True)
    assert len(summed) == 1
