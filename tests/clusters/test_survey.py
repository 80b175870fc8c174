"""The pass over the source: which row is whose, and that nothing is learned on the way."""

import torch

from pymim.clusters import Survey
from tests.targets.runs import CENTER, make_encoder, trainer


def test_row_i_is_picture_i_whatever_the_batch():
    run = trainer()
    (rows,) = CENTER(run)
    assert rows.total == 50 and torch.equal(rows.ids, torch.arange(50))
    view, encoder = CENTER.views[0], run.method.encoder.eval()
    for number in (0, 17, 49):
        alone = encoder(view(run.loader.source.images[number : number + 1])).pooled[0]
        torch.testing.assert_close(rows.values[number], alone, rtol=1e-4, atol=1e-5)


def test_two_passes_are_equal_bit_for_bit_and_leave_the_encoder_as_it_was():
    run = trainer()
    before = {name: value.clone() for name, value in run.method.state_dict().items()}
    first, second = CENTER(run)[0].values, CENTER(run)[0].values
    assert torch.equal(first, second)
    assert run.method.encoder.training
    assert all(torch.equal(value, before[name]) for name, value in run.method.state_dict().items())


def test_what_is_clustered_has_both_signs():
    values = CENTER(trainer())[0].values
    assert (values < 0).any() and (values > 0).any()


def test_by_default_it_looks_through_the_views_of_the_training():
    run = trainer(crops=2)
    first, second = Survey(batch=16)(run)
    assert first.values.shape == second.values.shape == (50, 6)
    assert not torch.equal(first.values, second.values)
    assert torch.equal(first.values, Survey(batch=16)(run)[0].values)


def test_processes_have_parts_of_the_rows():
    parts = []
    for rank in (0, 1):
        run = trainer()
        run.world = type(run.world)(
            0, 1, run.world.device
        )  # alone, but for its share of the pictures
        survey = Survey(CENTER.views, batch=8)
        world = run.world
        run.world = type(
            "Two", (), {"size": 2, "rank": rank, "device": world.device, "group": None}
        )()
        run.world.align, run.world.autocast, run.world.heed = (
            world.align,
            world.autocast,
            world.heed,
        )
        run.loader.rank, run.loader.world = rank, 2
        parts.append(survey(run)[0])
    (whole,) = CENTER(trainer(encoder=make_encoder()))
    assert sorted(torch.cat([part.ids for part in parts]).tolist()) == list(range(50))
    for part in parts:
        assert part.ids.diff().min() > 0
        torch.testing.assert_close(part.values, whole.values[part.ids], rtol=1e-4, atol=1e-5)
