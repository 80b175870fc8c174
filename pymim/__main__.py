"""The command `pymim`, and python -m pymim: python -m pymim.run, which hears Ctrl-C before it imports torch."""

from __future__ import annotations

import sys

from pymim import endings, signals


def main() -> int:
    """Run the command that the process was started with; give its exit code."""
    signals.begin()
    endings.quiet_torch()
    from pymim import run

    code = run.main()
    signals.end()
    return code


if __name__ == "__main__":
    sys.exit(main())
