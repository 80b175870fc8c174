"""What README, CONTRIBUTING and the results say works: their Python runs, their commands exist."""

import re
import shlex
from types import SimpleNamespace

import pytest
import torch
from sklearn.neighbors import NearestCentroid

from pymim import config, run
from pymim.contracts import Draw
from tests.asking import ask, batch_of
from tests.sources import ROOT
from tests.test_method import make_batch, make_method

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PAGES = {
    name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "docs/results.md")
}
# Of shipped gin files; a line may go on after a backslash.
COMMAND = re.compile(
    r"(?:^|&& )(?:python -m pymim\.run|pymim) (?=.*--gin gin/)((?:.*\\\n)*.+)$", re.MULTILINE
)


def python_of(page):
    """The Python of a page, block by block."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


PYTHON = [code for page in PAGES.values() for code in python_of(page)]
COMMANDS = [words.replace("\\\n", "") for page in PAGES.values() for words in COMMAND.findall(page)]
TINY = "-b DIM=16 -b DEPTH=1 -b HEADS=2 -b BATCH=8 -b STEPS=1 "
TINY += "-b Transformer.dim=16 -b Transformer.heads=2"


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.splitlines()[-1][:40])
def test_examples_run_as_they_stand(code):
    left = {}
    exec(compile(code, "README.md", "exec"), left)
    assert left.keys() > {"__builtins__"}


def test_there_are_examples_and_commands():
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_parse_and_configure(command):
    args = run.parse(shlex.split(command))
    assert config.load(args.gin, args.bindings)


def test_the_first_command_runs_small(tmp_path):
    assert COMMANDS[0] == "--gin gin/mae.gin"
    values = (
        "Evaluation.train_images=20",
        "Evaluation.test_images=10",
        "Pictures.images=2",
        "FineTune.steps=2",
    )
    values += ("probes.Linear.iterations=3",)
    quick = " ".join(f"-b {value}" for value in values)
    words = shlex.split(f"{COMMANDS[0]} {TINY} {quick} --workdir {tmp_path / 'run'}")
    assert run.main(words) == 0


def test_adding_a_method_really_adds_one(tmp_path, monkeypatch, capsys):
    page = README[README.index("## Add a method") : README.index("## Read on")]
    (code,) = python_of(page)
    (gin,) = re.findall(r"```\n(# .*?)```", page, re.DOTALL)
    assert len(gin.splitlines()) <= 10
    (tmp_path / "contrast.py").write_text(code)
    (tmp_path / "contrast.gin").write_text(gin)
    monkeypatch.syspath_prepend(tmp_path)
    quick = "-b STEPS=2 -b train.Trainer.evaluate=None -b train.Trainer.draw=None"
    words = shlex.split(
        f"--gin {tmp_path / 'contrast.gin'} {TINY} {quick} --workdir {tmp_path / 'run'}"
    )
    assert run.main(words) == 2 and "add --trust" in capsys.readouterr().err
    assert run.main([*words, "--trust"]) == 0
    theirs = ["export", str(tmp_path / "run"), "--to", str(tmp_path / "to")]
    assert run.main(theirs) == 2 and "import contrast: expected a module" in capsys.readouterr().err
    assert run.main([*theirs, "--trust"]) == 0
    from contrast import Contrast

    light = torch.zeros(1, 3, 8, 8)
    light[..., 4:, 4:] = torch.rand(3, 4, 4)
    difficulty = Contrast(SimpleNamespace(patch=(4, 4)), [])(batch_of(light), Draw(0, 0))
    assert difficulty.argmax() == 3 and (difficulty[0, :3] == 0).all()


def test_the_page_about_adding_a_method_has_the_readmes_example():
    """Both show one class and one gin file: they differ only in the language of the gin block."""
    page = (ROOT / "docs/methods-add.md").read_text()
    ours = README[README.index("## Add a method") : README.index("## Read on")]
    assert python_of(page) == python_of(ours)
    blocks = re.findall(r"```gin\n(.*?)```", page, re.DOTALL)
    assert blocks == re.findall(r"```\n(# .*?)```", ours, re.DOTALL)


def recipe(name):
    """The class of one of the recipes in CONTRIBUTING.md."""
    (code,) = [code for code in python_of(CONTRIBUTING) if name in code]
    left = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), left)
    return left[name]


def test_the_recipe_of_a_mask_hides_the_lower_half_and_trains():
    mask = recipe("Below")()(torch.arange(2), (3, 2), Draw(0, 0))
    assert mask.visible.tolist() == [[0, 1]] * 2
    assert mask.hidden.tolist() == mask.predicted.tolist() == [[2, 3, 4, 5]] * 2
    assert make_method(mask=recipe("Below")())(make_batch(), 0).mask.predicted.min() == 12


@pytest.mark.parametrize(
    ("sides", "patch"), [((4, 8), (4, 4)), ((4, 4, 8), (2, 4, 4))], ids=["images", "clips"]
)
def test_the_recipe_of_a_target_is_the_mean_of_each_channel(sides, patch):
    target = recipe("MeanColour")(SimpleNamespace(patch=patch, channels=3))
    view = torch.randn(2, 3, *sides)
    every = ask(target, view)
    assert target.width == every.shape[-1] == 3
    first = view[(..., *(slice(side) for side in patch))].flatten(2).mean(2)
    torch.testing.assert_close(every[:, 0], first)
    asked = SimpleNamespace(predicted=torch.tensor([[1], [0]]))
    expected = torch.stack([every[0, 1], every[1, 0]])
    torch.testing.assert_close(ask(target, view, asked)[:, 0], expected)


def test_the_recipe_of_a_probe_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels, truth = torch.arange(40) % 4, torch.arange(20) % 4
    train = torch.randn(40, 5, generator=generator) + 0.5 * labels[:, None]
    test = torch.randn(20, 5, generator=generator) + 0.5 * truth[:, None]
    judge = NearestCentroid().fit(train, labels).score(test, truth)
    assert recipe("NearestMean")()(train, labels, test, truth) == pytest.approx(judge)


@pytest.mark.parametrize("stem", ["mask", "block", "sinkhorn", "kmeans", "rank"])
def test_the_recipe_of_an_op_names_files_that_every_op_has(stem):
    page = CONTRIBUTING[CONTRIBUTING.index("### An op") : CONTRIBUTING.index("## The core")]
    named = [name.replace("STEM", stem) for name in re.findall(r"`([\w/]*STEM\.\w+)`", page)]
    missing = [name for name in named if not (ROOT / name).exists()]
    assert len(named) > 10
    # An op of several files is a folder, as the recipe says.
    assert [name for name in missing if not (ROOT / name.removesuffix(".py")).is_dir()] == []


def test_named_folders_and_presets_exist():
    presets = (ROOT / "CMakePresets.json").read_text()
    for name in ("release", "cuda", "dev", "emulate", "emulate-asan", "asan", "tsan"):
        assert f'"name": "{name}"' in presets
        assert f"`{name}`" in CONTRIBUTING
    for name in (
        "examples/cpp",
        "tests/test_design.py",
        "CHANGELOG.md",
        "constraints.txt",
        ".ci/run",
    ):
        assert (ROOT / name).exists(), name
        assert name in README + CONTRIBUTING


@pytest.mark.parametrize("page", PAGES)
def test_shipped_gin_files_that_a_page_names_exist(page):
    named = re.findall(r"(?<![\w/])gin/[a-z\d_/]+\.gin", PAGES[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_of_the_repository(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_readme_is_short_and_names_its_two_commands():
    assert len(README.splitlines()) <= 150
    assert "\npip install -c constraints.txt . && python -m pymim.run --gin gin/mae.gin\n" in README
    assert "\npip install -c constraints.txt '.[test]' && python -m pytest\n" in README
