"""The files of the repository, parsed, for tests of its design."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = sorted(
    path
    for folder in ("pymim", "cpp", "tests", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".hpp", ".cpp", ".cu", ".cuh", ".h"}
    and "__pycache__" not in path.parts
)
PYTHON = [path for path in CODE if path.suffix == ".py"]
NATIVE = [path for path in CODE if path.suffix not in {".py", ".pyi"}]
LIBRARY = [path for path in PYTHON if path.is_relative_to(ROOT / "pymim")]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def module_of(path):
    """The dotted name by which a file is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def tree(path):
    return ast.parse(path.read_text())


def imports(path):
    """The names that a file imports, in functions too; of `from a import b` both a and a.b."""
    for node in ast.walk(tree(path)):
        yield from _imported(node)


def imports_at_run_time(path):
    """Those outside `if TYPE_CHECKING`."""
    waiting = [tree(path)]
    while waiting:
        node = waiting.pop()
        yield from _imported(node)
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            waiting += ast.iter_child_nodes(node)


def _imported(node):
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
