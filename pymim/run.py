"""python -m pymim.run --gin gin/mae.gin: parse, build, train, evaluate, draw.

Exit codes: 0 done; 2 bad command line or configuration; 3 loss or gradients not finite; 4 data;
5 out of memory; 6 a file could not be written; 7 another process of the run is gone; 75 stopped by
a signal after saving (start it again); 130 interrupted, after saving; 1 anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pymim import endings, signals

if __name__ == "__main__":
    signals.begin()  # before what takes a second to import
    endings.quiet_torch()

from pymim import announce, children, config, resume, stages, world
from pymim.data import channel_statistics
from pymim.errors import ConfigError, OutOfMemory, PymimError, Unwritable, is_memory
from pymim.io import Folder, history, measured
from pymim.io.lock import Lock
from pymim.loop import memory
from pymim.precision import computing

if TYPE_CHECKING:
    from pymim.train import Trainer

ROOT = "train.Trainer"


class Parser(argparse.ArgumentParser):
    """Parse arguments; end with one line and exit code 2 where they are wrong."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see --help")


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; --gin.NAME=VALUE is short for -b 'NAME=VALUE'."""
    parser = Parser(
        prog="pymim",
        description=__doc__,
        epilog="Also: pymim export RUN --to DIR; pymim docs [DIR].",
        allow_abbrev=False,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--gin",
        "--gin_file",
        action="append",
        default=[],
        metavar="FILE",
        help="a gin file; repeat, the last wins",
    )
    add(
        "-b",
        "--gin_bindings",
        "--gin_param",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        dest="bindings",
    )
    add("--workdir", type=Path, help="the run's folder (default: runs/<name of the gin file>)")
    add(
        "--resume",
        default="never",
        metavar="auto|never|PATH",
        help="go on from the newest checkpoint, or from PATH",
    )
    add("--mode", choices=("train", "eval", "draw", "explain"), default="train")
    add("--trust", action="store_true", help="let gin files run code that is not pymim's")
    add("--list", action="store_true", help="name every shipped configuration")
    add("-v", "--verbose", action="store_true", help="show tracebacks")
    args, rest = parser.parse_known_args(argv)
    for word in rest:
        if not (word.startswith("--gin.") and "=" in word):
            known = [option for action in parser._actions for option in action.option_strings]
            close = difflib.get_close_matches(word.split("=")[0], known, n=1)
            raise ConfigError(
                f"{word}: no such option"
                + (f"; did you mean {close[0]}?" if close else "; see --help")
            )
        args.bindings.append(word.removeprefix("--gin."))
    return args


def main(argv: list[str] | None = None) -> int:
    """Run one command; give its exit code."""
    words = sys.argv[1:] if argv is None else argv
    children.follow_parent()
    ending = endings.DONE
    try:
        with signals.handled(), world.explained():
            return _command(words)
    except (Exception, KeyboardInterrupt, signals.Asked) as error:
        ending = endings.of(error)
        if not ending.known:
            raise
        if not getattr(error, "together", False) or _leads():
            line = config.own_text(error) if isinstance(error, PymimError) else ending.reason
            _complain(line, "-v" in words or "--verbose" in words)
        return ending.exit_code
    finally:
        world.World.leave(ending.exit_code, ending.reason)
        if world.is_broken():
            endings.at_once(ending.exit_code)


def _command(words: list[str]) -> int:
    if words[:1] == ["export"]:
        from pymim.io.export import main as export

        return export(words[1:])
    if words[:1] == ["docs"]:
        from pymim.docs import main as docs

        return docs(words[1:])
    args = parse(words)
    if args.list:
        announce.show("\n".join(config.describe_shipped()))
        return 0
    with config.trusting(args.trust):
        return run(args)


def run(args: argparse.Namespace) -> int:
    """Run one mode on one run's folder; give the exit code."""
    memory.keep()
    folder = Folder(args.workdir or _default_workdir(args))
    alone = args.mode == "train" and _leads()
    with Lock(folder.path) if alone else contextlib.nullcontext():
        return _run(args, folder)


def _run(args: argparse.Namespace, folder: Folder) -> int:
    channel_statistics.forget()
    resuming = args.resume != "never" or args.mode in ("eval", "draw")
    files = args.gin
    if not files and resuming and (folder / "config.gin").exists():
        files = [str(folder / "config.gin")]
    if not files:
        raise ConfigError("--gin: expected a gin file, got none; try --gin gin/mae.gin, or --list")
    training = args.mode == "train"
    if training:
        folder.refuse_another_run(args.resume != "never")
    text, taken = stages.load(files, args.bindings, folder.path, training, ROOT)
    if args.mode == "explain":
        return _explain(args, Path(files[-1]).stem, taken)
    text = measured.once(text, ROOT, folder / "config.gin")
    trainer = build()
    _check_used(args, taken, trainer.world.leads)
    if training:
        return _train(trainer, folder, text, args)
    step = resume.load(trainer, folder, args.resume, text)
    slot = "evaluate" if args.mode == "eval" else "draw"
    callback = getattr(trainer, slot)
    if callback is None:
        raise ConfigError(
            f"--mode {args.mode}: this configuration sets no train.Trainer.{slot}; add one"
        )
    announce.data(trainer)
    with computing(trainer.precision):
        trainer.world.led(lambda: getattr(callback, "again", callback)(trainer, folder, step))
    return 0


def _check_used(args: argparse.Namespace, taken: set[str], leads: bool = True) -> None:
    """Refuse bindings without effect, here or in a stage.

    A run's own config.gin was checked when the run began.
    """
    config.check_used(args.gin, args.bindings, ROOT, taken)
    for line in config.repeated(args.bindings) if leads else ():
        print(f"config: {line}", file=sys.stderr)  # noqa: T201


def build() -> Trainer:
    """Build the trainer; its seed draws the weights."""
    import torch

    torch.manual_seed(config.value(ROOT, "seed", 0))
    trainer: Trainer = config.build(ROOT)
    return trainer


def _train(trainer: Trainer, folder: Folder, text: str, args: argparse.Namespace) -> int:
    from pymim.loop import pieces

    # A run that was killed before its first checkpoint begins again.
    resuming = resume.goes_on(folder, args.resume)
    first = 0
    trainer.check(resuming)
    now = {"config": text, "operative_config": config.operative()}
    if trainer.world.leads:
        folder.create()
    if resuming:
        first = resume.restore(trainer, folder, args.resume, now)
    elif trainer.world.leads:
        history.write(folder, 0, {}, now)
    if trainer.world.leads:
        folder.describe_machine()
    announce.begins(trainer, folder, first)
    ending, advice = endings.DONE, pieces.advice(trainer)
    try:
        _record(trainer, folder, None)
        signals.at_once(lambda: _record(trainer, folder, endings.of(KeyboardInterrupt())))
        trainer.run(folder, first)
    except BaseException as error:
        known = OutOfMemory(advice) if is_memory(error) else error
        ending = endings.of(known)
        if known is error:
            raise
        raise known from error
    finally:
        _record(trainer, folder, ending)
    return 0


def _record(trainer: Trainer, folder: Folder, ending: endings.Ending | None) -> None:
    """Write how the run ended to status.json; remove the file while the run goes on."""
    if not trainer.world.leads:
        return
    with contextlib.suppress(
        OSError, Unwritable
    ):  # where the disk is full, why the run ended is said all the same
        (folder / "status.json").unlink(missing_ok=True)
        if ending is not None:
            folder.write_json(
                "status.json", {"exit_code": ending.exit_code, "reason": ending.reason}
            )


def _explain(args: argparse.Namespace, name: str, taken: set[str]) -> int:
    """Print the configuration's tree and draw it into NAME.svg, in --workdir if that is given."""
    import torch

    from pymim.draw.graph import svg
    from pymim.explain import example, measure, text
    from pymim.io.disk import write_whole

    with torch.device("meta"):
        views = config.parts("data.Loader", "views")
        method = config.build(ROOT, "method")
        if config.value(ROOT, "optimizer", None) is not None:
            config.build(ROOT, "optimizer").check(method)
        _check_used(args, taken)
        root = config.graph(ROOT)  # in the scopes that it was built in
        cost = measure(method, example(method, root, views), root)
    path = (args.workdir or Path()) / f"{name}.svg"
    write_whole(path, svg(root, cost, name))
    announce.show(f"{text(root, cost)}\n\ndrawn in {path}")
    return 0


def _default_workdir(args: argparse.Namespace) -> Path:
    """Choose runs/<name>, or the first free one of runs/<name>-2, -3, ...

    When resuming, choose the newest of them.
    """
    stem = Path(args.gin[-1]).stem if args.gin else "run"
    taken = [
        p
        for p in [Path("runs", stem), *(Path("runs", f"{stem}-{i}") for i in range(2, 1000))]
        if p.exists()
    ]
    if args.mode != "train" or args.resume != "never":
        return max(taken, key=lambda p: p.stat().st_mtime, default=Path("runs", stem))
    return Path("runs", f"{stem}-{len(taken) + 1}" if taken else stem)


def _leads() -> bool:  # also before it has met the others
    return os.environ.get("RANK", "0") == "0"


def _complain(message: str, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    print(f"pymim: {message}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    code = main()
    signals.end()
    sys.exit(code)
