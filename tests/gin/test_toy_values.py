"""Each value that a recipe takes from a toy has a source.

A toy is any included file that is not the recipe's own choice of model or data. A value of a toy
that a recipe does not override has effect without notice. `toy_values.txt` lists each one with its
source.
"""

import functools
import re
from collections import defaultdict
from pathlib import Path

import pytest

from pymim import config, stages
from pymim.config import written
from pymim.config.reads import reads
from pymim.config.references import leaves, macro_name

GIN = Path(__file__).parent.parent.parent / "gin"
RECIPES = sorted(path.stem for path in (GIN / "recipe").glob("*.gin"))
STAGED = {"scan/simclr": "scan"}  # what a recipe's stage takes
FOLDER = GIN / "recipe"
LIST = Path(__file__).with_name("toy_values.txt")
TOYS = {"model/mining.gin"}  # a part with values of a small run


def chosen(path):
    """Return the files of gin/model and gin/data that a recipe includes, also through others."""
    found = set()
    for name in re.findall(r"^include '(.*)'", path.read_text(), re.M):
        inner = next(
            place for place in (path.parent / name, GIN / name) if place.exists()
        ).resolve()
        if inner.parent != GIN:
            found |= {inner, *chosen(inner)}
    return found


def is_macros(value):
    """Whether a value is of macros alone, which are asked about by themselves."""
    parts = list(leaves(value))
    return bool(parts) and all(macro_name(part) is not None for part in parts)


def taken(name):
    """Map (file, name) to the value of each effective binding that a recipe takes from a toy."""
    recipe, _, stage = name.partition("/")
    path, own = FOLDER / f"{recipe}.gin", set()
    text = config.load([str(path)])
    mine = {path.resolve(), *chosen(path)}
    if stage:
        entry = stages.Stage.of(1, config.build("train.Trainer", "stages").files[0], Path("run"))
        passed = [
            *(word for word in entry.words if word not in entry.files),
            *stages.passed(entry, text, []),
        ]
        config.load(entry.files, passed)
        path, mine = GIN / entry.files[0], set()
        own = {binding.key for binding in written.on_line(passed)}
    last = {binding.key: binding for binding in written.in_file(path.resolve())}
    read = reads("train.Trainer")
    used = {
        (bound.scope, use.selector, name)
        for use, bounds in read.uses.items()
        for name, bound in bounds.items()
    }
    found = {}
    for key, binding in last.items():
        place = Path(binding.place).resolve()
        file = str(place.relative_to(GIN)) if place.is_relative_to(GIN) else place.name
        apart = place not in mine or file in TOYS
        effective = binding.name in read.macros if binding.is_macro else key in used
        if (
            key not in own
            and apart
            and place.parent.name != "recipe"
            and effective
            and not is_macros(binding.value)
        ):
            found[file, binding.name] = repr(binding.value)
    return found


@functools.cache
def every():
    return {name: taken(name) for name in [*RECIPES, *STAGED]}


def listed():
    """What the list has: (file, binding, value) to the recipes that take it, and to its source."""
    found, file, who, source = {}, "", [], ""
    for line in LIST.read_text().replace("\n    ", " ").splitlines():
        if match := re.fullmatch(r"\[(.*)\]", line):
            file = match[1]
        elif match := re.fullmatch(r"  (\S+) = (.*)", line):
            key = (file, *match.groups())
            assert key not in found, f"{line}: listed twice in [{file}]"
            found[key] = who, source
        elif match := re.fullmatch(r"([^#:]+): (.+)", line):
            who, source = match[1].split(), match[2]
        else:
            assert not line or line.startswith("#"), (
                f"{line!r}: neither [file], recipes: source, nor a binding"
            )
    return found


@pytest.mark.parametrize("name", [*RECIPES, *STAGED])
def test_what_a_recipe_takes_from_a_toy_has_a_source(name):
    sources = listed()
    wanting = []
    for (file, binding), value in every()[name].items():
        who, source = sources.get((file, binding, value), ((), ""))
        if not source or ("*" not in who and name not in who):
            wanting.append(
                f"{name}: {binding} = {value} is from {file}; "
                f"override it, or name its source in {LIST.name}"
            )
    assert not wanting, "\n".join(wanting)


def test_nothing_is_listed_that_no_recipe_takes():
    takers = defaultdict(set)
    for name, found in every().items():
        for (file, binding), value in found.items():
            takers[file, binding, value].add(name)
    stale = {key: set(who) - takers[key] - {"*"} for key, (who, _) in listed().items()}
    assert not {key: names for key, names in stale.items() if names}
    assert not {key for key in listed() if not takers[key]}


def test_a_star_is_for_what_is_no_methods_own():
    assert {file for (file, *_), (who, _) in listed().items() if "*" in who} == {"base.gin"}


def test_a_value_that_goes_through_in_silence_is_found(monkeypatch, tmp_path):
    """The crop of a small run in the recipe of a large one, as it once was."""
    folder = tmp_path / "gin/recipe"
    folder.mkdir(parents=True)
    text = (GIN / "recipe/sigma.gin").read_text().replace("include '../data/scaled.gin'\n", "")
    text = re.sub(r"\ndata\.Clip\.short.*?(?=\noptim\.AdamW)", "", text, flags=re.DOTALL)
    (folder / "crops.gin").write_text(text.replace("'../sigma.gin'", f"'{GIN}/sigma.gin'"))
    monkeypatch.setitem(taken.__globals__, "FOLDER", folder)
    found = taken("crops")
    assert found["mae_video.gin", "views.Pretrain.scale"] == "(0.5, 1.0)"
    assert ("mae_video.gin", "views.Pretrain.scale", "(0.5, 1.0)") not in listed()
