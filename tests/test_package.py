"""`import pymim` costs nothing, says what is where, and gives what a script needs."""

import doctest
import pydoc
import subprocess
import sys

import pytest

import pymim
from tests.sources import ROOT

NAMES = {"Evaluation", "Folder", "Method", "Objective", "Trainer", "Tuning", "ViT"}
FOLDERS = {path.parent.name for path in (ROOT / "pymim").glob("*/__init__.py")}


def fresh(script):
    """What a script prints in a Python of its own."""
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def test_torch_is_imported_with_the_first_name_that_needs_it():
    said = "print('torch' in sys.modules)"
    script = f"import sys, pymim\n{said}\npymim.__version__; pymim.__path__\n{said}\n"
    script += f"pymim.Method\n{said}"
    assert fresh(script) == ["False", "False", "True"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_gives_its_class(name):
    found = getattr(pymim, name)
    assert isinstance(found, type)
    assert found.__name__ == name


def test_subpackages_are_imported_on_demand():
    said = fresh(
        "import pymim\n"
        "print(pymim.masks.Uniform.__name__, pymim.ops.mask.__name__, pymim.schedule.__name__)"
    )
    assert said == ["Uniform", "pymim.ops.mask", "pymim.schedule"]


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(AttributeError, match="module 'pymim' has no attribute 'Methd'"):
        _ = pymim.Methd
    with pytest.raises(ImportError, match="cannot import name 'Methd'"):
        from pymim import Methd  # noqa: F401


def test_help_says_what_is_where():
    words = set(
        pydoc.plain(pydoc.render_doc(pymim))
        .partition("PACKAGE CONTENTS")[0]
        .replace(",", " ")
        .split()
    )
    assert not (NAMES | FOLDERS) - words


def test_the_example_runs():
    failed, tried = doctest.testmod(pymim)
    assert (failed, tried) == (0, 4)
