"""Configurations side by side, over seeds: what a claim about a method needs.

    python -m pymim.compare --workdir runs/ratio --seeds 3 -b STEPS=400 \\
        'low: gin/mae.gin RATIO=0.25' 'paper: gin/mae.gin RATIO=0.75'

Each variant is NAME: its gin files, then its bindings; -b adds a binding to all. Every run is a `python -m
pymim.run` of its own, in WORKDIR/NAME/seed-N; one that is done is not run again, and one that was stopped goes
on, so the same command after an interruption finishes the comparison. Leaves table.md, table.json and compare.png
in WORKDIR: the last evaluation of each variant, mean and standard deviation over the seeds, and the baselines of
the first variant.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from matplotlib.figure import Figure

from pymim import config
from pymim.draw.image import save
from pymim.errors import ConfigError, PymimError
from pymim.io import Folder

Scores = dict[str, list[float]]  # by measure, one a seed
Table = dict[str, Scores]  # by variant


def compare(
    variants: Mapping[str, Sequence[str]], workdir: Path, seeds: int = 3, common: Sequence[str] = ()
) -> Table:
    """Runs what has not been run, and writes and gives the table.

    variants: by name, the words of each: gin files, then bindings. common: bindings of all.
    Raises: ConfigError where a run fails, with its command.
    """
    table: Table = {}
    first = next(iter(variants))
    for seed in range(seeds):
        for name, words in variants.items():
            alone = [f"SEED={seed}", *([] if name == first else ["evaluate.Evaluation.baselines=False"])]
            _run([*words, *common, *alone], workdir / name / f"seed-{seed}")
    for name in variants:
        table[name] = _side_by_side([_evaluation(workdir / name / f"seed-{seed}") for seed in range(seeds)])
    files = [workdir / first / f"seed-{seed}/evaluation/baselines.json" for seed in range(seeds)]
    baselines = [json.loads(file.read_text()) for file in files]
    for name in baselines[0]:
        table[name] = _side_by_side([of_a_seed[name] for of_a_seed in baselines])
    folder = Folder(workdir)
    folder.write_json("table.json", table)
    folder.write("table.md", markdown(table))
    draw(table, workdir / "compare.png", grey=baselines[0].keys())
    return table


def show(variants: Mapping[str, Sequence[str]], given: argparse.Namespace, common: Sequence[str] = ()) -> None:
    """Compares as a command line says, with `common` before its own bindings, and prints the table.

    Raises: SystemExit, after one line, where a run fails.
    """
    try:
        print(markdown(compare(variants, given.workdir, given.seeds, [*common, *given.common])), end="")  # noqa: T201
    except PymimError as error:
        print(f"pymim: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None


def options(purpose: str | None, workdir: str, data: str = "digits", **numbers: int) -> argparse.Namespace:
    """What a script that compares reads from its command line; `common` holds the bindings that follow from it.

    numbers: options of its own with their defaults; `steps` becomes a binding.
    """
    parser = argparse.ArgumentParser(description=purpose, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default=data, help="what DATA takes")
    parser.add_argument("--workdir", type=Path, default=Path(workdir), help="goes on where it was stopped")
    for name, value in {"seeds": 3, **numbers}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"number of {name}")
    parser.add_argument("-b", action="append", default=[], dest="common", metavar="'NAME = VALUE'", help="for all")
    given = parser.parse_args()
    given.common.insert(0, f"DATA={given.data}")
    if "cifar10" in given.data:
        given.common.insert(1, "STATISTICS=cifar10")
    if "steps" in numbers:
        given.common.insert(1, f"STEPS={given.steps}")
    return given


def _run(words: Sequence[str], folder: Path) -> None:
    status = folder / "status.json"
    if status.exists() and json.loads(status.read_text())["exit_code"] == 0:
        return
    command = [
        sys.executable,
        "-m",
        "pymim.run",
        *config.flags(words),
        "--workdir",
        str(folder),
        "--resume",
        "auto",
    ]
    if (code := subprocess.run(command, check=False).returncode) != 0:
        raise ConfigError(f"compare: a run ended with exit code {code}; look at it alone: {shlex.join(command)}")


def _evaluation(folder: Path) -> dict[str, float]:
    files = sorted((folder / "evaluation").glob("step-*.json"))
    if not files:
        raise ConfigError(f"compare: {folder}: expected an evaluation, got none; the data need labels")
    found = json.loads(files[-1].read_text())
    return {name: value for name, value in found.items() if name not in ("step", "baselines")}


def _side_by_side(found: Sequence[dict[str, float]]) -> Scores:
    return {measure: [each[measure] for each in found] for measure in found[0]}


def markdown(table: Table) -> str:
    """A row a variant, a column a measure, in per cent: mean and, of several seeds, standard deviation."""
    measures = list(next(iter(table.values())))

    def cell(values: list[float] | None) -> str:
        if not values:
            return ""
        spread = f" +- {100 * stdev(values):.1f}" if len(set(values)) > 1 else ""
        return f"{100 * mean(values):.1f}{spread}"

    rows = [
        f"| {name} | " + " | ".join(cell(scores.get(m)) for m in measures) + " |" for name, scores in table.items()
    ]
    return "\n".join([f"| % | {' | '.join(measures)} |", "|---" * (len(measures) + 1) + "|", *rows]) + "\n"


def draw(table: Table, path: Path, grey: Collection[str] = ()) -> None:
    """A panel a measure: a bar at the mean of each variant, some of them `grey`, and a dot for each seed."""
    measures = list(next(iter(table.values())))
    figure = Figure(figsize=(1.2 + 2.6 * len(measures), 1.2 + 0.32 * len(table)), layout="constrained")
    for axis, measure in zip(
        figure.subplots(1, len(measures), sharey=True, squeeze=False)[0], measures, strict=True
    ):
        for row, (name, scores) in enumerate(table.items()):
            values = [100 * value for value in scores.get(measure, [])]
            if values:
                axis.barh(row, mean(values), color="0.75" if name in grey else "C0", height=0.65)
                axis.plot(values, [row] * len(values), "k.", ms=4)
        axis.set_yticks(range(len(table)), list(table), fontsize=8)
        axis.set_title(f"{measure} (%)", fontsize=9)
        axis.tick_params(labelsize=8)
    figure.axes[0].invert_yaxis()
    save(figure, path)


def main(words: list[str] | None = None) -> None:
    """Compares the command line's variants."""
    parser = argparse.ArgumentParser(
        prog="python -m pymim.compare", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("variants", nargs="+", metavar="'NAME: FILE... BINDING...'")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-b", action="append", default=[], dest="common", metavar="'NAME = VALUE'")
    given = parser.parse_args(words)
    parted = (variant.partition(":") for variant in given.variants)
    show({name.strip(): shlex.split(rest) for name, _, rest in parted}, given)


if __name__ == "__main__":
    main()
