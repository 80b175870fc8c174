"""What opening a path comes to, and files that may not be opened."""

import builtins
import re

from pymim import data
from pymim.errors import DataError


def outcome(path):
    """Return (pictures, labelled, broken) of a training set, or the line that says why not."""
    try:
        source = data.open(path, memory=0)
        data.open(path, "test", memory=0)
        broken = sum(is_broken(source, i) for i in range(len(source)))
    except DataError as error:
        text = str(error)
        assert "\n" not in text and "Traceback" not in text and "pickle" not in text, text
        return text
    labelled = 0 if source.labels is None else int((source.labels >= 0).sum())
    assert data.describe(source).startswith(f"{len(source)} pictures")
    return len(source), labelled, broken


def is_broken(source, index):
    try:
        source[index]
    except data.Unreadable as error:
        assert error.reason and "object at 0x" not in error.reason
        return True
    return False


def check(found, expected, path):
    if isinstance(expected, tuple):
        assert found == expected
    else:
        assert isinstance(found, str) and re.search(expected, found) and str(path) in found, found


def refuse(monkeypatch, name):
    """Opening a file of that name raises what a user without permission meets."""
    opening = builtins.open

    def open(file, *rest, **options):
        if str(file).endswith(name):
            raise PermissionError(13, "Permission denied", str(file))
        return opening(file, *rest, **options)

    monkeypatch.setattr(builtins, "open", open)
    monkeypatch.setattr("io.open", open)  # what pathlib calls
