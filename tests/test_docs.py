"""What docs/ says: its Python runs as it stands, its commands configure, and what it names is there."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from pymim import config, run

ROOT = Path(__file__).parent.parent
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.glob("docs/**/*.md"))}
PACKAGES = "clusters data encoders losses loop masks optim predictors probes rankers targets views".split()
MODULES = [*PACKAGES, "method", "schedule", "stages", "train", "tune", "evaluate", "contracts"]
SHIPPED = {  # the package whose parts fill a slot, and the page of that slot
    "encoders": "encoder",
    "losses": "loss",
    "masks": "mask",
    "optim": "optimiser",
    "predictors": "predictor",
    "probes": "probe",
    "rankers": "ranker",
    "targets": "target",
    "views": "view",
}


def blocks(language):
    """Every block of a language, with its page and its number there."""
    found = {page: re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) for page, text in PAGES.items()}
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page, texts in found.items()
        for number, block in enumerate(texts)
    ]


def commands():
    """What follows `python -m pymim.run` or `pymim` in blocks of a shell, but for `pymim export`."""
    lines = [line for block in blocks("bash") for line in block.values[0].splitlines()]
    found = (re.search(r"(?:python -m pymim\.run|^pymim) (?!export)(.+)$", line) for line in lines)
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs_as_it_stands(code):
    left = {}
    exec(compile(code, "docs", "exec"), left)
    assert left.keys() > {"__builtins__"}


@pytest.mark.parametrize("text", blocks("gin"))
def test_gin_files_are_explained(text, tmp_path, monkeypatch):
    """--mode explain builds all, and refuses what training refuses, bindings without effect too."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGES["docs/methods-add.md"], re.DOTALL)
    (tmp_path / "contrast.py").write_text(code)
    (tmp_path / "mine.gin").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--gin", str(tmp_path / "mine.gin"), "--mode", "explain", "--workdir", str(tmp_path)]
    assert run.main([*words, *["--trust"] * ("contrast" in text)]) == 0


@pytest.mark.parametrize("command", commands())
def test_commands_parse_and_configure(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    args = run.parse(shlex.split(command))
    shipped = [name for name in args.gin if config.find(name).exists()] if "contrast" not in command else []
    assert args.resume or shipped
    if shipped:
        assert config.load(shipped, args.bindings)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGES[page]):
        assert link.startswith("https://") or (ROOT / page).parent.joinpath(link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_named_files_are_there(page):
    named = re.findall(r"`((?:pymim|gin|tests|cpp|examples|docs)/[\w./-]+)`", PAGES[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_named_parts_are_there(page):
    pattern = rf"(?<![\w.])({'|'.join(MODULES)})\.([A-Z]\w*)(?:\.([a-z]\w*))?"
    lines = [line for line in PAGES[page].splitlines() if "did you mean" not in line]  # what is misspelt
    named = set(re.findall(pattern, "\n".join(lines)))
    assert [names for names in sorted(named) if not _is_there(*names)] == []


def _is_there(module, name, argument):
    part = getattr(importlib.import_module(f"pymim.{module}"), name, None)
    if part is None or not argument:
        return part is not None
    annotated = (getattr(each, "__annotations__", {}) for each in part.__mro__)
    made_with = (getattr(each.__init__, "__annotations__", {}) for each in part.__mro__)
    return hasattr(part, argument) or any(argument in names for names in (*annotated, *made_with))


@pytest.mark.parametrize(("package", "page"), SHIPPED.items())
def test_the_page_of_a_slot_names_every_shipped_part(package, page):
    text = PAGES[f"docs/slots/{page}.md"]
    parts = importlib.import_module(f"pymim.{package}").__all__
    assert [name for name in parts if f"`{package}.{name}" not in text] == []


def test_the_index_leads_to_every_page():
    linked = set(re.findall(r"\]\(([\w/-]+\.md)\)", PAGES["docs/README.md"]))
    assert {page.removeprefix("docs/") for page in PAGES} - {"README.md"} <= linked


def test_pages_of_slots_have_the_same_sections():
    for page, text in PAGES.items():
        if page.startswith("docs/slots/"):
            heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
            assert heads == ["Receives", "Gives", "Checked", "Example", "Shipped"], page
