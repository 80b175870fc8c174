"""Evaluations during a run change no weights, whatever wraps the method."""

import functools

import pytest
import torch
from torch import nn

from pymim import losses, targets
from pymim.io import Folder
from pymim.loop.wrap import synchronise_norms
from pymim.method import Method
from pymim.objective import Objective
from pymim.probes import FineTune
from tests.targets.runs import trainer as clustering
from tests.test_train import TINY, trainer


def fine_tunes(run, folder, step):
    """Train a copy of the encoder, as the fine-tuning probe does."""
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(step))
    before = [parameter.clone() for parameter in run.encoder.parameters()]
    model = FineTune(4, steps=2, rate=0.1)._train(run.encoder, images, torch.arange(8) % 2)
    moved = [
        not torch.equal(*both) for both in zip(before, model.encoder.parameters(), strict=True)
    ]
    assert sum(moved) > 0.7 * len(moved), (
        "the copy's own blocks learn (the mask token has no gradient)"
    )


@pytest.fixture
def compiled(monkeypatch):
    """Compile without making machine code, which takes long: run what is traced as it is."""
    monkeypatch.setattr(
        Method, "compile", lambda method: nn.Module.compile(method, backend="eager")
    )


WRAPS = {
    "none": {},
    "micro": {"micro": 4},
    "recompute": {"recompute": True},
    "average": {"average": 0.9, "recompute": True},
    "compile": {"compile": True},
}


def all_tensors(run):
    """Weights, buffers and what the optimiser remembers of each."""
    found = dict(run.state.state_dict())
    for name, parameter in run.state.named_parameters():
        found |= {f"{name}, {key}": value for key, value in run.stepper.state[parameter].items()}
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def assert_callbacks_change_nothing(make, folder):
    plain, evaluated = make(), make(evaluate=fine_tunes, evaluate_every=4)
    for name, run in (("plain", plain), ("evaluated", evaluated)):
        torch._dynamo.reset()  # it traces only a few objects of one class: forget earlier ones
        began = [parameter.clone() for parameter in run.method.encoder.parameters()]
        run.run(Folder(folder / name))
        moved = [
            not torch.equal(*both)
            for both in zip(began, run.method.encoder.parameters(), strict=True)
        ]
        assert sum(moved) > len(moved) / 2
        assert not [
            name for name, parameter in run.method.named_parameters() if parameter.grad is not None
        ]
    first, second = all_tensors(plain), all_tensors(evaluated)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("wrap", WRAPS)
def test_weights_are_the_same_with_and_without_an_evaluation(wrap, compiled, tmp_path):
    assert_callbacks_change_nothing(functools.partial(trainer, steps=12, **WRAPS[wrap]), tmp_path)


def synchronised(**options):
    """Make a run with SyncBatchNorm, as on GPUs; in one process it works on CPUs too."""
    run = clustering(steps=12, **options)
    synchronise_norms(run.method)
    assert any(isinstance(part, nn.SyncBatchNorm) for part in run.method.encoder.modules())
    return run


@pytest.mark.parametrize("options", [{}, {"micro": 4}], ids=str)
def test_synchronised_norms_change_nothing_either(options, tmp_path):
    assert_callbacks_change_nothing(functools.partial(synchronised, **options), tmp_path)


class Back(torch.autograd.Function):
    """The same; backwards it makes a product of float32, whose type is what it is made in."""

    @staticmethod
    def forward(ctx, values, made):
        ctx.made = made
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.made.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return gradient, None


class GoesBack(losses.MSE):
    def __init__(self):
        self.made = []

    def __call__(self, prediction, target):
        return Back.apply(super().__call__(prediction, target), self.made)


def test_gradients_of_float32_values_are_float32(tmp_path):
    loss = GoesBack()
    run = trainer([Objective(targets.Pixels, TINY, loss)], precision="bf16", steps=1)
    run.run(Folder(tmp_path))
    assert loss.made == [torch.float32]
