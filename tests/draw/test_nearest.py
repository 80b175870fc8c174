"""Pictures of clusters: the nearest to their centroids, and how clusters agree over the epochs."""

import json

import numpy as np
import torch

from pymim.draw import agreement, nearest
from pymim.io import Folder
from tests.targets.runs import pictures, started, trainer


def as_it_is(pixels):
    return pixels


def test_clusters_are_chosen_by_size_from_the_largest_to_the_smallest():
    labels = torch.repeat_interleave(torch.arange(30), torch.arange(30))  # cluster k has k pictures
    assert nearest._chosen(labels) == [29, 26, 24, 21, 19, 16, 14, 11, 9, 6, 4, 1]
    assert nearest._chosen(torch.tensor([2, 0, 2])) == [2, 0]


def test_a_strip_shows_the_nearest_pictures_and_names_their_class(tmp_path, monkeypatch):
    run = trainer()
    source = run.loader.source
    source.classes = list("abcde")
    drawing = (run.method, source, tmp_path / "nearest.png", as_it_is)
    assert not nearest.draw(*drawing)  # nothing is clustered yet
    target = started(run, tmp_path).target
    shown, strip = [], nearest._strip
    monkeypatch.setattr(nearest, "_strip", lambda *words: shown.append(words[1]) or strip(*words))
    assert nearest.draw(*drawing)
    assert (tmp_path / "nearest.png").stat().st_size > 1000
    assert len(shown) == len(target.labels.unique())
    for index in shown:
        (label,) = target.labels[0, index].unique()
        closest = target.distances[0, target.labels[0] == label].sort().values[: len(index)]
        assert torch.equal(target.distances[0, index], closest)
    assert nearest._caption(source, torch.tensor([0, 5, 1, 10])) == "4 pictures, 75% of class a"
    assert nearest._caption(pictures(labels=False), torch.tensor([0])) == "1 pictures"


def test_too_few_pictures_leave_white(tmp_path):
    run = trainer()
    view = nearest.Center(16, statistics="none")
    strip = nearest._strip(run.loader.source, torch.tensor([3, 7]), view, as_it_is)
    assert (
        strip.shape == (16, 10 * 17, 3)
        and (strip[:, 34:] == 1).all()
        and not (strip[:, :33] == 1).all()
    )
    picture = run.loader.source.images[3].permute(1, 2, 0).numpy() / 255
    np.testing.assert_allclose(strip[:, :16], picture, atol=1e-6)


def test_agreement_needs_two_clusterings(tmp_path):
    folder, lines = Folder(tmp_path), [{"step": 0, "epoch": 0, "nmi_labels": 0.1}]
    for more in ([], [{"step": 3, "epoch": 1, "nmi_labels": 0.2, "nmi_previous": 0.5}]):
        lines += more
        (tmp_path / "clusters.jsonl").write_text("\n".join(map(json.dumps, lines)))
        assert agreement.draw(folder, tmp_path / "agreement.png") == bool(more)
    assert (tmp_path / "agreement.png").exists()
