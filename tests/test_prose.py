"""Markdown, gin files, CMake, TOML and the like: at most 100 columns, in plain words."""

import re
import subprocess

import pytest

from tests.sources import ROOT
from tests.test_docstrings import STILTED

WIDTH = 100
KINDS = ("*.md", "*.gin", "*.txt", "*.toml", "*.yaml", "*.cmake", ".ci/*")
GENERATED = ("docs/reference/", "gin/README.md")


def tracked(*patterns):
    """List the files that git tracks; without git, as in an unpacked archive, nothing."""
    if not (ROOT / ".git").exists():
        return []
    command = ["git", "ls-files", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if not name.startswith(GENERATED)]


def prose(text):
    """Give the lines of a Markdown page that may be filled: no tables, and no printed output."""
    text = re.sub(r"^```\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("|")]


def test_tables_and_output_are_no_prose():
    page = "a\n| b |\n```\nc\n```\n```bash\nd\n```\ne"
    assert [line for line in prose(page) if line] == ["a", "```bash", "d", "```", "e"]


@pytest.mark.parametrize("name", tracked(*KINDS))
def test_lines_are_at_most_100_columns(name):
    text = (ROOT / name).read_text()
    lines = prose(text) if name.endswith(".md") else text.splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []


@pytest.mark.parametrize("name", tracked("*.md", "*.gin"))
def test_words_are_plain(name):
    lines = prose((ROOT / name).read_text())
    assert [line for line in lines if re.search(STILTED, line)] == []
