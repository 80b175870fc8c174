"""The benchmark's own promises: answers are compared before times, and absent peers are named."""

import json

import pytest

from pymim.bench import Work, limits, report, scaling
from pymim.bench.__main__ import main, stems
from pymim.bench.contest import Outcome, Times, WrongAnswer, run_case
from pymim.bench.limits import highest
from pymim.bench.worker import Address

TINY = "tests.bench.tiny"


@pytest.fixture(autouse=True)
def children_find_the_tests(monkeypatch, pytestconfig):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))


def test_case_runs_end_to_end():
    rows = list(report.rows(run_case(Address(TINY, "cases", 0), quick=True)))
    by_rival = {row["rival"]: row for row in rows}
    assert by_rival.keys() == {"torch", "peer", "missing"}
    torch, peer, missing = (by_rival[name] for name in ("torch", "peer", "missing"))
    ratios = [row["ratio"] for row in rows]
    assert ratios[2] is None and ratios[0] <= ratios[1], "the hardest rival first, the absent last"
    assert torch["met"] is True and torch["ratio"] > 2
    assert peer["met"] is None and peer["theirs"]["seconds"] > 0
    assert missing["theirs"] is None and missing["met"] is None
    assert 0 < torch["share"] <= 1
    json.dumps(rows)
    text = report.table(rows)
    assert "absent" in text and "2 x met" in text
    assert f"ratio on {report.machine()['processor']}" in text.splitlines()[0]
    assert len({len(line) for line in text.splitlines()}) == 1


def outcome(address, limit, **seconds):
    """Of a case whose contenders took these seconds in each round."""
    times = {name: Times([each] * 5, 0.0) for name, each in seconds.items()}
    return Outcome(address, times, None, limit)


def test_the_limit_is_the_fastest_measured_rate():
    """The op reads 8000 bytes in 2 us, 4e9 a second."""
    case = Address(TINY, "cases", 0)
    for rates, share, by in [
        ([{"sum": 5e9, "copy": 8e9}, {"sum": 7e9, "copy": 6e9}], 0.5, "copy"),
        (
            [{"sum": 1e9, "copy": 2e9}, {"pymim": 4e9, "torch": 3e9}],
            1.0,
            "pymim",
        ),  # no other is as fast: its own
        ([{"sum": 1e9}, {"pymim": 4e9, "torch": 5e9}], 0.8, "torch"),
    ]:
        rows = list(report.rows(outcome(case, highest(*rates), pymim=2e-6, torch=4e-6)))
        assert rows[0]["share"] == pytest.approx(share) and rows[0]["limit"]["by"] == by
        assert f"{share:.0%} of {by}" in report.table(rows)


SUM, COPY, PRODUCT = 4e6 / 2e-3, 8e6 / 2e-3, 2 * 1536**3 / 2e-3


@pytest.mark.parametrize(
    ("work", "rates"),
    [
        (
            Work(1.0, "bytes", 4e6),
            {
                "torch's sum": SUM,
                "torch's maximum": SUM,
                "torch's copy": COPY,
                "numpy's copy": COPY,
            },
        ),
        (Work(1.0, "float32"), {"torch's product in float32": PRODUCT, "numpy's product": PRODUCT}),
        (
            Work(1.0, "bfloat16"),
            {name: PRODUCT for name in ("torch's product in float32", "torch's product in bfloat16",
                                             "numpy's product")},
        ),
    ],
)  # fmt: skip
def test_rates_are_those_of_the_fastest_call(work, rates, monkeypatch):
    """If each call takes 2 to 3 ms, the larger product is fastest; a copy counts bytes twice."""
    monkeypatch.setattr(
        limits, "_calls", lambda thunk, seconds: [thunk() is None or 3e-3, 2e-3, 3e-3]
    )
    assert limits.Limits(work, 0.0).rates()[0] == pytest.approx(rates)


def test_the_fastest_rival_comes_first():
    rows = list(
        report.rows(outcome(Address(TINY, "cases", 0), None, pymim=1.0, torch=3.0, peer=2.0))
    )
    assert [(row["rival"], row["ratio"]) for row in rows] == [("peer", 2.0), ("torch", 3.0)]
    assert {row["processor"] for row in rows} == {report.machine()["processor"]}


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
