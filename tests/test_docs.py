"""What `pymim docs` writes is what is committed, and says what each argument means."""

import re

import pytest

from pymim import docs
from pymim.docs import meanings, reference
from pymim.run import main
from tests.sources import ROOT

UNDESCRIBED = 0


def test_committed_pages_are_current():
    """Where they are not: python -m pymim.run docs."""
    pages = docs.committed(ROOT)
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    assert not [path.name for path in stale]
    assert {path for path in pages if path.name != "README.md"} == set(
        ROOT.glob("docs/reference/[!R]*.md")
    )


def test_every_argument_is_described():
    left = reference.undescribed()
    assert len(left) <= UNDESCRIBED, (
        f"{len(left)} arguments that no docstring explains: {', '.join(left)}"
    )


def test_every_argument_that_a_gin_file_binds_is_on_its_page():
    """The gin files are the judge: their bindings name components and arguments."""
    text = "\n".join(path.read_text() for path in ROOT.glob("gin/**/*.gin"))
    bound = set(re.findall(r"^(?:\w+/)*((?:[a-z]+)\.\w+)\.(\w+) *=", text, re.M))
    for component, lines in re.findall(r"^(?:\w+/)*([a-z]+\.\w+):\n((?: +.*\n|\n)+)", text, re.M):
        bound |= {(component, argument) for argument in re.findall(r"^  (\w+) *=", lines, re.M)}
    assert len(bound) > 200
    pages = "".join(reference.pages().values())
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", pages, re.M | re.S))
    ours = {
        (component, argument) for component, argument in bound if not component.startswith("nn.")
    }
    assert not [
        pair for pair in sorted(ours) if f"\n- `{pair[1]}: " not in sections.get(pair[0], "")
    ]


@pytest.mark.parametrize(
    ("doc", "text", "found"),
    [
        (
            "Hide a share.\n\nArgs:\n    ratio: of patches\n        or units. a, b: two.\n\n"
            "Raises:\n    ValueError: no.",
            "Hide a share.\n\nRaises:\n    ValueError: no.",
            {"ratio": "of patches or units.", "a": "two.", "b": "two."},
        ),
        ("One line.\n\nratio: of a\nframe; b: its.\nLast: words.", "One line.\n\nLast: words.",
         {"ratio": "of a frame.", "b": "its."}),
        ("Note: ratio is kept.", "Note: ratio is kept.", {}),
    ],
)  # fmt: skip
def test_a_docstring_is_split_into_text_and_meanings(doc, text, found):
    assert meanings.split(doc, ["ratio", "a", "b"]) == (text, found)


class Example:
    """Do a thing.

    Args:
        size: pixels of a side.
    """

    def __init__(
        self, size: "int | None", kind: type = dict, third: float = 4 / 3, *, last: str = "x"
    ):
        pass


def test_a_component_is_described_by_its_signature_and_docstring():
    assert reference.described("masks.Example", Example) == (
        "## masks.Example\n\nDo a thing.\n\n"
        "- `size: int | None`: pixels of a side.\n"
        f"- `kind: type = dict`: {reference.UNKNOWN}\n"
        f"- `third: float = 1.333`: {reference.UNKNOWN}\n"
        f"- `last: str = 'x'`: {reference.UNKNOWN}"
    )


def test_the_command_writes_the_reference_where_it_is_asked_to(tmp_path, capsys):
    assert main(["docs", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here/masks.md").read_text() == (
        ROOT / "docs/reference/masks.md"
    ).read_text()
    assert str(tmp_path / "here/masks.md") in capsys.readouterr().out


def test_an_installed_package_has_to_be_given_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pymim.__path__", [str(tmp_path / "site-packages/pymim")])
    assert main(["docs"]) == 2
    assert (
        "docs: DIR: expected a folder, got none, and this is no checkout" in capsys.readouterr().err
    )


@pytest.mark.parametrize("page", ["gin/README.md", "docs/reference/README.md"])
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()):
        path, _, heading = link.partition("#")
        there = (ROOT / page).parent / path
        assert there.exists(), link
        headings = re.findall(r"^#+ (.*)", there.read_text(), re.M) if heading else []
        assert not heading or heading in [
            re.sub(r"[^a-z0-9]", "", each.lower()) for each in headings
        ], link
