"""The design's rules that a program can check: sizes, names, imports, and one stem per op."""

import ast
import re
import subprocess
import sys

import pytest

from tests.sources import CODE, LIBRARY, NATIVE, PYTHON, ROOT, imports, name_of, tree

STEMS = re.search(r"set\(stems ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text())[1].split()

# Names of papers' methods that are no common words. They belong in gin files and citations only.
PAPERS = """
mae simmim beit hpm capi jepa ijepa dino dinov ibot msn swav moco simclr byol cae maskfeat
videomae colormae localmim mrmae dmjd umd multimae milan adios semmae attmask amim dbot eva
clusterfit deepcluster sela peco mixmae latentmim maskdistill siamesemae crossmae mimrefiner
sinder
"""

# The modules of torch in use. All are in 2.6, the oldest version that pyproject.toml allows: check
# that before you add one.
TORCH = """
torch torch.autograd.function torch.distributed.nn.functional torch.nn.functional
torch.nn.parallel torch.optim torch.profiler torch.utils.checkpoint torch.utils.data
torch.utils.data._utils.pin_memory torch.utils.flop_counter torch.utils.tensorboard
"""


def native_code(path):
    """The file without comments and strings."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', path.read_text())
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def python_functions(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node.name, node.end_lineno - body[0].lineno + 1


def native_functions(path):
    """Yield top-level definitions: from a line at the margin that opens a brace to its end."""
    start = None
    for number, line in enumerate(path.read_text().splitlines()):
        if re.match(
            r"(?!namespace|struct|class|enum|extern|union|typedef|#)[A-Za-z~].*[({,]$|template.*$",
            line,
        ):
            start = number if start is None else start
        elif re.match(r"(namespace|struct|class|enum|union)\b", line):
            start = None
        elif line.startswith("}"):
            if start is not None:
                yield path.read_text().splitlines()[start], number - start + 1
            start = None


def words(identifier):
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def python_identifiers(path):
    for node in ast.walk(tree(path)):
        for field in ("id", "attr", "name", "arg", "asname"):
            if isinstance(found := getattr(node, field, None), str):
                yield found


def test_files_are_short():
    # A reason for a longer one belongs in this table.
    reasons = {
        "cpp/src/cpu/nearest.hpp": "one search: bounds, candidates and their exact rescoring",
        "cpp/src/cuda/kmeans.cu": "has the order of cpu/kmeans.cpp and cpu/nearest.hpp",
        "tests/ops/test_rank.py": "loss, ranks and top-k share one table of shapes and its judges",
    }
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in CODE}
    assert not {
        name: lines for name, lines in lengths.items() if lines > 300 and name not in reasons
    }
    assert sorted(lengths.values())[len(lengths) // 2] <= 150


def test_functions_are_short():
    functions = [(name_of(path), *found) for path in PYTHON for found in python_functions(path)]
    functions += [(name_of(path), *found) for path in NATIVE for found in native_functions(path)]
    assert not [found for found in functions if found[2] > 60 and "void bind_" not in found[1]]
    assert sum(found[2] <= 20 for found in functions) > 0.75 * len(functions)


def test_no_ternary_is_inside_another():
    assert not [
        f"{name_of(path)}:{node.lineno}"
        for path in LIBRARY
        for node in ast.walk(tree(path))
        if isinstance(node, ast.IfExp)
        for inner in (node.test, node.body, node.orelse)
        if any(isinstance(found, ast.IfExp) for found in ast.walk(inner))
    ]


def test_an_assignment_gives_values_to_at_most_two_names():
    """To take a shape or a result of three apart is allowed: its parts belong together."""
    written = (ast.Tuple, ast.List, ast.GeneratorExp, ast.ListComp)
    assert not [
        f"{name_of(path)}:{node.lineno}"
        for path in LIBRARY
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign) and isinstance(node.value, written)
        for target in node.targets
        if isinstance(target, ast.Tuple) and len(target.elts) > 2
    ]


def test_no_file_is_called_utils():
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    assert not [
        name_of(path)
        for path in CODE
        if drawers & {*path.relative_to(ROOT).parent.parts, path.stem}
    ]


def test_papers_are_not_identifiers():
    found = [
        (name_of(path), n)
        for path in LIBRARY
        for n in python_identifiers(path)
        if words(n) & set(PAPERS.split())
    ]
    for path in NATIVE:
        identifiers = set(re.findall(r"[A-Za-z_]\w*", native_code(path)))
        found += [(name_of(path), n) for n in identifiers if words(n) & set(PAPERS.split())]
    assert not found


def test_only_the_entry_points_import_gin():
    importers = {
        name_of(p) for p in LIBRARY if any(name.split(".")[0] == "gin" for name in imports(p))
    }
    assert {name for name in importers if not name.startswith("pymim/config/")} <= {"pymim/run.py"}


@pytest.mark.parametrize("library", ["torchvision", "timm", "torchmetrics"])
def test_library_is_never_imported(library):
    assert not [
        name_of(p) for p in PYTHON if any(name.split(".")[0] == library for name in imports(p))
    ]


def test_no_module_of_torch_is_newer_than_the_oldest_torch():
    used = {name for p in LIBRARY for name in imports(p) if name.split(".")[0] == "torch"}
    assert {name for name in used if name.rpartition(".")[0] not in TORCH.split()} <= set(
        TORCH.split()
    )


@pytest.mark.parametrize("stem", STEMS)
def test_one_stem_everywhere(stem):
    places = [
        f"cpp/include/pymim/{stem}.hpp",
        f"cpp/src/{stem}.hpp",
        f"cpp/src/{stem}.cpp",
        f"cpp/src/cpu/{stem}.cpp",
        f"cpp/src/cuda/{stem}.cu",
        f"cpp/bindings/{stem}.cpp",
        f"pymim/_core/{stem}.pyi",
        f"pymim/bench/{stem}.py",
        f"tests/reference/{stem}.py",
    ]
    assert not [place for place in places if not (ROOT / place).exists()]
    assert list((ROOT / "pymim/ops").glob(f"{stem}*"))


def test_files_are_clean_text():
    for path in CODE:
        text = path.read_text()
        assert "\0" not in text, name_of(path)
        assert not re.search(r"(?<![\w.])/(?:home|root|work|Users)/\w", text), name_of(path)


def test_import_is_light():
    heavy = ["torch", "numpy", "gin", "sklearn", "PIL"]
    code = f"import sys, pymim; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_slow_imports_wait_until_they_are_used():
    """They are imported where they are used."""
    script = """
import sys
from pymim import data, run, train
from pymim.targets import Online
data.Digits().take(data.Digits().ids[:1])
data.Digits(background="photo").take(data.Digits().ids[:1])
heavy = ("scipy", "sklearn", "torch._dynamo", "av", "pyarrow")
print(*(name for name in heavy if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
