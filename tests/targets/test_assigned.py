"""Codes of one crop, predicted from the others: formulas, gradients, queue, two processes."""

import functools
import json
import math

import pytest
import torch

from pymim import clusters, losses, predictors, targets
from pymim.contracts import Source
from pymim.errors import ConfigError
from pymim.schedule import Ramp
from tests.gauged import gauges_of
from tests.launch import one_of_two
from tests.targets.crops import CLUSTERS, counted, make_batch, make_method

PLAIN = functools.partial(
    targets.Assigned, clusters=CLUSTERS, transport=clusters.Transport(0.05, 3)
)
QUEUED = functools.partial(PLAIN, queue=functools.partial(clusters.Queue, size=12))


def codes(scores, epsilon=0.05):
    """SwAV's, as its paper's listing goes."""
    plan = torch.exp(scores / epsilon).T
    plan = plan / plan.sum()
    rows, columns = plan.shape
    for _ in range(3):
        plan = plan / plan.sum(1, keepdim=True) / rows
        plan = plan / plan.sum(0, keepdim=True) / columns
    return (plan * columns).T


def learn(method, batch, steps, first=0):
    """Train a few steps; give the last output."""
    optimizer = torch.optim.SGD(method.parameters(), 0.1)
    for step in range(first, first + steps):
        output = method(batch, step)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        method.after_forward(batch, output)
        method.after_step(step)
    return output


def scores_of(method, pooled):
    return pooled @ method.objectives[0].predictor.head.weight.T


def test_each_pair_compares_a_prediction_with_the_codes_of_another_view():
    method, batch = make_method(PLAIN), make_batch()
    output = method(batch, 0)
    scores = [scores_of(method, method.encoder(view).pooled).detach() for view in batch.views]
    pairs = output.pairs["codes"]
    assert [(pair.source.view, pair.to) for pair in pairs] == [(0, 1), (1, 0), (2, 0), (2, 1)]
    expected = []
    for pair in pairs:
        torch.testing.assert_close(pair.target[:, 0], codes(scores[pair.to]), rtol=1e-4, atol=1e-5)
        logs = (scores[pair.source.view] / 0.1).log_softmax(1)
        expected.append(-(codes(scores[pair.to]) * logs).sum(1))
        torch.testing.assert_close(pair.losses[:, 0], expected[-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.loss, torch.stack(expected).mean())


def test_each_view_is_encoded_predicted_and_assigned_once():
    method, batch = make_method(PLAIN, crops=4), make_batch(crops=4)
    objective = method.objectives[0]
    counts = counted(
        {"encoder": method.encoder, "predictor": objective.predictor, "target": objective.target}
    )
    assert len(method(batch, 0).pairs["codes"]) == 6
    assert counts == {"encoder": 4, "predictor": 4, "target": 2}


def test_a_view_that_predicts_nothing_is_encoded_without_a_graph():
    method, batch = make_method(PLAIN, source=(2,)), make_batch()
    output = method(batch, 0)
    assert output.branches[Source(2)].features.pooled.requires_grad
    assert not output.branches[Source(0)].features.pooled.requires_grad
    output.loss.backward()


def test_clusters_learn_by_being_predicted_alone():
    method, batch = make_method(PLAIN), make_batch()
    output = method(batch, 0)
    output.loss.backward()
    weight = method.objectives[0].predictor.head.weight
    found, weight.grad = weight.grad, None
    pooled = [method.encoder(view).pooled for view in batch.views]
    assigned = {t: codes(scores_of(method, pooled[t]).detach()) for t in (0, 1)}
    loss = losses.CrossEntropy(0.1)
    made = [loss(scores_of(method, pooled[s])[:, None], assigned[t][:, None])
            for s, t in ((0, 1), (1, 0), (2, 0), (2, 1))]  # fmt: skip
    torch.stack(made).mean().backward()
    assert found.abs().min() > 0
    torch.testing.assert_close(found, weight.grad, rtol=1e-3, atol=1e-5)
    assert not any(pair.target.requires_grad for pair in output.pairs["codes"])


def test_labels_are_the_largest_shares():
    soft, hard = (
        make_method(functools.partial(PLAIN, hard=hard))(make_batch(), 0) for hard in (False, True)
    )
    for one, other in zip(soft.pairs["codes"], hard.pairs["codes"], strict=True):
        assert torch.equal(one.target.argmax(-1), other.target)


def test_each_set_of_clusters_is_balanced_for_itself():
    transport = clusters.Transport(0.05, 3, by="position")
    method, batch = make_method(functools.partial(PLAIN, transport=transport), sets=2), make_batch()
    output = method(batch, 0)
    weight = method.objectives[0].predictor.head.weight.view(2, CLUSTERS, 6)
    pooled = output.branches[Source(1)].features.pooled.detach()
    for number in range(2):
        expected = codes(pooled @ weight[number].detach().T)
        torch.testing.assert_close(
            output.pairs["codes"][0].target[:, number], expected, rtol=1e-4, atol=1e-5
        )
    with pytest.raises(
        ValueError, match="Assigned: transport: expected by = 'position', as there are 2 sets"
    ):
        make_method(PLAIN, sets=2)


def test_epsilon_may_follow_a_schedule():
    transport = clusters.Transport(Ramp(0.05, 0.5), steps=10)
    method, batch = make_method(functools.partial(PLAIN, transport=transport)), make_batch()
    scores = scores_of(method, method.encoder(batch.views[1]).pooled).detach()
    for step, epsilon in ((0, 0.05), (10, 0.5)):
        found = method(batch, step).pairs["codes"][0].target[:, 0]
        torch.testing.assert_close(found, codes(scores, epsilon), rtol=1e-4, atol=1e-5)


def test_equal_scores_are_chance_and_the_gauges_say_so():
    method, batch = make_method(PLAIN), make_batch()
    method.objectives[0].predictor.head.weight.data[:] = torch.eye(CLUSTERS, 6)[0]
    output = method(batch, 0)
    torch.testing.assert_close(output.losses["codes"], torch.full((8, 4), math.log(CLUSTERS)))
    found = gauges_of(method, output)
    assert found["codes/entropy"] == pytest.approx(1, abs=1e-4)
    assert found["codes/of_chance"] == pytest.approx(1, abs=1e-4)


def test_codes_are_the_same_to_rounding_under_autocast():
    method, batch = make_method(PLAIN), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        output = method(batch, 0)
        pooled = method.encoder(batch.views[0]).pooled
    target = output.pairs["codes"][1].target[:, 0]
    assert target.dtype == torch.float32  # exp(20) overflows half precision
    torch.testing.assert_close(
        target, codes(scores_of(method, pooled).detach()), rtol=1e-3, atol=1e-4
    )


def test_a_queue_is_used_when_it_is_full_and_its_rows_are_scored_by_the_present_clusters():
    method, batch = make_method(QUEUED), make_batch()
    target, plain = method.objectives[0].target, make_method(PLAIN)
    kept = {0: [], 1: []}
    for step in range(4):
        plain.load_state_dict(method.state_dict(), strict=False)
        pooled = {view: method.encoder(batch.views[view]).pooled.detach() for view in (0, 1)}
        made = method(batch, step)
        for pair in made.pairs["codes"]:
            rows = (
                torch.cat(kept[pair.to])[-12:] if step >= 2 else pooled[pair.to][:0]
            )  # 8, then 16 of 12 rows
            every = torch.cat([rows, pooled[pair.to]])
            expected = codes(scores_of(method, every).detach())[-8:]
            torch.testing.assert_close(pair.target[:, 0], expected, rtol=1e-4, atol=1e-5)
        if step == 1:
            assert torch.equal(made.targets["codes"], plain(batch, step).targets["codes"])
        learn(method, batch, 1, step)
        for view in (0, 1):
            kept[view].append(pooled[view])
    assert target.queue.count.tolist() == [32, 32]
    for view in (0, 1):
        held = {tuple(row) for row in target.queue.rows[view].tolist()}
        assert held == {tuple(row) for row in torch.cat(kept[view])[-12:].tolist()}


def test_a_queue_is_filled_from_its_first_step_on():
    late = functools.partial(clusters.Queue, size=12, start=3)
    method, batch = make_method(functools.partial(PLAIN, queue=late)), make_batch()
    queue = method.objectives[0].target.queue
    learn(method, batch, 3)
    assert queue.count.tolist() == [0, 0]
    learn(method, batch, 1, 3)
    assert queue.count.tolist() == [8, 8]


def test_a_step_without_its_views_leaves_the_queue_alone():
    method, batch = make_method(QUEUED), make_batch()
    output = method(batch, 0)
    method.after_forward(batch, output._replace(branches={Source(2): output.branches[Source(2)]}))
    assert method.objectives[0].target.queue.count.tolist() == [0, 0]


def test_a_view_uses_its_own_queue_alone():
    """As it fills, the release takes the second one's for full as soon as the first one's is."""
    queue = clusters.Queue(6, size=12)
    for _ in range(2):
        queue.push(0, torch.randn(8, 6))
    queue.push(1, torch.randn(8, 6))
    assert len(queue.own_rows(0)) == 12 and len(queue.own_rows(1)) == 0


def test_more_rows_than_the_queue_has_leave_the_last():
    queue, rows = clusters.Queue(2, size=3), torch.arange(10.0).view(5, 2)
    queue.push(0, rows)
    assert sorted(queue.own_rows(0).tolist()) == rows[-3:].tolist()


def test_a_queue_needs_one_predictor_of_the_pooled_vector():
    narrow = functools.partial(PLAIN, queue=functools.partial(clusters.Queue, size=8, views=(0,)))
    with pytest.raises(
        ConfigError,
        match=r"Queue: views: expected the numbers of all views that use the queue, such as 1, "
        r"got \[0\]; add 1",
    ):
        make_method(narrow)(make_batch(), 0)
    target = QUEUED(make_method(PLAIN).encoder)
    linear = predictors.OneLayer(make_method(PLAIN).encoder, CLUSTERS)
    with pytest.raises(
        ValueError, match="Assigned: queue: expected one predictor, of the pooled vector, got One"
    ):
        target.follow(linear)


def test_a_resumed_run_goes_on_with_its_queue():
    whole, batch = make_method(QUEUED), make_batch()
    learn(whole, batch, 3)
    resumed = make_method(QUEUED)
    resumed.load_state_dict({name: value.clone() for name, value in whole.state_dict().items()})
    first, second = (learn(method, batch, 2, 3) for method in (whole, resumed))
    assert torch.equal(first.targets["codes"], second.targets["codes"])
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def half_of(batch, rank):
    return batch.split(4)[rank]


def learn_half(rank, folder):
    with one_of_two(rank, folder):
        method, batch = make_method(QUEUED), half_of(make_batch(), rank)
        wrapped = torch.nn.parallel.DistributedDataParallel(method)
        optimizer = torch.optim.SGD(method.parameters(), 0.1)
        for step in range(4):
            output = wrapped(batch, step)
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            method.after_forward(batch, output)
            method.after_step(step)
        found = [
            output.targets["codes"].tolist(),
            method.objectives[0].predictor.head.weight.tolist(),
        ]
        found.append(method.objectives[0].target.queue.rows.flatten(0, 1).tolist())
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_two_processes_assign_as_one_does(tmp_path):
    torch.multiprocessing.spawn(learn_half, (tmp_path,), nprocs=2)
    method, batch = make_method(QUEUED), make_batch()
    output = learn(method, batch, 4)
    rows = method.objectives[0].target.queue.rows.flatten(0, 1)
    for rank in range(2):
        made, weight, held = map(torch.tensor, json.loads((tmp_path / f"{rank}.json").read_text()))
        expected = output.targets["codes"][4 * rank : 4 * rank + 4]
        torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            weight, method.objectives[0].predictor.head.weight, rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(held, rows, rtol=1e-4, atol=1e-5)  # everybody has all rows
