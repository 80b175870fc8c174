"""The nearest rows, as scikit-learn finds them, whoever has them."""

import pytest
import torch
import torch.multiprocessing as mp
from sklearn.neighbors import NearestNeighbors

from pymim.clusters import neighbours
from pymim.clusters.neighbours import nearest
from pymim.clusters.rows import Rows
from pymim.world import all_ranks
from tests.launch import one_of_two

CPU = torch.device("cpu")


def table(count=91, width=6):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0))


def theirs(values, count):
    found = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(
        values.numpy()
    )
    return torch.from_numpy(found.kneighbors(values.numpy())[1])


@pytest.mark.parametrize(("queries", "bank"), [(1024, 16384), (7, 13), (91, 1)])
def test_neighbours_are_scikit_learns_whatever_the_chunks(queries, bank, monkeypatch):
    monkeypatch.setattr(neighbours, "QUERIES", queries)
    monkeypatch.setattr(neighbours, "BANK", bank)
    values = table()
    found = nearest(Rows(values, torch.arange(91), 91), 5, CPU)
    assert torch.equal(found, theirs(values, 5))
    assert torch.equal(found[:, 0], torch.arange(91))  # each is its own nearest


def in_a_process(rank, folder, results):
    with one_of_two(rank, folder):
        ids = torch.arange(91)[rank::2] if rank else torch.arange(91)[::2]
        results[rank] = nearest(Rows(table()[ids], ids, 91, all_ranks()), 5, CPU)


def test_two_processes_find_what_one_does(tmp_path):
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(in_a_process, (str(tmp_path), results), nprocs=2)
        both = [results[rank] for rank in (0, 1)]
    assert torch.equal(both[0], both[1]) and torch.equal(both[0], theirs(table(), 5))


def test_more_neighbours_than_rows_are_refused():
    with pytest.raises(
        ValueError, match="nearest: count: expected 1 to 3, the number of rows, got 4; set a sm"
    ):
        nearest(Rows(torch.eye(3), torch.arange(3), 3), 4, CPU)
