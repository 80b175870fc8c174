"""List the components that a binding may name, written as `package.Class`."""

from __future__ import annotations

import importlib
import pkgutil

import pymim

HEADER = "from __gin__ import dynamic_registration\n"

# The packages and modules that a binding on the command line may name without importing them.
_ROOTS = ("train", "method", "evaluate", "schedule", "stages", "tune")
_PACKAGES = (
    "clusters",
    "data",
    "draw",
    "encoders",
    "loop",
    "losses",
    "masks",
    "optim",
    "predictors",
    "probes",
    "rankers",
    "targets",
    "views",
)


def importable() -> list[str]:
    """List the modules that the command line may name without an import."""
    present = {module.name for module in pkgutil.iter_modules(pymim.__path__)}
    return [name for name in (*_ROOTS, *_PACKAGES) if name in present]


def offering() -> tuple[str, ...]:
    """List the modules that hold components which any gin file may name."""
    return (*_ROOTS, *_PACKAGES, "layers", "objective")


def imports() -> str:
    """Give the gin lines that import the modules of `importable`."""
    return HEADER + "".join(f"from pymim import {name}\n" for name in importable())


def components() -> list[str]:
    """List the names of all classes in the modules of `importable`."""
    modules = [importlib.import_module(f"pymim.{name}") for name in importable()]
    return sorted({name for module in modules for name in dir(module) if name[0].isupper()})


def shown(selector: str) -> str:
    """Write a full selector as gin files do: pymim.masks.Uniform as masks.Uniform."""
    return selector.removeprefix("pymim.")


def short(selector: str) -> str:
    """Drop the modules from a selector."""
    return selector.rsplit(".", 1)[-1]
