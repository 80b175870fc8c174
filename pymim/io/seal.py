"""Check a checkpoint's files against the sizes and checksums in its meta.json.

meta.json has a checksum of its own.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

from pymim.errors import ConfigError

META = "meta.json"
_CHUNK = 2**24


class Damaged(ConfigError):
    """A checkpoint is not what was saved; the message names the file and the fault."""


def checksum(data: bytes | memoryview) -> str:
    """Return the CRC-32 in hexadecimal: it finds flipped bits, but is no signature."""
    return f"{zlib.crc32(data):08x}"


def text(meta: dict[str, Any]) -> str:
    """Write meta.json: `meta` with its own checksum."""
    meta = json.loads(json.dumps(meta))  # tuples become lists, as in the file
    return json.dumps(meta | {"checksum": _own(meta)}, indent=1)


def read(path: Path) -> dict[str, Any]:
    """Read the meta.json of the checkpoint at `path`.

    Raises: Damaged if it is missing, cut short, changed, or has another step than its folder's
    name.
    """
    file = path / META
    try:
        meta = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise Damaged(f"{file}: is missing") from error
    except OSError as error:
        raise Damaged(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise Damaged(f"{file}: is cut short or changed: it is not JSON") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("step"), int):
        raise Damaged(f"{file}: names no step")
    own = meta.pop("checksum", None)
    if own is not None and own != _own(meta):
        raise Damaged(f"{file}: is changed: its checksum is {_own(meta)}, and was {own}")
    named = step_of(path)
    if named is not None and named != meta["step"]:
        raise Damaged(f"{file}: is of step {meta['step']}, in the folder of step {named}")
    return meta


def check(path: Path, meta: dict[str, Any]) -> None:
    """Compare the checkpoint's files with the sizes and checksums in its meta.json.

    Older checkpoints have none, and are not checked. Raises: Damaged.
    """
    for name, saved in meta.get("files", {}).items():
        file = path / name
        try:
            size, found = _read(file)
        except FileNotFoundError as error:
            raise Damaged(f"{file}: is missing") from error
        except OSError as error:
            raise Damaged(f"{file}: cannot be read ({error.strerror})") from error
        if size != saved["bytes"]:
            raise Damaged(f"{file}: has {size:,} bytes, and had {saved['bytes']:,}")
        if found != saved["crc32"]:
            raise Damaged(f"{file}: is changed: its checksum is {found}, and was {saved['crc32']}")


def step_of(path: Path) -> int | None:
    """Return the step in the name of a checkpoint's folder; None for another name."""
    match = re.fullmatch(r"step-(\d+)", path.name)
    return int(match[1]) if match else None


def _own(meta: dict[str, Any]) -> str:
    return checksum(json.dumps(meta, sort_keys=True).encode())


def _read(file: Path) -> tuple[int, str]:
    size, total = 0, 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            size, total = size + len(chunk), zlib.crc32(chunk, total)
    return size, f"{total:08x}"
