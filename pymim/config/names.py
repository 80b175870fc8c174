"""What a binding may name: the components of pymim, written `package.Class`."""

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
    """List the modules that a binding may name as they stand."""
    present = {module.name for module in pkgutil.iter_modules(pymim.__path__)}
    return [name for name in (*_ROOTS, *_PACKAGES) if name in present]


def offering() -> tuple[str, ...]:
    """List the packages and modules whose components any gin file may name."""
    return (*_ROOTS, *_PACKAGES, "layers", "objective")


def imports() -> str:
    """Give the gin lines that import them."""
    return HEADER + "".join(f"from pymim import {name}\n" for name in importable())


def components() -> list[str]:
    """List the class names in them."""
    modules = [importlib.import_module(f"pymim.{name}") for name in importable()]
    return sorted({name for module in modules for name in dir(module) if name[0].isupper()})


def shown(selector: str) -> str:
    """Write a full selector as gin files do: pymim.masks.Uniform as masks.Uniform."""
    return selector.removeprefix("pymim.")


def short(selector: str) -> str:
    """Drop the modules of a selector."""
    return selector.rsplit(".", 1)[-1]
