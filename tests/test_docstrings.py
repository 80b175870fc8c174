"""Docstrings are in plain words: those of functions begin with a verb, and none is stilted."""

import ast
import re

import pytest

from tests.sources import ROOT, name_of, tree

PACKAGES = [path.name for path in (ROOT / "pymim").iterdir() if (path / "__init__.py").exists()]
SPOKEN = ["pymim/*.py", *(f"pymim/{name}/**/*.py" for name in sorted(PACKAGES))]
NOUNS = "A An All As At Each Every For How In It Of One That The This Those What When Where "
NOUNS += "Whether Which Who Why"
STILTED = r"\b(by which|of which|told|bears|lies|alike|anew|lest)\b"


def docstrings(path):
    """Yield each docstring with its node."""
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (
            text := ast.get_docstring(node)
        ):
            yield node, text


def is_property(node):
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def begins_with_a_verb(text):
    """Say whether the first word may be an imperative: no article, no question, no "Gives"."""
    word = re.split(r"\W", text, maxsplit=1)[0]
    third_person = word.endswith("s") and not word.endswith("ss")
    return word[:1].isupper() and word not in NOUNS.split() and not third_person


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        *[
            ("Give it.", True),
            ("Pass it on.", True),
            ("Return [B M].", True),
            ("Draw: at random.", True),
        ],
        *[
            ("The file.", False),
            ("Whether it is.", False),
            ("Gives it.", False),
            ("[B M] of it.", False),
        ],
        *[("", False), ("status.json: how it ended.", False), ("`name` in full.", False)],
    ],
)
def test_a_verb_is_known_from_a_noun(text, verb):
    assert begins_with_a_verb(text) is verb


@pytest.mark.parametrize("pattern", SPOKEN)
def test_docstrings_of_functions_begin_with_a_verb(pattern):
    found = [(path, *each) for path in ROOT.glob(pattern) for each in docstrings(path)]
    functions = [
        each for each in found if isinstance(each[1], ast.FunctionDef) and not is_property(each[1])
    ]
    assert functions
    assert not [
        f"{name_of(path)}:{node.lineno} {node.name}: {text[:40]}"
        for path, node, text in functions
        if not begins_with_a_verb(text)
    ]


@pytest.mark.parametrize("pattern", SPOKEN)
def test_docstrings_have_no_stilted_words(pattern):
    found = [(path, text) for path in ROOT.glob(pattern) for _, text in docstrings(path)]
    assert found
    assert not [
        (name_of(path), match[0]) for path, text in found if (match := re.search(STILTED, text))
    ]
