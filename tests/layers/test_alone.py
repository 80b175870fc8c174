"""What one process trains by itself waits for no other."""

import json

import pytest
import torch
from torch import nn

from pymim.encoders import ResNet
from pymim.layers.alone import Norm, alone
from pymim.loop.wrap import synchronise_norms
from pymim.probes import FineTune
from tests.launch import one_of_two


def made():
    torch.manual_seed(0)
    return ResNet((1, 1), dim=8, stem="small", image=8)


@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3}]
)
@pytest.mark.parametrize(
    ("kind", "sides"), [(nn.BatchNorm1d, ()), (nn.BatchNorm2d, (5, 5)), (nn.BatchNorm3d, (2,) * 3)]
)
def test_a_copy_has_plain_norms_that_do_what_torch_s_do(kind, sides, options):
    values = torch.randn(6, 4, *sides, generator=torch.Generator().manual_seed(0))
    plain = nn.Sequential(kind(4, **options), nn.Conv1d(1, 1, 1))
    plain[0](values)
    module = nn.Sequential(kind(4, **options), nn.Conv1d(1, 1, 1))
    module.load_state_dict(plain.state_dict())
    synchronise_norms(module)
    ours = alone(module)
    assert type(ours[0]) is Norm and type(module[0]) is nn.SyncBatchNorm and module[0].training
    assert ours.state_dict().keys() == plain.state_dict().keys()
    for training in (True, False):
        torch.testing.assert_close(
            ours.train(training)[0](values), plain.train(training)[0](values)
        )
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    assert not any(p is q for p in ours.parameters() for q in module.parameters())


def test_a_lone_norm_and_its_input():
    assert (
        type(alone(nn.SyncBatchNorm(3))) is Norm
        and alone(nn.SyncBatchNorm(3).eval()).training is False
    )
    with pytest.raises(
        ValueError, match="Norm: input: expected at least 2 axes, got 1; add a batch axis"
    ):
        Norm(3)(torch.ones(3))


def tune(encoder):
    labels = torch.arange(40) % 2
    images = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + labels.view(
        -1, 1, 1, 1
    )
    return FineTune(labels_per_class=20, steps=3, batch=8)(encoder, images, labels, images, labels)


def tune_on_the_first(rank, folder):
    with one_of_two(rank, folder):
        encoder = made()
        synchronise_norms(encoder)
        wrapped = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(2, 2)))
        if rank == 0:  # the other is elsewhere: whatever waits for it waits for ever
            kinds = [type(part) for part in alone(encoder).modules()]
            inner = alone(wrapped)
            inner(torch.ones(1, 2)).sum().backward()
            found = {
                "accuracy": tune(encoder),
                "synced": kinds.count(nn.SyncBatchNorm),
                "norms": kinds.count(Norm),
            }
            (folder / "found.json").write_text(json.dumps({**found, "inner": type(inner).__name__}))


def test_one_process_of_two_fine_tunes_what_holds_the_norms_of_all(tmp_path):
    torch.multiprocessing.spawn(tune_on_the_first, (tmp_path,), nprocs=2)
    found = json.loads((tmp_path / "found.json").read_text())
    norms = [type(part) for part in made().modules()].count(nn.BatchNorm2d)
    assert found == {"accuracy": tune(made()), "synced": 0, "norms": norms, "inner": "Sequential"}
