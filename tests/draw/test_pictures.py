"""A reconstruction shows the target itself as the input, and pictures have the right colours."""

import functools

import pytest
import torch

from pymim.contracts import Branch, Draw, Source
from pymim.draw.image import save_grid, to_picture
from pymim.draw.pictures import Pictures
from pymim.draw.reconstruction import GREY, _columns, _everywhere
from pymim.encoders import Altered, Fill, ViT
from pymim.errors import ConfigError
from pymim.io import Folder
from pymim.layers.patch import unpatchify
from pymim.losses import MSE
from pymim.masks import Uniform
from pymim.objective import Objective
from pymim.predictors import OneLayer, Transformer
from pymim.targets import Pixels
from tests.asking import ask
from tests.targets.runs import trainer

RAW = functools.partial(Pixels, normalise="none")


class Oracle(torch.nn.Module):
    """Predicts the target."""

    def __init__(self, encoder, width):
        super().__init__()
        self.target, self.view = Pixels(encoder), None

    def predict_all(self, features, mask, grid):
        return ask(self.target, self.view)


def test_normalised_predictions_come_back_as_pixels():
    encoder = ViT(16, 1, 2, image=(8, 12), patch=4)
    objective = Objective(Pixels, Oracle, MSE())
    objective.build(encoder, {})
    view = torch.randn(2, 3, 8, 12)
    objective.predictor.view = view
    mask = Uniform(0.5)(torch.arange(2), (2, 3), Draw(0, 0, 0))
    branch = Branch(
        Source(0),
        view,
        torch.arange(len(view)),
        Draw(0, 0),
        (2, 3),
        mask,
        None,
        encoder(view, mask),
    )
    shown = unpatchify(_everywhere(objective, objective.target, branch), (2, 3), (4, 4))
    torch.testing.assert_close(shown, view, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("hidden", ["drop", "token", "altered"])
def test_what_the_encoder_saw_is_shown(hidden):
    """Hidden patches are grey, or what became of their pixels."""
    trunk = ViT(16, 1, 2, image=(8, 12), patch=4, hidden="drop" if hidden == "altered" else hidden)
    encoder = Altered(trunk, functools.partial(Fill, value=0.25)) if hidden == "altered" else trunk
    objective = Objective(RAW, functools.partial(Transformer, dim=16, depth=1, heads=2), MSE())
    objective.build(encoder, {})
    view, mask = torch.rand(2, 3, 8, 12), Uniform(0.5)(torch.arange(2), (2, 3), Draw(0, 0, 0))
    branch = Branch(
        Source(0), view, torch.arange(2), Draw(0, 0), (2, 3), mask, None, encoder(view, mask)
    )
    columns = _columns(encoder, objective, objective.target, branch, lambda pixels: pixels)
    name = "seen" if hidden == "altered" else "visible"
    assert list(columns) == ["input", name, "prediction", "pasted"]
    grey = 0.25 if hidden == "altered" else GREY
    for image in range(2):
        for patch in range(6):
            at = (image, slice(None), *(slice(4 * k, 4 * k + 4) for k in divmod(patch, 3)))
            covered = patch in mask.hidden[image].tolist()
            assert torch.equal(
                columns[name][at], torch.full((3, 4, 4), grey) if covered else view[at]
            )
            assert torch.equal(
                columns["pasted"][at], columns["prediction" if covered else "input"][at]
            )


def test_an_objective_at_a_tap_is_drawn_from_there():
    encoder = ViT(16, 2, 2, image=(8, 12), patch=4, hidden="token", taps=(1,))
    objective = Objective(RAW, OneLayer, MSE(), tap=1)
    objective.build(encoder, {})
    view, mask = torch.rand(2, 3, 8, 12), Uniform(0.5)(torch.arange(2), (2, 3), Draw(0, 0, 0))
    features = encoder(view, mask)
    branch = Branch(Source(0), view, torch.arange(2), Draw(0, 0), (2, 3), mask, None, features)
    found = _everywhere(objective, objective.target, branch)
    torch.testing.assert_close(found, objective.predictor.head(features.taps[1][:, 1:]))


def test_any_channel_count_and_clips_can_be_shown():
    for shape in ((1, 4, 4), (2, 4, 4), (3, 4, 4), (12, 4, 4)):
        assert to_picture(torch.rand(shape)).shape == (4, 4, 3)
    clip = torch.arange(16.0).view(1, 16, 1, 1).expand(3, 16, 4, 4) / 15
    strip = to_picture(clip)
    assert strip.shape == (4, 32, 3)
    torch.testing.assert_close(
        strip[0, ::4, 0] * 15, torch.tensor([0.0, 2, 4, 6, 9, 11, 13, 15]).numpy()
    )
    assert to_picture(clip, frames=2).shape == (4, 8, 3)


@pytest.mark.parametrize("wide", [1, 5])
def test_pictures_and_strips_are_saved(tmp_path, wide):
    cell = torch.rand(4, 4 * wide, 3).numpy()
    save_grid(tmp_path / "grid.png", ["a", "b", "c"], [[cell] * 3] * 5, blocks=2)
    assert (tmp_path / "grid.png").stat().st_size > 1000


def test_a_picture_whose_encoder_file_is_missing_is_skipped_and_reported(
    tmp_path, capsys, monkeypatch
):
    def draws(path, *_):
        raise ConfigError("Frozen: path: expected a file, got none; export a run")

    monkeypatch.setattr("pymim.draw.pictures.clusters.draw", draws)
    run = trainer()
    Pictures(4)(run, Folder(tmp_path), 3)
    told = capsys.readouterr().err
    assert (
        "pictures: clusters is not drawn: Frozen: path: expected a file, got none; export a run\n"
        in told
    )
    assert "pictures: features and curves in" in told
    assert {path.name for path in (tmp_path / "pictures").iterdir()} >= {"features-00000003.png"}
