"""Every real folder once, regular files only; what is left out is said."""

import os

import pytest

from pymim import data
from pymim.data.walk import IRREGULAR, SEEN, UNREADABLE, walk
from pymim.errors import DataError
from tests.data.trees import each, plant


def forbid(monkeypatch, *folders):
    """Listing these raises what a user without permission meets."""
    listing = os.scandir

    def scandir(path):
        if str(path).rstrip("/").endswith(folders):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_names_are_sorted_and_hidden_files_are_skipped(tmp_path):
    names = [
        "b/2.png",
        "b/10.png",
        "a.png",
        "a/é ü.png",
        "B/x.png",
        ".hidden.png",
        ".git/x.png",
        "b/.x.png",
    ]
    plant(tmp_path, *names)
    found = walk(tmp_path)
    assert (
        found.names == sorted(name for name in names if "/." not in f"/{name}") and not found.left
    )


@pytest.mark.parametrize("links", [["a/up"], ["a/up", "b/up"], ["up"]])
@pytest.mark.parametrize("above", [".", "..", "../.."])
def test_a_link_to_a_folder_above_is_not_followed(tmp_path, links, above):
    root = plant(tmp_path / "x" / "root", *each("ab"))
    for link in links:
        (root / link).symlink_to((root / above).resolve())
    found = walk(root)
    assert found.names == each("ab") and found.left == {SEEN: tuple(links)}
    source = data.open(root)
    assert len(source) == 8 and source.classes == ["a", "b"]
    assert f"{len(links)} {SEEN} ({', '.join(links)})" in data.describe(source)


def test_a_folder_with_two_names_is_read_once_by_its_real_one(tmp_path):
    plant(tmp_path, "real/x/0.png", "real/x/1.png")
    (tmp_path / "alias").symlink_to(tmp_path / "real" / "x")
    assert walk(tmp_path).names == ["real/x/0.png", "real/x/1.png"]


def test_links_to_folders_and_files_elsewhere_are_followed(tmp_path):
    plant(tmp_path / "store", "one/0.png", "one/1.png", "2.png")
    root = plant(tmp_path / "root", "a/0.png")
    (root / "b").symlink_to(tmp_path / "store" / "one")
    (root / "a" / "1.png").symlink_to(tmp_path / "store" / "2.png")
    assert walk(root).names == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    through = tmp_path / "through"
    through.symlink_to(root)
    assert walk(through).names == walk(root).names


def test_pipes_and_devices_are_left_out(tmp_path):
    plant(tmp_path, "a/0.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    (tmp_path / "folder.png").mkdir()
    found = walk(tmp_path)
    assert found.names == ["a/0.png"]
    assert (
        sum(len(names) for names in found.left.values()) == 3
        and "pipe.png" in found.left[IRREGULAR]
    )
    assert len(data.open(tmp_path)) == 1


def test_an_unreadable_folder_is_reported(tmp_path, monkeypatch):
    plant(tmp_path, *each("abc"))
    forbid(monkeypatch, "/b")
    assert walk(tmp_path).left == {UNREADABLE: ("b: Permission denied",)}
    assert "left out: 1 unreadable (b: Permission denied)" in data.describe(data.open(tmp_path))


def test_an_unreadable_folder_of_a_split_is_reported(tmp_path, monkeypatch):
    plant(tmp_path, *each(["train/a", "train/b", "test/a"], 2))
    forbid(monkeypatch, "/test")
    assert "1 unreadable (test: Permission denied)" in data.describe(data.open(tmp_path))


def test_a_root_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    forbid(monkeypatch, tmp_path.name)
    with pytest.raises(
        DataError, match=rf"expected a folder that can be read, got {tmp_path}: Permission denied"
    ):
        data.open(tmp_path)


def test_a_folder_that_vanishes_is_reported(tmp_path, monkeypatch):
    plant(tmp_path, *each("ab"))
    listing = os.scandir

    def scandir(path):
        if str(path).endswith("/b"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert walk(tmp_path).left == {UNREADABLE: ("b: No such file or directory",)}
