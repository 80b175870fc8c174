"""python -m pymim.bench [--only STEM ...] [--json FILE] [--plot FILE] [--quick]"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from pymim import bench
from pymim.bench import report, scaling
from pymim.bench.contest import WrongAnswer, run_case
from pymim.bench.worker import Address


def stems() -> dict[str, str]:
    """The modules of this package that have cases, by name."""
    names = {info.name: f"pymim.bench.{info.name}" for info in pkgutil.iter_modules(bench.__path__)}
    names.pop("__main__", None)
    return {name: path for name, path in names.items() if hasattr(importlib.import_module(path), "cases")}


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; 1 where an answer is wrong or a bar is missed."""
    known = stems()
    parser = argparse.ArgumentParser(
        prog="python -m pymim.bench", description="Each op against torch and its peers."
    )
    parser.add_argument("--only", nargs="+", choices=sorted(known), default=sorted(known), metavar="STEM")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--plot", type=Path, help="measure cost against size instead, and draw it to this PNG")
    parser.add_argument("--quick", action="store_true", help="few short rounds: to see that it runs")
    options = parser.parse_args(arguments)
    machine = report.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    modules = [known[name] for name in options.only]
    try:
        run = partial(_scale, path=options.plot) if options.plot else _compare
        results = run(modules, quick=options.quick)
    except WrongAnswer as error:
        print(f"wrong answer: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return int(any(result.get("met") is False for result in results))


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
            print(f"{panels[-1]['op']} against {panels[-1]['axis']}: done", file=sys.stderr, flush=True)
    if panels:
        scaling.plot(panels, path)
    return panels


if __name__ == "__main__":
    sys.exit(main())
