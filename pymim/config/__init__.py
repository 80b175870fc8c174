"""Gin files: find them, parse them, build what they describe, and refuse what is wrong in one line.

gin binds anything anywhere and says nothing of a scope that no component has, nor of a macro that
nothing reads. This package puts a tree with one root over it: every name, type and bracket is checked
when it is parsed, and after the build every binding of the command line and of the last file must have
had an effect.
"""

from pymim.config.catalogue import FAMILIES, FOLDERS, describe_shipped, shipped
from pymim.config.differ import bindings, changed
from pymim.config.files import find
from pymim.config.graph import graph
from pymim.config.line import flags
from pymim.config.messages import told
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
    "parts",
    "paths",
    "reads",
    "repeated",
    "shipped",
    "sources",
    "told",
    "trust_flag",
    "trusting",
    "value",
    "whole",
]
