"""Comparisons run each variant and seed once, and reuse a run only if it would be the same."""

import json
import os
import shutil
import signal

import pytest

from pymim import children, compare
from pymim.errors import ConfigError
from pymim.run import main
from tests.test_run import QUICK, SMALL

VARIANTS = {"half": ["gin/mae.gin", "RATIO=0.5"], "most": ["gin/mae.gin", "RATIO=0.75"]}
COMMON = [*SMALL, *QUICK, "STEPS=2", "WORKERS=0"]


def in_this_process(command, where):
    """`children.call` of a run: to start a process takes longer than two steps."""
    assert command[1:3] == ["-m", "pymim.run"]
    return main(command[3:])


@pytest.fixture
def counted(monkeypatch):
    """The folders of the runs that were started."""
    started = []

    def count(command, *rest):
        started.append(command[command.index("--workdir") + 1])
        return in_this_process(command, *rest)

    monkeypatch.setattr(compare.children, "call", count)
    return started


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A comparison that was made: copies of it are compared again."""
    folder = tmp_path_factory.mktemp("compare") / "done"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare.children, "call", in_this_process)
        compare.compare(VARIANTS, folder, 1, COMMON)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_two_variants_side_by_side(copied, counted):
    table = compare.compare(VARIANTS, copied, seeds=2, common=COMMON)
    assert list(table) == ["half", "most", "untrained", "pixels"]
    assert all(len(values) == 2 for row in table.values() for values in row.values())
    assert "RATIO=0.5" in (copied / "half/seed-1/config.gin").read_text().replace(" ", "")
    assert table == json.loads((copied / "table.json").read_text())
    assert (copied / "compare.png").exists() and "| half |" in (copied / "table.md").read_text()
    assert counted == [str(copied / run) for run in ("half/seed-1", "most/seed-1")]
    assert compare.compare(VARIANTS, copied, seeds=2, common=[*COMMON, "WORKERS=1"]) == table
    assert len(counted) == 2


def test_the_first_variant_has_baselines(copied, counted):
    turned = dict(reversed(VARIANTS.items()))
    with pytest.raises(
        ConfigError, match=r"most/seed-0: .*Evaluation.baselines: False then, True now"
    ):
        compare.compare(turned, copied, seeds=1, common=COMMON)
    assert not counted
    (copied / "most").rename(copied / "away")
    table = compare.compare(turned, copied, 1, COMMON)  # the other has more than it needs
    assert counted == [str(copied / "most/seed-0")] and list(table) == [
        "most",
        "half",
        "untrained",
        "pixels",
    ]


CHANGES = [
    ("optim.AdamW.rate=0.007", "optim.AdamW.rate: 0.006 then, 0.007 now"),
    ("probes.KNN.k=7", "probes.KNN.k: 20 then, 7 now"),
    ("STEPS=60", ".steps: 2 then, 60 now"),
    ("DATA=digits-plain", "source: 'digits' then, 'digits-plain' now"),
    ("RATIO=0.6", "masks.Uniform.ratio: 0.5 then, 0.6 now"),
    ("method.Method.mask=@masks.Block()", "masks.Block.*: nothing then, .* now"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_a_run_of_another_configuration_is_not_reused(change, said, copied, counted):
    kept = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with pytest.raises(
        ConfigError,
        match=rf"half/seed-0: expected no run, or the same run, .*{said}\); move it away",
    ):
        compare.compare(VARIANTS, copied, 1, [*COMMON, change])
    assert (
        not counted
        and {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == kept
    )


def test_a_run_of_another_default_or_other_code_is_not_reused(copied, counted):
    file = copied / "half/seed-0/made_of.json"
    made = json.loads(file.read_text())
    for changed, said in (
        ({"encoders.ViT.mlp_ratio": "3.0"}, "encoders.ViT.mlp_ratio: 3.0 then, 4.0 now"),
        ({"code of pymim/masks/uniform.py": "other"}, "code of pymim/masks/uniform.py: other then"),
        ({"code of torch": "1.0"}, "code of torch: 1.0 then"),
    ):
        file.write_text(json.dumps(made | changed))
        with pytest.raises(ConfigError, match=said):
            compare.compare(VARIANTS, copied, 1, COMMON)
    file.unlink()
    with pytest.raises(ConfigError, match=r"got one without made_of\.json"):
        compare.compare(VARIANTS, copied, 1, COMMON)
    assert not counted


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/tmp/x",
        "a/b",
        "a\\b",
        "..",
        ".",
        "",
        " ",
        "a\nb",
        "\x1b[2J",
        "\u202egnp",
        "x" * 300,
        "\0",
    ],
)
def test_a_name_that_cannot_be_a_folder_is_refused(name, tmp_path, counted):
    with pytest.raises(ConfigError, match="expected a name that a folder can have"):
        compare.compare({"a": ["gin/mae.gin"], name: ["gin/mae.gin"]}, tmp_path / "here", 1, COMMON)
    assert not counted and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        (["gin/mae.gin"], "expected 'NAME: FILE... BINDING...', got nothing after a colon"),
        (["a:"], "expected 'NAME: FILE... BINDING...', got nothing after a colon"),
        (
            ["a: gin/mae.gin", "a: gin/hpm.gin"],
            "expected a different name for each variant, got this one twice",
        ),
        (["a: gin/mae.gin", "A: gin/hpm.gin"], "expected a name for each row, got it twice"),
        (["wrong: gin/mae.gin DIMM=3"], "wrong: -b 'DIMM=3': no macro is called DIMM"),
        (
            ["a: gin/mae.gin", "wrong: gin/nothing.gin"],
            "compare: wrong: --gin gin/nothing.gin: no such file",
        ),
        (["a: gin/mae.gin", "--seeds", "0"], "seeds: expected 1 or more, got 0"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(variants, said, tmp_path, capfd, counted):
    with pytest.raises(SystemExit) as stop:
        compare.main(["--workdir", str(tmp_path / "here"), "--seeds", "1", *variants])
    error = capfd.readouterr().err
    assert stop.value.code == 2 and said in error and error.count("\n") == 1
    assert not counted and not (tmp_path / "here").exists()


def test_a_failing_run_is_named(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(compare.children, "call", lambda *command: 3)
    with pytest.raises(SystemExit) as stop:
        compare.main(["wrong: gin/mae.gin", "--workdir", str(tmp_path), "--seeds", "1"])
    error = capfd.readouterr().err
    assert (
        stop.value.code == 2 and "exit code 3" in error and "pymim.run --gin gin/mae.gin" in error
    )


def test_a_users_module_needs_trust(tmp_path, monkeypatch, capfd):
    started = []
    monkeypatch.setattr(
        compare.children, "call", lambda command, *rest: started.append(command) or 3
    )
    (tmp_path / "theirs.gin").write_text("include 'mae.gin'\nimport this\n")
    words = [
        f"theirs: {tmp_path / 'theirs.gin'}",
        "--workdir",
        str(tmp_path / "here"),
        "--seeds",
        "1",
    ]
    with pytest.raises(SystemExit):
        compare.main(words)
    assert "import this: expected a module" in capfd.readouterr().err and not started
    with pytest.raises(SystemExit):
        compare.main([*words, "--trust"])
    assert started[0][-1] == "--trust"


@pytest.mark.parametrize("code", [75, 130])
def test_a_run_stopped_by_a_signal_ends_the_comparison(code, tmp_path, monkeypatch, capfd):
    call = children.call
    monkeypatch.setattr(
        compare.children, "call", lambda *_: call(["sh", "-c", f"exit {code}"], "here; again")
    )
    with pytest.raises(SystemExit) as stop:
        compare.main(["a: gin/mae.gin", "--workdir", str(tmp_path), "--seeds", "1"])
    assert (
        stop.value.code == code
        and capfd.readouterr().err == "pymim: stopped by a signal here; again\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_between_runs_is_one_line(number, code, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(compare, "_checked", lambda *run: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as stop:
        compare.main(["a: gin/mae.gin", "--workdir", str(tmp_path), "--seeds", "1"])
    error = capfd.readouterr().err
    assert stop.value.code == code and error.endswith(
        "during the comparison; the same command continues it\n"
    )
    assert error.count("\n") == 1
