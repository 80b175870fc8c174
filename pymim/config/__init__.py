"""Gin files: find them, parse them, build what they describe, and refuse what is wrong with one clear line.

gin binds anything anywhere and says nothing of a scope that no component has; this package puts a tree with one
root over it: every name and value is checked when it is parsed, and after the build every binding of the command
line and of the last file must have been used.
"""

from pymim.config.audit import check_used
from pymim.config.files import describe_shipped, find
from pymim.config.graph import graph
from pymim.config.parse import build, load, operative, parts, value
from pymim.config.words import flags, told

__all__ = [
    "build",
    "check_used",
    "describe_shipped",
    "find",
    "flags",
    "graph",
    "load",
    "operative",
    "parts",
    "told",
    "value",
]
