"""The benchmark's own promises: answers are compared before times, absent peers are said to be absent."""

import json

import pytest

from pymim.bench import report, scaling
from pymim.bench.__main__ import main, stems
from pymim.bench.contest import Times, WrongAnswer, run_case
from pymim.bench.worker import Address

TINY = "tests.bench.tiny"


@pytest.fixture(autouse=True)
def children_find_the_tests(monkeypatch, pytestconfig):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))


def test_case_runs_end_to_end():
    rows = list(report.rows(run_case(Address(TINY, "cases", 0), quick=True)))
    assert [row["rival"] for row in rows] == ["torch", "peer", "missing"]
    torch, peer, missing = rows
    assert torch["met"] is True and torch["ratio"] > 2
    assert peer["met"] is None and peer["theirs"]["seconds"] > 0
    assert missing["theirs"] is None and missing["met"] is None
    assert torch["share"] > 0
    json.dumps(rows)
    text = report.table(rows)
    assert "absent" in text and "2 x met" in text
    assert len({len(line) for line in text.splitlines()}) == 1


def test_wrong_answer_is_refused_before_timing():
    with pytest.raises(WrongAnswer, match="sum: torch does not agree with pymim"):
        run_case(Address(TINY, "cases", 1), quick=True)


def test_cost_against_size_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    panel = scaling.measure(TINY, 0, quick=True)
    assert panel["sizes"] == [100, 1000] and len(panel["seconds"]["pymim"]) == 2
    scaling.plot([panel], tmp_path / "cost.png")
    assert (tmp_path / "cost.png").stat().st_size > 0


def test_times_are_medians_and_quartiles():
    times = Times([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0], 0.0)
    assert times.middle == 3.0 and times.better == 1.0


def test_command_names_the_stems_it_knows(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
    assert not {"worker", "contest", "limits"} & stems().keys()
