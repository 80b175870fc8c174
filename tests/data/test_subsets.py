"""Which pictures are looked at where not all are: of each class its share, whatever their order."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedShuffleSplit

from pymim import data
from pymim.data import sample
from pymim.errors import DataError
from tests.labelled import Labelled

IN_TURN = np.arange(50_000) % 10


def as_it_is(images, *_):
    return torch.stack(list(images))


def rows(counts, seed=0):
    """Labels with these counts, in random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def hamilton(counts, size):
    """Seats by largest remainder, as a plain loop, at least one each."""
    least = {c for c, n in enumerate(counts) if n * size < sum(counts)}
    while True:
        rest = {c: n for c, n in enumerate(counts) if c not in least}
        seats, total = size - len(least), sum(rest.values())
        more = {c for c, n in rest.items() if n * seats < total}
        if not more:
            break
        least |= more
    found = {c: 1 for c in least} | {c: n * seats // total for c, n in rest.items()}
    while sum(found.values()) < size:
        found[max(rest, key=lambda c: rest[c] * seats / total - found[c])] += 1
    return [found[c] for c in range(len(counts))]


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ([5000] * 10, 5000),
        ([100, 50, 25], 30),
        ([997, 1, 2], 10),
        ([61, 23, 7, 3, 2], 11),
        ([9, 8, 7], 23),
    ],
)
def test_each_class_has_its_share(counts, size):
    labels = rows(counts)
    index = sample.stratified(labels, size)
    assert np.bincount(labels[index], minlength=len(counts)).tolist() == hamilton(counts, size)
    assert (np.diff(index) > 0).all() and len(index) == size


def test_shares_are_those_of_scikit_learn():
    for seed, counts in enumerate(([500, 300, 200], [137, 463, 251, 149], [33, 67, 150])):
        labels = rows(counts, seed)
        index = sample.stratified(labels, 100)
        theirs, _ = next(
            StratifiedShuffleSplit(1, train_size=100, random_state=0).split(labels, labels)
        )
        assert np.abs(np.bincount(labels[index]) - np.bincount(labels[theirs])).max() <= 1


@pytest.mark.parametrize("period", [2, 3, 10, 100])
@pytest.mark.parametrize("count", [1000, 5000])
def test_labels_in_turn_are_all_there(period, count):
    labels = np.arange(50_000) % period
    for order in (labels, np.sort(labels)):
        counts = np.bincount(order[sample.stratified(order, count)], minlength=period)
        assert counts.max() - counts.min() <= 1


def test_a_sample_without_labels_does_not_follow_a_repeating_order():
    index = sample.drawn(50_000, 5000)
    for period in (2, 7, 10, 100):
        counts = np.bincount(index % period, minlength=period)
        assert counts.min() > 0.5 * counts.mean() and counts.max() < 1.6 * counts.mean()
    assert (np.diff(index) > 0).all()


def test_a_seed_draws_the_same_and_another_others():
    same = [sample.stratified(IN_TURN, 500, seed) for seed in (0, 0, 1)]
    assert np.array_equal(same[0], same[1]) and not np.array_equal(same[0], same[2])
    free = [sample.drawn(1000, 500, seed) for seed in (0, 0, 1)]
    assert np.array_equal(free[0], free[1]) and not np.array_equal(free[0], free[2])


@pytest.mark.parametrize("size", [100, 101, 2**31 - 1])
def test_a_subset_of_all_pictures_is_the_source(size):
    assert sample.stratified(rows([50, 50]), size).tolist() == list(range(100))
    assert sample.drawn(100, size).tolist() == list(range(100))


def test_fewer_pictures_than_classes_are_of_the_same_classes_in_every_set():
    train, test = rows([7] * 40), rows([3] * 40, seed=1)
    taken = [set(labels[sample.stratified(labels, 15)]) for labels in (train, test)]
    assert len(taken[0]) == 15 and taken[0] == taken[1]


def test_rows_without_a_label_and_huge_labels():
    labels = np.where(np.arange(300) % 3 == 0, -1, (np.arange(300) % 2 + 1) * 10**15)
    index = sample.stratified(labels, 20)
    assert np.unique(labels[index], return_counts=True)[1].tolist() == [10, 10]
    assert (labels[sample.stratified(labels, 1000)] >= 0).all() and len(
        sample.stratified(labels, 1000)
    ) == 200
    assert len(sample.stratified(np.full(10, -1), 5)) == 0


def test_of_each_gives_so_many_of_each_class():
    labels = rows([30, 5, 12])
    index = sample.of_each(labels, 10)
    assert labels[index].tolist() == [0] * 10 + [1] * 5 + [2] * 10
    whole = [np.flatnonzero(labels == c) for c in range(3)]
    assert sample.of_each(labels, 30).tolist() == np.concatenate(whole).tolist()
    assert not np.array_equal(index[:10], whole[0][:10])  # the first of a class may be of one day


@pytest.mark.parametrize("size", [0, -1, 0.5, float("nan"), "all", None, True])
def test_sizes_below_one_are_refused(size):
    for draw in (lambda: sample.drawn(10, size), lambda: sample.stratified(IN_TURN, size)):
        with pytest.raises(
            ValueError, match="sample: size: expected a whole number, 1 or more, got"
        ):
            draw()


def test_loaded_pictures_are_of_every_class():
    source = Labelled(IN_TURN[:5000])
    images, label = data.load(source, as_it_is, 500)
    assert label.bincount().tolist() == [50] * 10
    assert torch.equal(images, torch.stack([source[c].image for c in label.tolist()]))
    source = Labelled(np.where(np.arange(40) < 10, -1, np.arange(40) % 3))
    assert (data.load(source, as_it_is, 100)[1] >= 0).all() and len(
        data.load(source, as_it_is, 100)[1]
    ) == 30
    unlabelled, none = data.load(Labelled(None, count=40), as_it_is, 10)
    assert len(unlabelled) == 10 and none.tolist() == [-1] * 10


def test_broken_pictures_are_left_out_of_what_is_loaded_and_said(caplog):
    source = Labelled(IN_TURN[:200], broken=[3, 17])
    images, label = data.load(source, as_it_is, 200)
    assert label.tolist() == np.delete(IN_TURN[:200], [3, 17]).tolist()
    assert torch.equal(images, torch.stack([source[20 + c].image for c in label.tolist()]))
    assert "left out 2 broken pictures (picture 3: cut short; " in caplog.text
    whole = Labelled(IN_TURN[:200], broken=range(100))  # the first 64 are read at once
    assert len(data.load(whole, as_it_is, 200)[1]) == 100
    with pytest.raises(
        DataError,
        match=r"got 200 broken pictures \(picture 0: cut short; .*; and 197 more\); repair",
    ):
        data.load(Labelled(IN_TURN[:200], broken=range(200)), as_it_is, 200)
