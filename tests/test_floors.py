"""The floors of the library: who may import whom. An import for type checkers alone is none."""

import ast

import pytest

from tests.sources import LIBRARY, ROOT, imports_at_run_time, module_of, name_of, tree

GROUND = {
    "errors",
    "checks",
    "contracts",
    "schedule",
    "world",
    "precision",
    "peers",
    "meeting",
    "measures",
    "parts",
    "philox",
    "tables",
    "signals",
    "endings",
    "children",
}
SLOTS = {
    *(
        "masks",
        "views",
        "encoders",
        "targets",
        "predictors",
        "losses",
        "rankers",
        "clusters",
        "layers",
        "data",
    ),
}
# What holds the slots together, runs them and looks at them.
ABOVE = {
    *(
        "method",
        "objective",
        "forward",
        "train",
        "run",
        "__main__",
        "evaluate",
        "explain",
        "compare",
        "probing",
        "io",
        "loop",
        "draw",
    ),
    *("config", "bench", "stages", "making", "resume", "tune", "announce", "docs"),
}
WRITES = {
    *(
        "print",
        "open",
        "write",
        "write_text",
        "write_bytes",
        "mkdir",
        "savefig",
        "save",
        "save_file",
        "dump",
    ),
    *("unlink", "rename", "replace_file", "touch", "makedirs"),
}
MODULES = {module_of(path): path for path in LIBRARY}


def within(path):
    """The modules of the library that a file imports."""
    found = {name for name in imports_at_run_time(path) if name.split(".")[0] == "pymim"}
    whole = {name for name in found if name in MODULES}
    # `from package import module` imports the module, and the package only for its names.
    return {name for name in whole if not any(other.startswith(f"{name}.") for other in whole)} - {
        module_of(path)
    }


def floor(module):
    return module.split(".")[1] if "." in module else module


def floors_of(path):
    return {floor(name) for name in within(path)} - {floor(module_of(path)), "pymim"}


def files(*floors):
    return [path for name, path in MODULES.items() if floor(name) in floors]


def circle(graph):
    """Some names that lead back to the first of them, or none."""
    done = set()

    def walk(name, trail):
        if name in trail:
            return trail[trail.index(name) :]
        if name in done:
            return []
        found = next(
            (c for other in sorted(graph.get(name, ())) if (c := walk(other, [*trail, name]))), []
        )
        done.add(name)
        return found

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def test_every_part_of_the_library_has_a_floor():
    known = GROUND | SLOTS | ABOVE | {"ops", "optim", "probes", "compatible", "pymim"}
    assert {floor(name) for name in MODULES} <= known


def test_contracts_import_nothing_but_errors():
    assert not [name_of(path) for path in files("contracts") if floors_of(path) - {"errors"}]


@pytest.mark.parametrize("name", sorted(GROUND))
def test_the_ground_stands_on_nothing_else(name):
    assert files(name)
    assert not [name_of(path) for path in files(name) if floors_of(path) - GROUND]


@pytest.mark.parametrize("slot", sorted(SLOTS | {"ops", "optim", "probes"}))
def test_slots_know_nothing_of_what_is_above_them(slot):
    assert not [
        (name_of(path), found) for path in files(slot) if (found := floors_of(path) & ABOVE)
    ]


def test_nothing_imports_what_runs_it():
    """A method knows no trainer, and a trainer no command line; benchmarks time both."""
    for above, below in (
        ("train", ("method", "objective", "forward", "io", "loop")),
        ("run", ("train", "evaluate")),
    ):
        assert not [name_of(path) for path in files(*below) if above in floors_of(path)]


def test_only_ops_import_the_core():
    core = [
        p for p in LIBRARY if any(name.startswith("pymim._core") for name in imports_at_run_time(p))
    ]
    assert not [name_of(path) for path in core if not path.is_relative_to(ROOT / "pymim/ops")]


def test_no_circle_of_imports():
    floors = {}
    for path in LIBRARY:
        floors.setdefault(floor(module_of(path)), set()).update(floors_of(path))
    assert not circle(floors)
    assert not circle({name: within(path) for name, path in MODULES.items()})


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d"]
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("slot", sorted(SLOTS - {"data"} | {"optim"}))
def test_slots_write_no_files_and_print_nothing(slot):
    calls = [
        (name_of(path), node.lineno)
        for path in files(slot)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in WRITES
    ]
    assert not calls


def test_a_stem_of_ops_is_a_file_or_a_folder():
    """Never siblings with a prefix: what belongs to a stem is in its folder."""
    entries = [path for path in (ROOT / "pymim/ops").iterdir() if not path.name.startswith("__")]
    stems = [path.stem for path in entries]
    assert len(stems) == len(set(stems))
    assert not [(stem, other) for stem in stems for other in stems if other.startswith(f"{stem}_")]
