r"""Compare configurations over several seeds.

    python -m pymim.compare --workdir runs/ratio --seeds 3 -b STEPS=400 \
        'low: gin/mae.gin RATIO=0.25' 'paper: gin/mae.gin RATIO=0.75'

Each variant is NAME: its gin files, then its bindings; -b adds a binding to all. Every run is a
`python -m pymim.run` of its own, in WORKDIR/NAME/seed-N. Finished runs are not repeated and stopped
ones are resumed, so the same command after an interruption finishes the comparison. That requires
the same configuration, code and data, which WORKDIR/NAME/seed-N/made_of.json records. Writes
table.md, table.json and compare.png to WORKDIR: the last evaluation of each variant, mean and
standard deviation over the seeds, and the baselines of the first variant.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pymim import children, endings, signals

if __name__ == "__main__":
    signals.begin()  # before what takes a second to import

from pymim import config
from pymim.errors import ConfigError, PymimError
from pymim.tables import Scores, Table, check_names, markdown

if TYPE_CHECKING:
    from pymim.io.protocol import Protocol

AGAIN = "during the comparison; the same command continues it"
BASELINES = "evaluate.Evaluation.baselines"
MADE_OF = "made_of.json"


def compare(
    variants: Mapping[str, Sequence[str]], workdir: Path, seeds: int = 3, common: Sequence[str] = ()
) -> Table:
    """Run what has not been run; write and return the table.

    variants: gin files, then bindings, by the variant's name. common: bindings of all variants.

    Raises: ConfigError if a name cannot be a folder's, a folder holds a run of something else, or a
    run fails, with its command; Stopped on a signal.
    """
    from pymim.draw.comparison import draw
    from pymim.io import Folder
    from pymim.io.figures import scores

    check_names(variants)
    if seeds < 1:
        raise ConfigError(f"compare: seeds: expected 1 or more, got {seeds}; give more")
    runs = {
        (name, seed): (
            [*words, *common, f"SEED={seed}", *_without_baselines(name, variants)],
            workdir / name / f"seed-{seed}",
        )
        for seed in range(seeds)
        for name, words in variants.items()
    }
    made = {key: _checked(key[0], *run) for key, run in runs.items()}  # before the first is run
    for key, (words, folder) in runs.items():
        if not (folder / MADE_OF).exists():
            Folder(folder).create()
            Folder(folder).write_json(MADE_OF, made[key])
        _run(words, folder)
    table: Table = {}
    settings: dict[str, Protocol] = {}
    for name in variants:
        found = [_evaluation(workdir / name / f"seed-{seed}") for seed in range(seeds)]
        table[name] = _side_by_side([scores(each) for each in found])
        settings[name] = found[0].get("protocol", {})
    for line in _different_protocols(settings):
        print(f"compare: {line}", file=sys.stderr)  # noqa: T201
    baselines = _baselines(
        [workdir / next(iter(variants)) / f"seed-{seed}" for seed in range(seeds)]
    )
    check_names([*variants, *baselines])
    table |= baselines
    Folder(workdir).write_json("table.json", table)
    Folder(workdir).write("table.md", markdown(table))
    draw(table, workdir / "compare.png", grey=baselines.keys())
    return table


def show(
    variants: Mapping[str, Sequence[str]], given: argparse.Namespace, common: Sequence[str] = ()
) -> None:
    """Compare as a command line says, and print the table.

    common: bindings before those of the command line.

    Raises: SystemExit, after one line, if a run fails or a signal comes.
    """
    try:
        with signals.handled(), config.trusting(given.trust):
            found = compare(variants, given.workdir, given.seeds, [*common, *given.common])
        print(markdown(found), end="")  # noqa: T201
    except (Exception, signals.Asked) as error:
        ending = endings.of(error.error(AGAIN) if isinstance(error, signals.Asked) else error)
        if not ending.known:
            raise
        line = config.own_text(error) if isinstance(error, PymimError) else ending.reason
        print(f"pymim: {line}", file=sys.stderr)  # noqa: T201
        raise SystemExit(ending.exit_code) from None


def options(
    purpose: str | None, workdir: str, data: str = "digits", **numbers: int
) -> argparse.Namespace:
    """Read the command line of a script that compares; `common` holds the resulting bindings.

    numbers: the script's own options with their defaults; `steps` becomes a binding.
    """
    parser = argparse.ArgumentParser(
        description=purpose, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", default=data, help="the value of DATA")
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path(workdir),
        help="the folder of the comparison, which continues after a stop",
    )
    for name, value in {"seeds": 3, **numbers}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"number of {name}")
    _add_common(parser)
    given = parser.parse_args()
    given.common.insert(0, f"DATA={given.data}")
    if "cifar10" in given.data:
        given.common.insert(1, "STATISTICS=cifar10")
    if "steps" in numbers:
        given.common.insert(1, f"STEPS={given.steps}")
    return given


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-b", action="append", default=[], dest="common", metavar="'NAME = VALUE'", help="for all"
    )
    parser.add_argument(
        "--trust", action="store_true", help="let gin files run code that is not pymim's"
    )


def _without_baselines(name: str, variants: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the bindings of all but the first variant: its baselines serve for all."""
    return [] if name == next(iter(variants)) else [f"{BASELINES}=False"]


def _checked(name: str, words: Sequence[str], folder: Path) -> dict[str, str]:
    """Return what the run would be made of.

    Raises: ConfigError if its folder holds a run of something else.
    """
    from pymim.making import first_difference, made_of

    try:
        now = made_of(words, folder)
    except ConfigError as error:
        raise ConfigError(f"compare: {name}: {error}") from error
    if not any((folder / held).exists() for held in ("config.gin", "stages")):
        return now
    if not (folder / MADE_OF).exists():
        _refuse(folder, "without made_of.json")
    then = json.loads((folder / MADE_OF).read_text())
    # The run may have measured baselines earlier; the table takes those of the first variant.
    if now.get(BASELINES) == "False":
        then[BASELINES] = now[BASELINES]
    if difference := first_difference(then, now):
        _refuse(folder, f"with other settings, code or data ({difference})")
    return now


def _refuse(folder: Path, what: str) -> NoReturn:
    raise ConfigError(
        f"compare: {folder}: expected no run, or the same run, got one {what}; "
        "move it away, or choose another --workdir"
    )


def _run(words: Sequence[str], folder: Path) -> None:
    status = folder / "status.json"
    if status.exists() and json.loads(status.read_text())["exit_code"] == 0:
        return
    command = [sys.executable, "-m", "pymim.run", *config.flags(words), "--workdir", str(folder)]
    command += ["--resume", "auto", *config.trust_flag()]
    if code := children.call(command, AGAIN):
        raise ConfigError(
            f"compare: a run ended with exit code {code}; run it alone to see why: "
            f"{shlex.join(command)}"
        )


def _evaluation(folder: Path) -> dict[str, Any]:
    """Read the run's last evaluation of its own. Raises: ConfigError if there is none."""
    from pymim.io.figures import evaluations

    found = evaluations(folder)
    if not found:
        raise ConfigError(
            f"compare: {folder}: expected an evaluation, got none; use data with labels"
        )
    return found[-1]


def _baselines(folders: Sequence[Path]) -> Table:
    """Return the rows of the first variant's baselines; none if it measured none."""
    from pymim.io.figures import scores

    found: dict[Path, dict[str, Any]] = {
        folder: _evaluation(folder).get("baselines", {}) for folder in folders
    }
    if not any(found.values()):
        return {}
    if lacking := next((folder for folder, rows in found.items() if not rows), None):
        raise ConfigError(
            f"compare: {lacking}: expected the baselines of each seed, got none; move its run away"
        )
    names = next(iter(found.values()))
    return {name: _side_by_side([scores(rows[name]) for rows in found.values()]) for name in names}


def _different_protocols(settings: Mapping[str, Protocol]) -> list[str]:
    """Report variants that were evaluated differently from the first, so baselines differ too."""
    from pymim.io.protocol import difference

    (first, its), *others = settings.items()
    found = {name: difference(its, each) for name, each in others}
    return [
        f"{name} was evaluated differently from {first}: {what}"
        for name, what in found.items()
        if what
    ]


def _side_by_side(found: Sequence[dict[str, float]]) -> Scores:
    measures = dict.fromkeys(measure for each in found for measure in each)
    return {measure: [each[measure] for each in found if measure in each] for measure in measures}


def main(words: list[str] | None = None) -> None:
    """Compare the variants of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pymim.compare",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("variants", nargs="+", metavar="'NAME: FILE... BINDING...'")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    _add_common(parser)
    given = parser.parse_args(words)
    try:
        variants = named(given.variants)
    except ConfigError as error:
        print(f"pymim: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(error.exit_code) from None
    show(variants, given)


def named(given: Sequence[str]) -> dict[str, list[str]]:
    """Split each 'NAME: FILE... BINDING...'.

    Raises: ConfigError if a name or the words are missing, or a name comes twice.
    """
    variants: dict[str, list[str]] = {}
    for variant in given:
        name, _, rest = variant.partition(":")
        if not rest.strip():
            raise ConfigError(
                f"compare: {variant!r}: expected 'NAME: FILE... BINDING...', got nothing after a "
                "colon; add a gin file"
            )
        if name.strip() in variants:
            raise ConfigError(
                f"compare: {name.strip()!r}: expected a different name for each variant, got this "
                "one twice; rename one"
            )
        variants[name.strip()] = shlex.split(rest)
    return variants


if __name__ == "__main__":
    main()
