"""The fast part: `python -m pytest -m fast`."""

import subprocess
import sys

from tests.fast import FILES, FOLDERS, SLOW, TESTS, is_fast, slow_of
from tests.sources import ROOT


def test_each_folder_and_file_has_fast_tests():
    fast = [path.relative_to(ROOT / "tests") for path in TESTS.values() if is_fast(path)]
    assert {path.parts[0] for path in fast if len(path.parts) > 1} == FOLDERS
    assert {path.stem for path in fast if len(path.parts) == 1} == FILES


def test_a_test_that_imports_a_run_is_not_fast():
    """Of files that import one, and of one that imports another file that does."""
    assert "pymim.run" in slow_of(ROOT / "tests/test_gin.py")
    assert "pymim.train" in slow_of(ROOT / "tests/targets/test_bank.py")
    assert not is_fast(ROOT / "tests/targets/test_bank.py")


def test_the_fast_part_imports_no_run():
    """Not by a detour through the library either: whatever is imported when its files are."""
    names = [
        name for name, path in TESTS.items() if is_fast(path) and path.stem.startswith("test_")
    ]
    heavy = sorted(
        name
        for name in SLOW
        if name.split(".")[0] not in {"multiprocessing", "subprocess", "torch"}
    )
    script = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
print(*(name for name in {heavy} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
