"""The same batches, whoever makes them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pymim import data, views
from pymim.data import order
from pymim.data.maker import Maker


def batches(first=0, last=3, **arguments):
    arguments = {"batch": 8, "seed": 1, **arguments}
    view = views.Pretrain(16, statistics="half")
    return list(data.Loader(data.Digits(length=50), view, **arguments).batches(first, last))


def same(a, b):
    return (
        torch.equal(a.index, b.index)
        and torch.equal(a.label, b.label)
        and torch.equal(a.views[0], b.views[0])
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than processors
@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same_batches(workers):
    assert all(map(same, batches(), batches(workers=workers)))


def test_a_resumed_run_goes_on_where_it_stopped():
    assert all(map(same, batches(0, 9)[5:], batches(5, 9)))


def test_ranks_share_the_global_batch():
    shares = [batches(rank=rank, world=2) for rank in (0, 1)]
    for whole, *parts in zip(batches(), *shares, strict=True):
        assert torch.equal(whole.index, torch.cat([part.index for part in parts]))
        assert torch.equal(whole.views[0], torch.cat([part.views[0] for part in parts]))


def test_every_epoch_shows_every_picture_once_in_a_new_view():
    seen = torch.cat([batch.index for batch in batches(0, 25, batch=4)]).view(2, 50)
    assert torch.equal(seen.sort(1).values, torch.arange(50).expand(2, 50)) and not torch.equal(
        *seen
    )
    both = [batch.views[0] for batch in batches(0, 2, batch=50)]
    rows = [i.argsort() for i in seen]
    assert not any(
        torch.equal(a, b) for a, b in zip(both[0][rows[0]], both[1][rows[1]], strict=True)
    )


@given(st.integers(0, 2**63), st.integers(1, 40), st.integers(0, 300), st.integers(1, 60))
@settings(deadline=None)
def test_the_order_is_one_stream_of_epochs(seed, length, first, count):
    index, epoch = order.at(seed, first, count, length)
    everything, _ = order.at(seed, 0, first + count, length)
    assert (everything[first:] == index).all() and (
        epoch == np.arange(first, first + count) // length
    ).all()
    assert len({*zip(index.tolist(), epoch.tolist(), strict=True)}) == count


def test_a_batch_may_be_larger_than_the_source():
    (batch,) = batches(0, 1, batch=120)
    assert batch.index.bincount().tolist() == np.bincount(order.at(1, 0, 120, 50)[0]).tolist()
    assert len(batch.views[0].flatten(1).unique(dim=0)) == 120


def served(order, epochs=1):
    """Index and visit of whole epochs of 3 steps."""
    parts = [order.at(7, step, 16, 50) for step in range(3 * epochs)]
    return (np.concatenate(part) for part in zip(*parts, strict=True))


def balanced(groups):
    made = order.Balanced()
    made.regroup(np.asarray(groups))
    return made


SIZES = [1, 2, 30, 0, 17]  # of five groups; the fourth is empty
GROUPS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), SIZES))


def test_every_group_is_served_equally_often():
    index, _ = served(balanced(GROUPS))
    times = np.bincount(GROUPS[index], minlength=5)
    assert times.tolist() == [
        12,
        12,
        12,
        0,
        12,
    ]  # 48 places; natural sizes would give 29 to the third


def test_a_picture_comes_again_only_when_its_group_is_used_up_and_looks_different():
    index, visit = served(balanced(GROUPS))
    times = np.bincount(index, minlength=50)
    for group, size in enumerate(SIZES):
        assert size == 0 or np.ptp(times[group == GROUPS]) <= 1
    assert len({*zip(index.tolist(), visit.tolist(), strict=True)}) == len(index)


def test_pictures_in_no_group_never_come():
    groups = np.where(np.arange(50) % 2, GROUPS, -1)
    index, _ = served(balanced(groups), epochs=3)
    assert (index % 2 == 1).all()
    with pytest.raises(
        ValueError, match="Balanced: groups: expected a picture in a group, got none"
    ):
        balanced([-1, -1])


def test_balanced_epochs_differ_and_follow_seed_and_groups_alone():
    first, second = (served(balanced(GROUPS), epochs=2) for _ in range(2))
    index, _ = first
    assert np.array_equal(index, next(iter(second)))
    assert not np.array_equal(index[:48], index[48:])


@pytest.mark.parametrize("workers", [0, 2])
def test_groups_set_between_epochs_are_followed(workers):
    loader = data.Loader(
        data.Digits(length=50),
        views.Pretrain(16),
        batch=16,
        workers=workers,
        order=order.Balanced(),
    )
    made, seen = loader.batches(0, 6), []
    for step in range(6):
        if step % 3 == 0:
            loader.regroup(np.arange(50) % 2 if step else np.where(np.arange(50) < 10, 0, -1))
        seen.append(next(made).index)
    assert torch.cat(seen[:3]).max() < 10
    assert (torch.cat(seen[3:]) % 2).bincount().tolist() == [24, 24]
    assert next(made, None) is None


def test_balanced_batches_are_shared_by_ranks_and_resumed():
    def indices(first, **arguments):
        loader = data.Loader(
            data.Digits(length=50),
            views.Pretrain(16),
            batch=16,
            order=balanced(GROUPS),
            **arguments,
        )
        return [batch.index for batch in loader.batches(first, 5)]

    whole = indices(0)
    assert all(map(torch.equal, whole[2:], indices(2)))
    shares = [indices(0, rank=rank, world=2) for rank in (0, 1)]
    assert all(torch.equal(a, torch.cat(parts)) for a, *parts in zip(whole, *shares, strict=True))


def test_in_turn_gives_pictures_in_source_order():
    index = torch.cat([batch.index for batch in batches(0, 7, order=order.InTurn())])
    assert index.tolist() == [*range(50), *range(6)]


def test_time_waiting_is_counted_and_threads_are_left_alone():
    threads = torch.get_num_threads()
    loader = data.Loader("digits", views.Pretrain(16), batch=8)
    assert len(list(loader.batches(0, 2))) == 2 and loader.waited > 0
    assert torch.get_num_threads() == threads


def test_batches_are_made_beside_the_training_by_one_thread(monkeypatch):
    """Two pools of threads that wait for each other halve the speed of a step."""
    seen, make = [], Maker.__getitem__

    def watched(self, step):
        time.sleep(0.05)  # while the training goes on with its threads
        seen.append(torch.get_num_threads())
        return make(self, step)

    monkeypatch.setattr(Maker, "__getitem__", watched)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        batches()
        assert seen and set(seen) == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_an_abandoned_iterator_ends():
    before = threading.active_count()
    iterator = data.Loader("digits", views.Pretrain(16), batch=8).batches(0, 10**9)
    next(iterator)
    assert threading.active_count() == before + 1
    iterator.close()
    assert threading.active_count() == before


def test_a_batch_that_ranks_cannot_divide_is_refused():
    with pytest.raises(
        ValueError, match="Loader: batch: expected a multiple of the number of processes, 3"
    ):
        batches(world=3)


SCRIPT = """
import signal, sys
from pymim import data, views
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: None)
    loader = data.Loader("digits", views.Pretrain(16), batch=8, workers=1)
    for step, batch in enumerate(loader.batches(0, 10**6)):
        print(step, flush=True)
        sys.stdin.readline()
"""


def alive(group):
    status = [
        path.read_text().rpartition(")")[2].split()
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists()
    ]
    return sum(fields[2] == str(group) and fields[0] != "Z" for fields in status)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
def test_workers_outlive_a_signal_to_all_and_end_with_the_run(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    run = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | {"PYTHONPATH": str(Path(data.__file__).parents[2])},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert run.stdout.readline() == "0\n"
        os.killpg(run.pid, signal.SIGTERM)
        for step in range(1, 12):  # more than was made ahead
            print(file=run.stdin, flush=True)
            assert run.stdout.readline() == f"{step}\n"
        assert alive(run.pid) > 1
    finally:
        run.kill()
        run.communicate()
    for _ in range(200):
        if not alive(run.pid):
            return
        time.sleep(0.1)
    raise AssertionError("a worker is left over")


UNFINISHED = """
from pymim.data import Loader
from pymim.views import Center

if __name__ == "__main__":
    loader = Loader("digits", Center(32), batch=4, workers=1)
    batches = loader.batches(0, 100)
    next(batches)  # held for ever
"""


def test_the_run_ends_though_its_loader_was_never_closed(tmp_path):
    script = tmp_path / "unfinished.py"
    script.write_text(UNFINISHED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert (
        subprocess.run(
            [sys.executable, str(script)], env=environment, timeout=120, check=False
        ).returncode
        == 0
    )
