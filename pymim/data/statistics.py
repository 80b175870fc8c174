"""Print the mean and standard deviation of each channel of DATA, as a line of gin."""

from __future__ import annotations

import argparse
import sys

from pymim.data.channel_statistics import statistics
from pymim.data.opening import training_set
from pymim.errors import PymimError


def main(words: list[str] | None = None) -> int:
    """Measure the data that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pymim.data.statistics", description=__doc__)
    parser.add_argument("data", help="a folder, a file, or embedded data: what DATA takes")
    parser.add_argument("channels", nargs="?", type=int, default=3, help="of every picture (3)")
    given = parser.parse_args(words)
    try:
        print(f"STATISTICS = {statistics(training_set(given.data, given.channels))}")  # noqa: T201
    except PymimError as error:
        print(f"pymim: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
