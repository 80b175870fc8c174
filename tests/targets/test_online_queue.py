"""Images of earlier batches: they are balanced with the present batch, and train nothing."""

import functools
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from pymim import clusters
from pymim.clusters import transport
from pymim.errors import ConfigError
from pymim.run import main
from tests.launch import BARE
from tests.targets.test_online import make

QUEUE = functools.partial(clusters.Queue, size=16, views=(0,))


def plain(target, tokens, by):
    """Shares [B N K] of all rows together, in plain torch: by position or of the whole batch."""
    scores = (normalize(tokens, dim=-1) @ target.weight.T).detach() / target.transport.epsilon
    rows = scores.flatten(0, 1)[None] if by == "batch" else scores.transpose(0, 1)
    shares = rows.exp()
    for _ in range(target.transport.iterations):
        shares = shares / shares.sum(1, keepdim=True)
        shares = shares / shares.sum(2, keepdim=True)
    return shares.view(scores.shape) if by == "batch" else shares.transpose(0, 1)


def stepped(method, batches):
    for step, batch in enumerate(batches):
        out = method(batch, step)
        method.after_forward(batch, out)
    return out


@pytest.mark.parametrize("small", [False, True], ids=["whole", "chunks"])
@pytest.mark.parametrize("by", ["position", "batch"])
def test_rows_of_a_full_queue_are_balanced_beside_the_batch(by, small, monkeypatch):
    if small:
        monkeypatch.setattr(transport, "_most", lambda tensor: 3 * 24 * 12)
    options = {"transport": clusters.Transport(0.06, 3, by)}
    method, batch = make(queue=QUEUE, **options)
    target = method.objectives[0].target
    batches = [batch._replace(views=[torch.randn(8, 3, 16, 16)]) for _ in range(4)]
    tokens = [target.teacher(each.views[0]).tokens for each in batches]
    alone, _ = make(**options)
    alone.load_state_dict({k: v for k, v in method.state_dict().items() if ".queue." not in k})
    first = stepped(method, batches[:2])  # 16 rows: full from the third on
    torch.testing.assert_close(first.targets["clusters"], alone(batches[1], 1).targets["clusters"])
    for step, before in ((2, tokens[:2]), (3, tokens[1:3])):
        out = method(batches[step], step)
        shares = plain(target, torch.cat([*before, tokens[step]]), by)[16:]
        expected = shares[torch.arange(8)[:, None], out.mask.predicted]
        torch.testing.assert_close(out.targets["clusters"], expected, rtol=1e-4, atol=1e-5)
        own = out.losses["clusters.target"]
        logs = (
            (normalize(tokens[step], dim=-1) @ target.weight.T + target.bias) / 0.12
        ).log_softmax(-1)
        wanted = -(shares * logs).sum(-1)
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-5)
        for one, other in zip(
            torch.autograd.grad(own.mean(), [target.weight, target.bias], retain_graph=True),
            torch.autograd.grad(wanted.mean(), [target.weight, target.bias]),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        method.after_forward(batches[step], out)
    plainly = alone(batches[3], 3).targets["clusters"]
    assert (plainly - out.targets["clusters"]).abs().max() > 0.01, "the queue makes a difference"


def test_a_forward_pass_without_gradient_does_not_fill_the_queue():
    method, batch = make(queue=QUEUE)
    with torch.no_grad():
        method(batch, 0)
    method.after_forward(batch, None)
    assert method.objectives[0].target.queue.count.tolist() == [0]


def test_pieces_of_a_step_and_its_precision():
    method, batch = make(queue=functools.partial(QUEUE, size=8), precision="bf16")
    target = method.objectives[0].target
    for piece in batch.split(4):
        method.after_forward(piece, method(piece, 0))
    assert target.queue.count.tolist() == [8] and target.queue.rows.dtype == torch.bfloat16
    kept = normalize(target.teacher(batch.views[0]).tokens, dim=-1).flatten(1)
    torch.testing.assert_close(target.queue.rows[0].float(), kept, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "view", "message"),
    [
        (
            {"views": (0, 1)},
            (16, 16),
            r"Online: queue: expected a queue of view 0 only.*got .* views \[0, 1\].*; set clu",
        ),
        (
            {},
            (8, 16),
            "Online: queue: expected .* in views of 16 patches, got .* and 8 patches; set clu",
        ),
    ],
)
def test_a_queue_that_does_not_fit_is_refused(options, view, message):
    method, batch = make(queue=functools.partial(QUEUE, **options))
    with pytest.raises(ConfigError, match=message):
        method(batch._replace(views=[torch.randn(8, 3, *view)]), 0)


@pytest.mark.parametrize(
    ("by", "k", "micro", "size", "processes", "told"),
    [
        ("position", 32, None, 0, 1, ""),
        ("position", 33, None, 0, 1, "balances 32 images at each place over 33 clusters"),
        ("position", 32, 16, 0, 1, "balances 16 images at each place over 32 clusters"),
        ("position", 32, 16, 0, 2, ""),
        ("position", 48, 16, 32, 1, ""),
        ("batch", 512, None, 0, 1, ""),
        ("batch", 513, None, 0, 1, "balances 512 patches over 513 clusters"),
    ],
)
def test_a_queue_is_advised_where_there_are_fewer_images_than_clusters(
    by, k, micro, size, processes, told, caplog
):
    queue = functools.partial(QUEUE, size=size) if size else None
    method, _ = make(k=k, transport=clusters.Transport(0.06, 3, by), queue=queue)
    world = SimpleNamespace(size=processes, leads=True)
    method.before_run(SimpleNamespace(step=0, batch=32, micro=micro, world=world))
    assert ("targets.Online.queue = @clusters.Queue" in caplog.text) == bool(told)
    assert told in caplog.text


def test_a_run_with_a_queue_goes_on_as_if_it_had_not_stopped(tmp_path):
    small = [
        "DIM=12",
        "DEPTH=1",
        "BATCH=8",
        "WORKERS=0",
        "DATA=@data.Digits",
        "data.Digits.length=40",
        *BARE,
    ]
    small += ["predictors.Cross.depth=1", "CLUSTERS=8", "train.Trainer.save_every=2", "STEPS=4"]
    small += [
        "targets.Online.queue=@clusters.Queue",
        "clusters.Queue.size=12",
        "clusters.Queue.views=(0,)",
    ]
    words = ["--gin", "gin/capi.gin", *(word for binding in small for word in ("-b", binding))]
    assert main([*words, "--workdir", str(tmp_path / "a")]) == 0
    last = tmp_path / "a/checkpoints/step-00000004"
    whole = load_file(last / "state.safetensors")
    assert whole["method.objectives.0.target.queue.count"].tolist() == [32]
    shutil.rmtree(last)
    assert main([*words, "--workdir", str(tmp_path / "a"), "--resume", "auto"]) == 0
    again = load_file(last / "state.safetensors")
    assert again.keys() == whole.keys() and all(
        torch.equal(again[name], whole[name]) for name in whole
    )
