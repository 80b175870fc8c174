"""@X is a constructor, @X() an object: the annotation of a slot says which it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from torch import Tensor, nn

from pymim import config
from pymim.config.brackets import complaint, kinds
from pymim.config.hints import UNKNOWN, hint
from pymim.config.references import macro_name, references, written
from pymim.config.written import loaded
from pymim.errors import ConfigError
from pymim.run import main

GIN = Path(__file__).parents[2] / "gin"
FILES = sorted(
    str(path) for path in [*GIN.glob("*.gin"), *GIN.glob("recipe/*.gin")] if path.stem != "base"
)


class Answer(NamedTuple):
    values: Tensor


class Judge(Protocol):
    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor: ...


class Maker(Protocol):
    def __call__(self, encoder: nn.Module) -> nn.Module: ...


class Ordering(Protocol):
    steps: int

    def __call__(self, of: nn.Module) -> nn.Module: ...


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Callable[..., nn.Module], {"constructor"}),
        (Callable[[nn.Module], nn.Module], {"constructor"}),
        (Callable[..., Any], {"constructor"}),
        (Callable, {"constructor"}),
        (type[nn.Module], {"constructor"}),
        (Callable[[nn.Module], nn.Module] | None, {"constructor"}),
        (Maker, {"constructor"}),
        (Callable[[Tensor, Tensor], Tensor], {"callable"}),
        (Callable[[int, int], float], {"callable"}),
        (Callable[..., None], {"callable"}),
        (Callable[[nn.Module], list[Tensor]], {"callable"}),
        (Callable[[nn.Module], Answer], {"callable"}),
        (Callable[[Tensor], nn.Module], {"callable"}),
        (Judge, {"callable"}),
        (float | Callable[[int, int], float], {"literal", "callable"}),
        (nn.Module, {"object"}),
        (Ordering, {"object"}),
        (Sequence[nn.Module], {"object"}),
        (str | Path | Callable[..., nn.Module], {"literal", "constructor"}),
        (UNKNOWN, {"either"}),
    ],
)
def test_an_annotation_says_what_its_slot_takes(annotation, expected):
    assert kinds(annotation) == expected


def slots(file):
    """Yield each reference's slot, the slot's value with the wrong bracket, and the right value."""
    config.load([file])
    for binding in loaded():
        for reference in references(binding.value):
            if macro_name(reference) is None:
                wrong = written(reference, not reference.evaluate)
                value = f"({wrong},)" if isinstance(binding.value, tuple) else wrong
                yield _name(binding), value, written(reference, reference.evaluate)


def _name(binding):
    scope = f"{binding.scope}/" if binding.scope and not binding.is_macro else ""
    name = binding.selector.removeprefix("pymim.")
    return binding.scope if binding.is_macro else f"{scope}{name}.{binding.argument}"


@pytest.mark.parametrize("file", FILES)
def test_the_wrong_bracket_is_refused_in_every_slot(file):
    found = list(slots(file))
    assert len(found) > 10
    for name, wrong, right in found:
        with pytest.raises(ConfigError, match=r"^.*: expected .*, got .*; write @\S*$") as error:
            config.load([file], [f"{name}={wrong}"])
        assert str(error.value).endswith(f"; write {right}")


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (
            "method.Objective.target=@targets.Pixels()",
            "Objective.target: expected a constructor, got an object, @targets.Pixels(); "
            "write @targets.Pixels",
        ),
        (
            "method.Objective.loss=@losses.MSE",
            "method.Objective.loss: expected an object, got a constructor, @losses.MSE; "
            "write @losses.MSE()",
        ),
        ("Method.encoder=@encoders.ViT", "; write @encoders.ViT()"),
        ("Method.mask=@fine/masks.Uniform", "; write @fine/masks.Uniform()"),
        ("Trainer.optimizer=@optim.AdamW", "; write @optim.AdamW()"),
        ("Trainer.data=@data.Loader()", "; write @data.Loader"),
        ("data.Loader.views=(@views.Pretrain,)", "; write @views.Pretrain()"),
        ("data.Loader.views=@views.MultiCrop", "; write @views.MultiCrop()"),
        ("evaluate.Evaluation.probes=(@probes.KNN, @probes.Linear())", "; write @probes.KNN()"),
        (
            "STATISTICS=@data.measured",
            "got a constructor, @data.measured (by STATISTICS); write @data.measured()",
        ),
        ("DATA=@data.Digits()", "; write @data.Digits"),
    ],
)
def test_the_wrong_bracket_ends_a_run_in_one_line(binding, message, capsys, tmp_path):
    assert main(["--gin", "gin/mae.gin", "-b", binding, "--workdir", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err.strip()
    assert message in shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "run").exists()


MINE = """
from __future__ import annotations
from typing import TYPE_CHECKING
from contextlib import nullcontext
from collections.abc import Callable
import torch
from torch import Tensor, nn
if TYPE_CHECKING:
    from pymim.contracts import Encoder
    from nowhere import Nothing

class Slots:
    def __init__(
        self,
        loss: Callable[[Tensor, Tensor], Tensor] = None,
        make: Callable[[Encoder], nn.Module] = None,
        bare=None,
        lost: Nothing = None,
        encoder: Encoder = None,
        anything: "Callable[..., Nothing]" = None,
    ):
        pass

class Square:
    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target) ** 2

class Factory:
    def __call__(self, encoder: Encoder) -> nn.Module:
        return nn.Identity()

def square(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target) ** 2

def loss() -> Callable[[Tensor, Tensor], Tensor]:
    return square

def new_loss() -> Square:
    return Square()

def target(encoder: Encoder) -> nn.Module:
    return nn.Identity()

def untyped(a, b):
    return a
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's own module."""
    (tmp_path / "mine_brackets.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("slot", "value", "fits"),
    [
        ("loss", "@mine_brackets.Square()", True),
        ("loss", "@mine_brackets.Square", False),
        ("loss", "@mine_brackets.square", True),  # a function is a loss as it stands
        ("loss", "@mine_brackets.square()", False),
        ("loss", "@mine_brackets.loss()", True),
        ("loss", "@mine_brackets.loss", False),
        ("loss", "@mine_brackets.new_loss()", True),
        ("loss", "@mine_brackets.new_loss", False),
        ("loss", "@mine_brackets.untyped", True),
        ("loss", "@mine_brackets.untyped()", True),
        ("make", "@mine_brackets.target", True),
        ("make", "@mine_brackets.target()", False),
        ("make", "@mine_brackets.Factory()", True),  # an object that makes one
        ("make", "@mine_brackets.Square()", False),
        ("bare", "@mine_brackets.Square", True),
        ("bare", "@mine_brackets.Square()", True),
        ("lost", "@mine_brackets.Square", True),
        ("encoder", "@mine_brackets.Square", False),
        ("anything", "@mine_brackets.Square()", True),
    ],
)
def test_functions_and_a_user_s_own_classes(slot, value, fits, mine):
    file = mine / "mine.gin"
    lines = ["from __gin__ import dynamic_registration", "import mine_brackets"]
    file.write_text("\n".join([*lines, f"mine_brackets.Slots.{slot} = {value}", ""]))
    with (
        nullcontext() if fits else pytest.raises(ConfigError, match=f"Slots.{slot}: expected"),
        config.trusting(),
    ):
        assert config.load([str(file)])


def test_names_for_type_checkers_alone_are_found(mine):
    import mine_brackets

    from pymim.contracts import Encoder

    assert hint(mine_brackets.Slots, "make") == Callable[[Encoder], nn.Module]
    assert hint(mine_brackets.Slots, "encoder") is Encoder
    assert hint(mine_brackets.Slots, "lost") is UNKNOWN  # its module cannot be imported
    assert hint(mine_brackets.Slots, "bare") is UNKNOWN


def test_items_of_a_container_are_checked_by_its_annotation():
    config.load(["gin/mae.gin"])
    views = config.value("data.Loader", "views", None)
    assert complaint(views, Iterable[Judge]) is None
    assert complaint(views, Sequence[Maker]).endswith("; write @views.Pretrain")
    assert complaint({"one": views[0]}, dict[str, Maker]).endswith("; write @views.Pretrain")
    assert complaint(views, Iterable[Judge] | None) is None
    assert complaint(list(views), list) is None
