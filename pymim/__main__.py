"""The command `pymim`, and python -m pymim: pymim.run, with signals handled before torch loads."""

from __future__ import annotations

import sys

from pymim import endings, signals


def main() -> int:
    """Run the command line of this process; return its exit code."""
    signals.begin()
    endings.quiet_torch()
    from pymim import run

    code = run.main()
    signals.end()
    return code


if __name__ == "__main__":
    sys.exit(main())
