"""pre-commit runs what CI runs, on the same files."""

import re
import shlex
import subprocess

import pytest

from tests.sources import ROOT

CI = (ROOT / ".ci/run").read_text()
LINT = re.search(r"^lint\(\) \{\n(.*?)^\}", CI, re.M | re.S)[1].strip().splitlines()
HOOKS = re.findall(r"- id: .*\n((?:        .*\n)+)", (ROOT / ".pre-commit-config.yaml").read_text())


def field(hook, name):
    """The value of a field of a hook, "" where it has none."""
    found = re.search(rf"^ +{name}: (.*)$", hook, re.M)
    return found[1] if found else ""


def test_hooks_run_the_commands_of_the_lint_step_in_its_order():
    commands = [line.rpartition("xargs ")[2].strip() for line in LINT]
    assert commands == [field(hook, "entry") for hook in HOOKS]
    assert [command.split()[0] for command in commands] == ["ruff", "ruff", "mypy", "clang-format"]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: field(hook, "name"))
def test_a_hook_uses_the_installed_tool(hook):
    assert field(hook, "language") == "system"
    check = re.search(r"^check = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f'"{field(hook, "entry").split()[0]}"' in check


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git lists the files")
def test_a_hook_gets_the_files_that_the_lint_step_gives_its_command():
    """Hooks that list files get those of all tracked files; the others find them by themselves."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for line, hook in zip(LINT, HOOKS, strict=True):
        if "xargs" not in line:
            assert field(hook, "pass_filenames") == "false" and not field(hook, "files")
            continue
        listing = shlex.split(line.partition("|")[0])
        expected = subprocess.run(
            listing, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        assert expected
        assert [
            name for name in tracked.stdout.split() if re.search(field(hook, "files"), name)
        ] == expected
