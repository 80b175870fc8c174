"""The oldest versions that are allowed have no hole that is known and that pymim reaches."""

import ast
import re

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.sources import LIBRARY, ROOT, name_of, tree

# The first version without each fault, and the fault. `pip-audit -r constraints.txt` finds newer
# ones, if there is a network.
MENDED = {
    "pillow": (
        "12.3.0",
        "CVE-2023-50447, CVE-2024-28219, CVE-2026-25990, CVE-2026-59197: memory, by pictures",
    ),
    "pyarrow": (
        "23.0.1",
        "CVE-2023-47248, CVE-2026-25087: files that run code, memory used after it was freed",
    ),
    "imagecodecs": ("2023.9.18", "CVE-2023-4863: libwebp's memory, by pictures"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206: training data kept in a model"),
    "torch": (
        "2.6.0",
        "CVE-2025-32434: weights_only that ran code; newer ones are of torch.load, which is never "
        "called here",
    ),
    "tqdm": ("4.66.3", "CVE-2024-34062: options that run code"),
    "numpy": ("1.22", "CVE-2021-41495, CVE-2021-41496"),
}


def allowed():
    """The requirements of pyproject.toml, those of its extras too."""
    text = (ROOT / "pyproject.toml").read_text()
    project = text[text.index("[project]") : text.index("[project.scripts]")]
    lists = re.findall(r"= \[(.*?)\]$", project, re.DOTALL | re.MULTILINE)
    words = [word for each in lists for word in re.findall(r'"([^"]+)"', each)]
    found = [
        Requirement(word) for word in words if re.match(r"[A-Za-z-]+(\[.*\])?([<>=].*)?$", word)
    ]
    return {one.name.lower(): one.specifier for one in found}


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {
        line.split("==")[0].lower(): Version(line.split("==")[1]) for line in lines if "==" in line
    }


@pytest.mark.parametrize("name", MENDED)
def test_no_version_with_a_known_vulnerability_is_allowed(name):
    first, what = MENDED[name]
    floor = min(Version(one.version) for one in allowed()[name] if one.operator == ">=")
    assert floor >= Version(first), what


def test_the_tested_versions_are_allowed():
    found, tested = allowed(), pinned()
    assert len(found.keys() & tested.keys()) > 10
    assert not [name for name in found.keys() & tested.keys() if tested[name] not in found[name]]


def test_nothing_is_unpickled():
    """No torch.load, pickle, joblib or array of objects, except between a run's own processes."""
    exchanged = {"pymim/data/passing.py", "pymim/data/workers.py"}
    found = []
    for path in [path for path in LIBRARY if name_of(path) not in exchanged]:
        for node in ast.walk(tree(path)):
            text = ast.unparse(node) if isinstance(node, ast.Call) else ""
            if re.match(r"(torch\.load|torch\.hub|pickle\.|joblib\.)", text):
                found.append(name_of(path))
            if text.startswith(("np.load(", "numpy.load(")) and "allow_pickle=False" not in text:
                found.append(name_of(path))
    assert not found
