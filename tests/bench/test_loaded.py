"""The benchmark under load: what it reports, for which ops; no busy process is left behind."""

import json
import multiprocessing
import os

import pytest

from pymim.bench import loaded
from pymim.bench.__main__ import main, stems
from pymim.bench.worker import Address


def row(ours, slowest=None):
    """Ten calls of ours, the last one perhaps slower; one thread takes 200 us, the rival 900."""
    calls = [ours] * 9 + [slowest or ours]
    return loaded.row(
        "op", "N 1", "torch", {"ours": calls, "one": [2e-4] * 10, "theirs": [9e-4] * 10}
    )


def test_loaded_time_is_compared_with_one_thread():
    fast, slow, sometimes = row(2.9e-4), row(3.1e-4), row(2.9e-4, slowest=3e-2)
    assert fast["met"] is True and slow["met"] is False and sometimes["met"] is False
    assert fast["slower"]["seconds"] == pytest.approx(1.45) and fast["ratio"] == pytest.approx(
        9 / 2.9
    )
    assert sometimes["slower"]["mean"] > 10
    json.dumps([fast, slow, sometimes])
    head, rule, first, second, third = loaded.table([fast, slow, sometimes]).splitlines()
    assert {len(line) for line in (head, rule, first, second, third)} == {len(head)}
    assert "290 us, mean 290 us" in first and "1.45 x, 1.45 x" in first and "1.5 x met" in first
    assert "1.55 x" in second and "1.5 x MISSED" in second


def test_a_case_runs_under_load(monkeypatch, pytestconfig):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    before = set(multiprocessing.active_children())
    row = loaded.run_case(Address("tests.bench.tiny", "cases", 0), quick=True)
    assert row["rival"] == "torch" and row["op"] == "sum"
    assert all(row[name]["seconds"] > 0 for name in ("ours", "one_thread", "theirs"))
    assert set(multiprocessing.active_children()) <= before


def test_every_core_is_busy_while_it_lasts():
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyError), loaded.busy_cores():
        work = set(multiprocessing.active_children()) - before
        pinned = [core for process in work for core in os.sched_getaffinity(process.pid)]
        assert sorted(pinned) == sorted(os.sched_getaffinity(0))
        raise KeyError
    assert not any(process.is_alive() for process in work)


def test_the_ops_of_the_core_are_timed():
    assert loaded.of_the_core(sorted(stems())) == ["block", "kmeans", "mask", "rank", "sinkhorn"]


def test_load_and_plot_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["--loaded", "--plot", "cost.png"])
    assert "--plot: expected without --loaded, got both; choose one" in capsys.readouterr().err
