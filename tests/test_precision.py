"""One place decides the precision of a run: of training, backward passes and probes."""

import pytest
import torch

from pymim import announce, losses, precision, targets, views
from pymim.clusters import Survey
from pymim.encoders import ViT
from pymim.errors import ConfigError
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.loop.callbacks import Callbacks
from pymim.objective import Objective
from pymim.probes import FineTune
from tests.test_train import TINY, trainer

IMAGES, LABELS = (
    torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
    torch.arange(24) % 3,
)


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


class Watched(ViT):
    """An encoder that notes what its blocks give."""

    def forward(self, *given):
        out = super().forward(*given)
        seen.append((out.tokens.requires_grad, probed(out.tokens), *flags()))
        if out.tokens.requires_grad:
            out.tokens.register_hook(lambda grad: backward.append(probed(grad)))
        return out


seen, backward = [], []


def probed(tokens):
    return (tokens.detach() @ tokens.detach().mT).dtype


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("bf16", torch.bfloat16), ("tf32", torch.float32), ("float32", torch.float32)],
)
def test_precision_holds_inside_the_block_only(name, dtype):
    before, ones = flags(), torch.ones(2, 2)
    with precision.computing(name):
        assert precision.current() == name and flags() == (name == "tf32",) * 2
        assert (ones @ ones).dtype == torch.float32  # of the forward pass alone
        with precision.autocast(torch.device("cpu")):
            assert (ones @ ones).dtype == dtype
        with precision.autocast(torch.device("cpu"), "float32"):
            assert (ones @ ones).dtype == torch.float32 and flags() == (False, False)
        assert precision.current() == name and flags() == (name == "tf32",) * 2
    assert flags() == before


@pytest.mark.parametrize(
    ("capability", "wanted"), [("AVX512", "bf16"), ("AVX2", "float32"), ("DEFAULT", "float32")]
)
def test_auto_is_bf16_unless_the_processor_emulates_it(capability, wanted, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert precision.chosen("auto", cpu) == wanted and precision.chosen("auto", cuda) == "bf16"
    assert [precision.chosen(name, cpu) for name in ("bf16", "tf32", "float32")] == [
        "bf16",
        "tf32",
        "float32",
    ]
    ones = torch.ones(2, 2)
    with precision.autocast(cpu):  # outside of a run
        assert (ones @ ones).dtype == (torch.bfloat16 if wanted == "bf16" else torch.float32)
    run = trainer([Objective(targets.Pixels, TINY, losses.MSE())], precision="auto", steps=1)
    assert run.precision == wanted


@pytest.mark.parametrize(("capability", "said"), [("AVX512", False), ("AVX2", True)])
def test_a_run_says_that_its_processor_emulates_bf16(
    capability, said, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    run = trainer([Objective(targets.Pixels, TINY, losses.MSE())], precision="bf16", steps=1)
    announce.begins(run, Folder(tmp_path), 0)
    assert (precision.EMULATED in capsys.readouterr().err) is said


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_probes_are_computed_as_the_run_is(name, dtype, tmp_path):
    tokens = []

    class Kept:
        name, takes = "kept", "tokens"

        def __call__(self, train, *_):
            tokens.append(train.dtype)
            return 0.0

    seen.clear()
    backward.clear()
    run = trainer([Objective(targets.Pixels, TINY, losses.MSE())], precision=name, steps=1)
    torch.manual_seed(0)
    run.untrained = Watched(16, 1, 2, image=8, patch=4)
    evaluation = Evaluation(
        "digits", views.Center(8), [Kept(), FineTune(steps=1)], train_images=30, test_images=20
    )
    run.callbacks = Callbacks(
        (lambda t, folder, step: evaluation.probe(t.untrained, [(IMAGES, LABELS)] * 2), 0)
    )
    run.run(Folder(tmp_path))
    assert tokens == [dtype] and backward == [torch.float32]
    assert {row[1:] for row in seen} == {(dtype, False, False)} and {row[0] for row in seen} == {
        True,
        False,
    }


@pytest.mark.parametrize(
    "make", [lambda wrong: Survey(precision=wrong), lambda wrong: trainer([], precision=wrong)]
)
def test_an_unknown_precision_is_refused(make):
    with pytest.raises(
        ConfigError,
        match="precision: expected one of auto, bf16, tf32, float32, got 'half'; name one of",
    ):
        make("half")


@pytest.mark.parametrize("loss", [losses.Contrast(), losses.Swapped(clusters=5)])
def test_float32_losses_have_float32_gradients(loss):
    """Autocast would also round products of a backward pass that is called inside it."""
    made = torch.randn(2, 6, 4, 8, generator=torch.Generator().manual_seed(0))
    if hasattr(loss, "build"):
        torch.manual_seed(0)
        loss.build(8, ViT(16, 1, 2, image=8, patch=4))
    grads = []
    for name in ("float32", "bf16"):
        prediction, target = (side.clone().requires_grad_() for side in made)
        with precision.autocast(torch.device("cpu"), name):
            total = loss(prediction, target).mean()
        total.backward()
        grads.append(prediction.grad)
    assert torch.equal(*grads) and grads[0].abs().max() > 0
