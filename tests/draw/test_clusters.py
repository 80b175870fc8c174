"""Cluster maps: a colour each, in the place of the patch."""

import torch

from pymim.draw.clusters import assigned, colours, draw
from pymim.method import Method
from tests.targets.test_online import make
from tests.test_method import make_batch, make_method


def test_equal_ids_have_equal_colours_and_different_ones_differ():
    ids = torch.tensor([[3, 3, 500], [7, 3, 500]])
    found = colours(ids)
    assert found.shape == (2, 3, 3)
    assert torch.equal(found[0, 0], found[1, 1])
    assert torch.equal(found[0, 2], found[1, 2])
    assert len(found.flatten(0, 1).unique(dim=0)) == 3
    many = colours(torch.arange(60))
    assert len((many * 255).round().unique(dim=0)) == 60


def test_a_method_with_clusters_is_drawn_and_another_is_not(tmp_path):
    method, batch = make()
    assert isinstance(method, Method)
    ids = assigned(method.objectives[0], batch, 0)
    assert ids.shape == (8, 16)
    assert draw(method, batch, tmp_path / "clusters.png", lambda view: view)
    assert (tmp_path / "clusters.png").stat().st_size > 1000
    assert not draw(make_method(), make_batch(), tmp_path / "none.png", lambda view: view)
    assert not (tmp_path / "none.png").exists()


def test_the_likeliest_cluster_needs_no_other_image():
    method, batch = make()
    target = method.objectives[0].target
    whole = target.assignments(batch.views[0])
    assert torch.equal(target.assignments(batch.views[0][3:4]), whole[3:4])
