"""docs/ is right: its Python runs unchanged, its commands are valid, and its names exist."""

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

from pymim import config, contracts, errors, ops, run
from pymim.data import decode, opening, splits, videos
from pymim.objective import Objective
from pymim.probes import reading

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "docs" / "reference"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted(ROOT.glob("docs/**/*.md"))
    if path.parent != GENERATED
}
MODULES = [path.stem for path in ROOT.glob("pymim/[a-z]*") if path.suffix in ("", ".py")]
OPS = ["block", "kmeans", "mask", "rank", "sinkhorn"]
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
    found = {
        page: re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        for page, text in PAGES.items()
    }
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page, texts in found.items()
        for number, block in enumerate(texts)
    ]


def commands():
    """List the words after `python -m pymim.run` or `pymim` in shell blocks, without exports."""
    texts = [block.values[0].replace("\\\n", "") for block in blocks("bash")]
    lines = [line for text in texts for line in text.splitlines()]
    found = (re.search(r"(?:python -m pymim\.run|^pymim) (?!export)(.+)$", line) for line in lines)
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs_as_it_stands(code):
    left = {}
    exec(compile(code, "docs", "exec"), left)
    assert left.keys() > {"__builtins__"}


@pytest.fixture
def contrast(tmp_path, monkeypatch):
    """Make the folder of docs/methods-add.md, with contrast.py and contrast.gin."""
    for name, language in (("contrast.py", "python"), ("contrast.gin", "gin")):
        (text,) = re.findall(rf"```{language}\n(.*?)```", PAGES["docs/methods-add.md"], re.DOTALL)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", blocks("gin"))
def test_gin_files_are_explained(text, contrast):
    """--mode explain builds all, and refuses what training refuses, bindings without effect too."""
    (contrast / "mine.gin").write_text(text)
    words = ["--gin", "mine.gin", "--mode", "explain", "--workdir", str(contrast)]
    assert run.main([*words, *["--trust"] * ("contrast" in text)]) == 0


@pytest.mark.parametrize("command", commands())
def test_commands_parse_and_configure(command, contrast):
    args = run.parse(shlex.split(command.replace("runs/mine/config.gin", "gin/mae.gin")))
    assert (
        args.gin or (args.workdir and (args.resume == "auto" or args.mode != "train")) or args.list
    )
    with config.trusting(args.trust):
        assert not args.gin or config.load(args.gin, args.bindings)


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
    lines = [
        line for line in PAGES[page].splitlines() if "did you mean" not in line
    ]  # what is misspelt
    named = set(re.findall(pattern, "\n".join(lines)))
    assert [names for names in sorted(named) if not _is_there(*names)] == []


def _is_there(module, name, argument):
    part = getattr(importlib.import_module(f"pymim.{module}"), name, None)
    if part is None or not argument:
        return part is not None
    annotated = (getattr(each, "__annotations__", {}) for each in part.__mro__)
    made_with = (getattr(each.__init__, "__annotations__", {}) for each in part.__mro__)
    return hasattr(part, argument) or any(argument in names for names in (*annotated, *made_with))


def test_named_ops_are_there():
    named = set(re.findall(rf"(?<![\w.])({'|'.join(OPS)})\.(\w+)", PAGES["docs/ops.md"]))
    assert len(named) > 20
    assert [(op, name) for op, name in sorted(named) if not hasattr(getattr(ops, op), name)] == []


@pytest.mark.parametrize(("package", "page"), SHIPPED.items())
def test_the_page_of_a_slot_names_every_shipped_part(package, page):
    text = PAGES[f"docs/slots/{page}.md"]
    parts = importlib.import_module(f"pymim.{package}").__all__
    assert [name for name in parts if f"`{package}.{name}" not in text] == []


def test_the_index_leads_to_every_page():
    linked = set(re.findall(r"\]\(([\w/-]+\.md)\)", PAGES["docs/README.md"]))
    assert {page.removeprefix("docs/") for page in PAGES} - {"README.md"} <= linked


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("slots/encoder", contracts.Features._fields),
        ("slots/mask", contracts.Mask._fields),
        ("slots/target", contracts.Made._fields),
        ("slots/probe", ("pooled", "tokens", "scores", "images")),
        ("design", contracts.HOOKS),
        ("design", tuple(inspect.signature(Objective).parameters.keys() - {"steps"})),
        ("data", (*opening.NAMES, *splits.SPLITS)),
        ("data", tuple(suffix.strip(".") for suffix in (*decode.SUFFIXES, *videos.SUFFIXES))),
        ("evaluation", reading.POOLS),
        (
            "gin",
            tuple(re.findall(r"^([A-Z_]+) = ", (ROOT / "gin/base.gin").read_text(), re.MULTILINE)),
        ),
    ],
)
def test_a_page_names_all_of_a_kind(page, names):
    text = PAGES[f"docs/{page}.md"]
    assert names
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_the_layout_names_every_module_and_folder():
    """`pymim docs` writes the reference: where it is, it is a verb of its own."""
    there = [
        path
        for path in ROOT.glob("pymim/[a-z]*")
        if path.suffix in ("", ".py") and path.stem != "docs"
    ]
    missing = [path.name for path in there if f"`pymim/{path.name}`" not in PAGES["docs/design.md"]]
    assert len(there) > 40
    assert missing == []


def test_all_exit_codes_are_listed():
    listed = {
        int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["docs/runs.md"], re.MULTILINE)
    }
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and hasattr(kind, "exit_code")
    ]
    assert listed == {0, *(kind.exit_code for kind in kinds)}


def test_pages_of_slots_have_the_same_sections():
    for page, text in PAGES.items():
        if page.startswith("docs/slots/"):
            heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
            assert heads == ["Receives", "Gives", "Checked", "Example", "Shipped"], page
