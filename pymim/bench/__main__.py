"""python -m pymim.bench [--only STEM ...] [--json FILE] [--plot FILE] [--loaded] [--quick]"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pymim import bench
from pymim.bench import loaded, report, scaling
from pymim.bench.contest import WrongAnswer, run_case
from pymim.bench.worker import Address


def stems() -> dict[str, str]:
    """Give the modules of this package that have cases, by name."""
    names = {info.name: f"pymim.bench.{info.name}" for info in pkgutil.iter_modules(bench.__path__)}
    names.pop("__main__", None)
    return {
        name: path
        for name, path in names.items()
        if hasattr(importlib.import_module(path), "cases")
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the table. Give 1 if an answer is wrong or a bar is missed."""
    known = stems()
    parser = argparse.ArgumentParser(
        prog="python -m pymim.bench", description="Each op against torch and its peers."
    )
    parser.add_argument("--only", nargs="+", choices=sorted(known), metavar="STEM")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument(
        "--plot", type=Path, help="measure cost against size instead, and draw it to this PNG"
    )
    parser.add_argument(
        "--loaded", action="store_true", help="time the core's ops while every core is busy"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few short rounds: to see that it runs"
    )
    options = parser.parse_args(arguments)
    if options.loaded and options.plot:
        parser.error("--plot: expected without --loaded, got both; choose one")
    machine = report.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    everything = loaded.of_the_core(known) if options.loaded else known
    modules = [known[name] for name in options.only or sorted(everything)]
    try:
        results = _mode(options)(modules, quick=options.quick)
    except WrongAnswer as error:
        print(f"wrong answer: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return int(any(result.get("met") is False for result in results))


def _mode(options: argparse.Namespace) -> Callable[..., list[dict[str, Any]]]:
    if options.loaded:
        return _load
    return partial(_scale, path=options.plot) if options.plot else _compare


def _load(modules: list[str], *, quick: bool) -> list[dict[str, Any]]:
    found = []
    for module in modules:
        for row in loaded.run_cases(module, quick=quick):
            found.append(row)
            print(f"\r{row['op']}, {row['shape']}: done", file=sys.stderr, flush=True)
    print(loaded.table(found))
    return found


def _compare(modules: list[str], *, quick: bool) -> list[dict[str, Any]]:
    found = []
    for module in modules:
        for index in range(len(importlib.import_module(module).cases())):
            found += list(report.rows(run_case(Address(module, "cases", index), quick=quick)))
            print(f"\r{found[-1]['op']}, {found[-1]['shape']}: done", file=sys.stderr, flush=True)
    print(report.table(found))
    for module in modules:
        if accounts := getattr(importlib.import_module(module), "accounts", None):
            print(accounts(quick=quick))
    return found


def _scale(modules: list[str], *, path: Path, quick: bool) -> list[dict[str, Any]]:
    panels = []
    for module in modules:
        for index in range(len(getattr(importlib.import_module(module), "scaling", list)())):
            panels.append(scaling.measure(module, index, quick=quick))
            print(
                f"{panels[-1]['op']} against {panels[-1]['axis']}: done",
                file=sys.stderr,
                flush=True,
            )
    if panels:
        scaling.plot(panels, path)
    return panels


if __name__ == "__main__":
    sys.exit(main())
