"""A codebook that follows its vectors: each step by hand, dead codes, and its start."""

import types

import pytest
import torch
import torch.nn.functional as F

from pymim.clusters import Codebook
from pymim.contracts import Tally
from pymim.encoders import Quantised, ViT
from pymim.errors import ConfigError
from pymim.layers.patch import patchify
from pymim.measures import usage
from tests.launch import one_of_two

VECTORS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
ANGLES = torch.linspace(0.1, 1.4, 8)
MANY = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def book(**options):
    made = Codebook(3, 2, 1, **{"decay": 0.75, "restart": 0, **options})
    made.codes.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    return made


def see(made, vectors=VECTORS, pixels=None):
    pixels = torch.arange(1.0, len(vectors) + 1)[:, None] if pixels is None else pixels
    return made(vectors[None], pixels[None])


def test_the_nearest_code_is_that_of_the_largest_cosine():
    made = book()
    codes, ids = see(made, 5 * VECTORS)
    assert ids.tolist() == [[0, 0, 1]]
    assert torch.equal(codes, made.codes[ids])


def test_a_code_moves_towards_the_direction_of_its_mean_and_others_stay():
    """unit(0.75 c + 0.25 unit(mean z)), as BEiT v2 releases it: counts make no difference."""
    made = book()
    before = made.codes.clone()
    see(made)
    made.after_step(None, 0)
    mean = F.normalize((VECTORS[0] + VECTORS[1]) / 2, dim=0)
    expected = F.normalize(0.75 * before[0] + 0.25 * mean, dim=0)
    torch.testing.assert_close(made.codes[0], expected)
    torch.testing.assert_close(made.codes[1:], before[1:])
    torch.testing.assert_close(made.codes.norm(dim=1), torch.ones(3))
    assert made.idle.tolist() == [0, 0, 1]


def test_pixels_of_a_code_are_a_mean_at_first_and_a_moving_average_later():
    made = book()
    for step, pixel in enumerate((4.0, 2.0, 0.0, 0.0, 0.0, 0.0)):
        see(made, VECTORS[:1], torch.tensor([[pixel]]))
        made.after_step(None, step)
        expected = (4.0, 3.0, 2.0, 1.5, 1.125, 0.84375)[
            step
        ]  # means of 1, 2, 3, 4; then times 0.75
        assert made.looks[0].item() == pytest.approx(expected)


def test_pieces_of_a_batch_are_one_batch():
    whole, pieces = book(restart=1), book(restart=1)
    see(whole)
    for row in range(3):
        see(pieces, VECTORS[row : row + 1], torch.tensor([[row + 1.0]]))
    for made in (whole, pieces):
        made.after_step(None, 7)
    for name, value in whole.named_buffers():
        torch.testing.assert_close(dict(pieces.named_buffers())[name], value)


def test_a_dead_code_restarts_from_a_vector_of_the_batch():
    made = book(restart=2)
    for step in range(2):
        see(made)
        made.after_step(None, step)
        assert torch.equal(made.codes[2], torch.tensor([-1.0, 0.0])) == (step == 0)
    assert made.idle.tolist() == [0, 0, 0] and made.used.tolist() == [2, 2, 0]
    row = int((VECTORS @ made.codes[2]).argmax())
    torch.testing.assert_close(made.codes[2], VECTORS[row])
    assert made.looks[2].item() == row + 1


def test_nothing_is_remembered_without_gradient_or_training():
    made = book()
    with torch.no_grad():
        see(made)
    see(made.eval())
    before = made.codes.clone()
    made.after_step(None, 0)
    assert torch.equal(made.codes, before) and not made.idle.any()


def small(**options):
    torch.manual_seed(0)
    trunk = ViT(16, 1, 2, image=(8, 12), patch=4, channels=2, class_token=False, pool="mean")
    return Quantised(trunk, **{"clusters": 5, "dim": 3, **options})


def test_tokens_are_codes_and_the_loss_is_of_the_codebook_before_it_moves():
    encoder, view = small(commitment=0.5), torch.randn(2, 2, 8, 12)
    features = encoder(view)
    z = F.normalize(encoder.project(encoder.trunk(view).tokens), dim=-1)
    ids = (z @ encoder.book.codes.T).argmax(-1)
    assert torch.equal(encoder.codes(features), ids)
    torch.testing.assert_close(features.tokens, encoder.book.codes[ids])
    expected = 0.5 * (z - encoder.book.codes[ids]).square().mean(-1)
    torch.testing.assert_close(features.losses["commitment"], expected)
    assert features.prefix.shape == (2, 0, 3) and encoder.dense


def test_the_gradient_passes_codes_as_if_they_were_vectors():
    encoder, view = small(commitment=0.0), torch.randn(2, 2, 8, 12)
    weight = torch.randn(2, 6, 3)
    (encoder(view).tokens * weight).sum().backward()
    through = encoder.project[2].weight.grad.clone()
    encoder.zero_grad()
    z = F.normalize(encoder.project(encoder.trunk(view).tokens), dim=-1)
    (z * weight).sum().backward()
    torch.testing.assert_close(encoder.project[2].weight.grad, through)
    assert not any(p is encoder.book.codes for p in encoder.parameters())


def run(encoder, view, step=0):
    batch = types.SimpleNamespace(views=[view], to=lambda device: batch)
    loader = types.SimpleNamespace(batches=lambda first, last: iter([batch]))
    world = types.SimpleNamespace(rank=0, size=1, group=None, heed=None, device=view.device)
    return types.SimpleNamespace(step=step, seed=0, loader=loader, world=world)


def test_codes_start_as_clusters_of_the_first_batch_once():
    encoder, view = small(), torch.randn(8, 2, 8, 12)
    before = encoder.book.codes.clone()
    encoder.eval().before_run(run(encoder, view))  # as a frozen teacher is
    assert torch.equal(encoder.book.codes, before)
    encoder.train().before_run(run(encoder, view))
    started = encoder.book.codes.clone()
    with torch.no_grad():
        ids = encoder.codes(encoder(view))
        z = F.normalize(encoder.project(encoder.trunk(view).tokens), dim=-1)
    for code in ids.unique().tolist():  # ten steps need not end where nothing moves
        mean = F.normalize(z[ids == code].mean(0), dim=0)
        assert mean @ started[code] > 0.95
    assert len(ids.unique()) > 1
    encoder.before_run(run(encoder, torch.randn(8, 2, 8, 12)))  # it begins with trained ones
    assert torch.equal(encoder.book.codes, started)


def test_pixels_are_those_of_the_patches_of_a_code():
    encoder, view = small(), torch.randn(2, 2, 8, 12)
    ids = encoder.codes(encoder(view))
    encoder.book.after_step(None, 0)
    patches = patchify(view, (4, 4), last=True)
    for code in ids.unique().tolist():
        mean = patches[ids == code].mean(0)
        torch.testing.assert_close(encoder.pixels(torch.tensor(code)), mean)


def test_a_run_is_told_how_codes_are_used():
    found = usage(torch.tensor([0, 0, 1, 3]), 8)
    assert all(isinstance(tally, Tally) for tally in found.values())
    assert found["used"].value.item() == pytest.approx(3 / 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 1}, "Codebook: clusters: expected a whole number, 2 or more, got 1"),
        ({"decay": 1.0}, "Codebook: decay: expected a share from 0 to below 1, got 1.0"),
        ({"dim": 0}, "Quantised: dim: expected a whole number, 1 or more, got 0"),
        ({"commitment": -1.0}, "Quantised: commitment: expected a number from 0 on, got -1.0"),
    ],
)
def test_it_refuses(options, message):
    with pytest.raises(ConfigError, match=message):
        small(**options)


def learnt_by_one_of_two(rank, folder):
    """Two steps of a process that sees every second vector; in both, a dead code restarts."""
    with one_of_two(rank, folder):
        made = book(restart=1)
        for step in range(2):
            see(made, MANY[rank::2], MANY[rank::2, :1])
            made.after_step(None, step)
            torch.save(dict(made.named_buffers()), f"{folder}/{step}-{rank}.pt")


def test_two_processes_have_one_codebook(tmp_path):
    torch.multiprocessing.spawn(learnt_by_one_of_two, (tmp_path,), nprocs=2)
    found = {path.stem: torch.load(path) for path in tmp_path.glob("*.pt")}
    for step in range(2):
        for name, value in found[f"{step}-0"].items():
            assert torch.equal(value, found[f"{step}-1"][name])
    alone = book()
    see(alone, MANY, MANY[:, :1])
    alone.after_step(None, 0)
    torch.testing.assert_close(found["0-0"]["codes"][:2], alone.codes[:2])
    assert MANY.matmul(found["0-0"]["codes"][2]).max() > 0.999
