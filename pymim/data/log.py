"""The logger of sources and loader; file names in its messages are made printable."""

from __future__ import annotations

import logging

from pymim.errors import printable


def _printable(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True


log = logging.getLogger("pymim.data")
log.addFilter(_printable)
