"""Find gin files, parse them, build what they describe, and refuse errors in one line.

gin binds any argument of anything it can import. It does not complain about a scope that no
component uses, or a macro that nothing reads. This package reads a configuration as a tree with one
root. It checks every name, type and bracket when the file is parsed. After the build it checks that
each binding of the command line and of the last file had an effect.
"""

from pymim.config.catalogue import FAMILIES, FOLDERS, describe_shipped, shipped
from pymim.config.differ import bindings, changed
from pymim.config.files import find
from pymim.config.graph import graph
from pymim.config.line import flags
from pymim.config.messages import own_text
from pymim.config.parse import add, build, load, operative, parts, value
from pymim.config.reads import reads
from pymim.config.trust import trust_flag, trusting
from pymim.config.used import check_used, repeated
from pymim.config.whole import paths, sources, whole

__all__ = [
    "FAMILIES",
    "FOLDERS",
    "add",
    "bindings",
    "build",
    "changed",
    "check_used",
    "describe_shipped",
    "find",
    "flags",
    "graph",
    "load",
    "operative",
    "own_text",
    "parts",
    "paths",
    "reads",
    "repeated",
    "shipped",
    "sources",
    "trust_flag",
    "trusting",
    "value",
    "whole",
]
