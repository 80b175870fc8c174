"""A momentum copy of encoder and head that teaches: centring, sharpening, and who learns."""

import functools
import json
import math

import pytest
import torch

from pymim import clusters, encoders, losses, masks, predictors, targets
from pymim.contracts import Source
from pymim.method import Method
from pymim.objective import Objective
from pymim.schedule import Ramp
from tests.gauged import gauges_of
from tests.launch import one_of_two
from tests.targets.crops import CLUSTERS, counted, make_batch, make_method
from tests.targets.test_assigned import codes, half_of

HALF = functools.partial(encoders.Momentum, momentum=0.5)


def taught(**options):
    return functools.partial(targets.Taught, clusters=CLUSTERS, teacher=HALF, **options)


def make(crops=3, kind="cosine", assignment=None, sets=1):
    assignment = clusters.Centred(0.9, 0.04) if assignment is None else assignment
    return make_method(taught(assignment=assignment), kind, crops, sets)


def step_of(method, batch, step, optimizer):
    output = method(batch, step)
    output.loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    method.after_forward(batch, output)
    method.after_step(step)
    return output


def logits_of(encoder, head, view):
    return head(encoder(view), None, (4, 4))[:, 0].detach()


def test_centring_and_sharpening_by_hand():
    """Scores (1, 3) minus a centre of (1, 3) are equal; (3, 1) is (2, -2), at temperature 1/2 (4,
    -4).
    """
    centred = clusters.Centred(0.75, Ramp(2.0, 0.5, until=0.5), steps=100)
    centred.build(1, 2)
    scores = torch.tensor([[[1.0, 3.0]], [[3.0, 1.0]]])
    assert centred.assign(scores, 0)[0, 0, 1].item() == pytest.approx(
        1 / (1 + math.exp(-1))
    )  # 1 and 3 at 2
    centred.after_forward(None, None)
    assert not centred.centre.any()  # it moves after the step
    centred.after_step(None, 0)
    assert centred.centre.tolist() == [[0.5, 0.5]]  # a quarter of the mean, 2 and 2
    centred.centre[:] = torch.tensor([1.0, 3.0])
    found = centred.assign(scores, 50)
    expected = [1 / 2, 1 / 2, 1 / (1 + math.exp(-8)), 1 / (1 + math.exp(8))]  # 0 and 0; 4 and -4
    assert found.flatten().tolist() == pytest.approx(expected)
    torch.testing.assert_close(centred.assign(scores, 100), found)


def test_the_centre_is_of_all_views_pieces_and_images():
    centred = clusters.Centred(0.9)
    centred.build(1, 3)
    parts = [torch.randn(b, 1, 3) for b in (4, 4, 2, 2)]  # two views of two pieces
    for first in (0, 2):
        for part in parts[first : first + 2]:
            centred.assign(part)
        centred.after_forward(None, None)
    centred.after_step(None, 0)
    torch.testing.assert_close(centred.centre, 0.1 * torch.cat(parts).mean(0))
    centred.after_step(None, 1)  # nothing was assigned since
    torch.testing.assert_close(centred.centre, 0.1 * torch.cat(parts).mean(0))


def test_scores_in_evaluation_mode_do_not_move_the_centre():
    centred = clusters.Centred(0.9).eval()
    centred.build(1, 3)
    centred.assign(torch.ones(4, 1, 3))
    centred.after_forward(None, None)
    centred.after_step(None, 0)
    assert not centred.centre.any()


def test_sets_have_their_own_centres_and_places_share_one():
    sets, places = clusters.Centred(0.0), clusters.Centred(0.0)
    sets.build(2, 3)
    places.build(1, 3)
    scores = torch.randn(4, 2, 3)
    for centred in (sets, places):
        centred.assign(scores)
        centred.after_forward(None, None)
        centred.after_step(None, 0)
    torch.testing.assert_close(sets.centre, scores.mean(0))
    torch.testing.assert_close(places.centre[0], scores.mean((0, 1)))


def test_losses_are_those_of_the_formula():
    method, batch = make(), make_batch()
    objective = method.objectives[0]
    objective.target.assignment.centre[:] = torch.randn(1, CLUSTERS) / 10
    student = [logits_of(method.encoder, objective.predictor, view) for view in batch.views]
    output = method(batch, 0)
    assert [(p.source.view, p.to) for p in output.pairs["codes"]] == [
        (0, 1),
        (1, 0),
        (2, 0),
        (2, 1),
    ]
    expected = []
    for pair in output.pairs["codes"]:  # the copy is the student still
        shares = ((student[pair.to] - objective.target.assignment.centre[0]) / 0.04).softmax(1)
        torch.testing.assert_close(pair.target[:, 0], shares, rtol=1e-4, atol=1e-5)
        expected.append(-(shares * (student[pair.source.view] / 0.1).log_softmax(1)).sum(1).mean())
    torch.testing.assert_close(output.loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_ten_crops_are_eighteen_pairs():
    pairs = make(crops=10)(make_batch(4, 10), 0).pairs["codes"]
    assert len(pairs) == 18
    assert all(pair.source.view != pair.to for pair in pairs)


def test_the_teacher_looks_at_each_view_once():
    method, batch = make(crops=4), make_batch(crops=4)
    objective = method.objectives[0]
    modules = {"encoder": method.encoder, "teacher": objective.target.teacher.module}
    modules |= {"predictor": objective.predictor, "head": objective.target.head.module}
    counts = counted(modules)
    assert len(method(batch, 0).pairs["codes"]) == 6
    assert counts == {"encoder": 4, "teacher": 2, "predictor": 4, "head": 2}


def test_the_teacher_takes_no_gradient_and_follows():
    method, batch = make(), make_batch()
    objective = method.objectives[0]
    target = objective.target
    method(batch, 0).loss.backward()
    assert all(
        p.grad is not None
        for p in (*method.encoder.parameters(), *objective.predictor.parameters())
    )
    assert not any(p.requires_grad for p in target.parameters())
    learned = {id(p) for p in method.parameters() if p.requires_grad}
    assert learned == {
        id(p) for p in (*method.encoder.parameters(), *objective.predictor.parameters())
    }
    before = [
        p.clone()
        for p in (
            target.teacher.module.trunk.blocks[0].mlp.fc1.weight,
            target.head.module.head.weight,
        )
    ]
    with torch.no_grad():
        method.encoder.trunk.blocks[0].mlp.fc1.weight.add_(2)
        objective.predictor.head.weight.add_(4)
    method.after_step(0)
    torch.testing.assert_close(target.teacher.module.trunk.blocks[0].mlp.fc1.weight, before[0] + 1)
    torch.testing.assert_close(target.head.module.head.weight, before[1] + 2)


def test_a_momentum_copy_of_unit_rows_has_unit_rows():
    method = make(kind="unit")
    target = method.objectives[0].target
    method.objectives[0].predictor.head.weight.data.normal_()
    method.after_step(0)
    torch.testing.assert_close(target.head.module.head.weight.norm(dim=1), torch.ones(CLUSTERS))


def test_a_transport_may_assign_in_place_of_the_centre():
    method, batch = make(assignment=clusters.Transport(0.05, 3)), make_batch()
    objective = method.objectives[0]
    logits = logits_of(method.encoder, objective.predictor, batch.views[1])
    found = method(batch, 0).pairs["codes"][0].target[:, 0]
    torch.testing.assert_close(found, codes(logits), rtol=1e-4, atol=1e-5)


def test_targets_of_patches_stay_with_their_patches():
    torch.manual_seed(0)
    encoder = encoders.ViT(24, 2, 2, image=16, patch=4, hidden="token")
    objective = Objective(taught(), predictors.OneLayer, losses.CrossEntropy(0.1))
    method, batch = Method(encoder, [objective], masks.Uniform(0.5)), make_batch()
    output = method(batch, 0)
    every = objective.predictor(encoder(batch.views[0]), None, (4, 4)).detach() / 0.04
    ids = output.mask.predicted[..., None].expand(-1, -1, CLUSTERS)
    torch.testing.assert_close(
        output.targets["taught"], every.gather(1, ids).softmax(-1), rtol=1e-3, atol=1e-4
    )


def collapsed(method, batch):
    return gauges_of(method, method(batch, 0))


def test_gauges_tell_both_collapses_apart():
    method, batch = make(), make_batch()
    target = method.objectives[0].target
    target.assignment.centre[0, 0] = -100
    found = collapsed(method, batch)
    assert found["codes/balance"] == pytest.approx(0, abs=1e-4)
    assert found["codes/entropy"] == pytest.approx(0, abs=1e-4)  # one cluster takes every image
    target.assignment.centre.zero_()
    target.assignment.temperature = 1e4
    found = collapsed(method, batch)
    assert found["codes/entropy"] == pytest.approx(1, abs=1e-4)  # shares are equal


def test_what_cannot_teach_is_refused():
    with pytest.raises(
        ValueError, match=r"Taught: teacher: expected a momentum encoder, .* got Average"
    ):
        make_method(functools.partial(targets.Taught, clusters=CLUSTERS, teacher=encoders.Average))
    target = make().objectives[0].target
    with pytest.raises(
        ValueError, match=r"Taught: predictor: expected one for all objectives of .* got two"
    ):
        target.follow(predictors.Pooled(make().encoder, CLUSTERS))
    fresh, encoder = taught()(make().encoder), make().encoder
    with pytest.raises(
        ValueError, match="Taught: predictor: expected a predictor of pooled vectors or of"
    ):
        fresh.follow(predictors.Transformer(encoder, CLUSTERS, dim=24, depth=1, heads=2))


def test_two_objectives_of_one_target_and_predictor_have_one_copy():
    method = make()
    target = method.objectives[0].target
    head = target.head
    target.follow(method.objectives[0].predictor)
    assert target.head is head


def train(method, batch, steps=4):
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1)
    for step in range(steps):
        output = step_of(method, batch, step, optimizer)
    return output


def learn_half(rank, folder):
    with one_of_two(rank, folder):
        method, batch = make(), half_of(make_batch(), rank)
        wrapped = torch.nn.parallel.DistributedDataParallel(method)
        optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1)
        for step in range(4):
            output = wrapped(batch, step)
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            method.after_forward(batch, output)
            method.after_step(step)
        target = method.objectives[0].target
        found = [target.assignment.centre.tolist(), output.targets["codes"].tolist()]
        found.append(target.head.module.head.weight.tolist())
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_two_processes_teach_as_one_does(tmp_path):
    torch.multiprocessing.spawn(learn_half, (tmp_path,), nprocs=2)
    method = make()
    output = train(method, make_batch())
    target = method.objectives[0].target
    assert target.assignment.centre.abs().max() > 0.01
    for rank in range(2):
        centre, made, weight = map(
            torch.tensor, json.loads((tmp_path / f"{rank}.json").read_text())
        )
        torch.testing.assert_close(centre, target.assignment.centre, rtol=1e-4, atol=1e-6)
        expected = output.targets["codes"][4 * rank : 4 * rank + 4]
        torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(weight, target.head.module.head.weight, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_goes_on_with_its_teacher_and_centre():
    whole, batch = make(), make_batch()
    train(whole, batch, 3)
    resumed = make()
    resumed.load_state_dict({name: value.clone() for name, value in whole.state_dict().items()})
    first, second = (train(method, batch, 2) for method in (whole, resumed))
    assert torch.equal(first.targets["codes"], second.targets["codes"])
    held = zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for (_, one), other in held)
    assert whole.encode(batch, 0)[Source(0)].features.pooled.requires_grad
