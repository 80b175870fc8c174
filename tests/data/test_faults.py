"""A loader whose workers, pictures or source fail says so in one line, and never hangs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pymim import data, views
from pymim.data import passing, pool, workers
from pymim.data.reading import read
from pymim.errors import DataError, OutOfMemory

ROOT = Path(__file__).parents[2]


class Source:
    """Grey pictures, as bright as their number; asked for picture `at`, it does something else."""

    classes = labels = None

    def __init__(self, at=-1, does=None, argument=None, length=40):
        self.at, self.does, self.argument, self.length = at, does, argument, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index == self.at:
            self.does(self.argument)
        return data.Sample(torch.full((3, 16, 16), index, dtype=torch.uint8), -1)

    def path(self, index):
        return f"picture {index}"


def fail(error):
    raise error


def signal_self(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def loader(source, workers=0, **arguments):
    return data.Loader(
        source, views.Center(16, statistics="half"), batch=8, workers=workers, seed=1, **arguments
    )


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            KeyError("rows"),
            DataError,
            "picture 7: expected a picture, got KeyError: 'rows'; correct the source",
        ),
        (TypeError("two\nlines"), DataError, "got TypeError: two lines; correct the source"),
        (
            MemoryError(),
            OutOfMemory,
            "picture 7: ran out of memory while reading it; lower data.Loader.workers",
        ),
        (DataError("its own words"), DataError, "^its own words$"),
    ],
)
def test_a_failing_source_gives_one_line_in_any_process(count, error, kind, words):
    with pytest.raises(kind, match=words) as found:
        list(loader(Source(7, fail, error), count).batches(0, 5))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            signal.SIGKILL,
            r"worker \d \(process \d+\) was killed before it made the batch of step \d.* "
            r"lower data",
        ),
        (
            signal.SIGSEGV,
            r"ended by SIGSEGV before it made the batch of step \d; set data.Loader.workers = 0 "
            "to see",
        ),
    ],
)
def test_a_worker_that_dies_is_named(number, words):
    began = time.monotonic()
    with pytest.raises(DataError, match=words):
        list(loader(Source(7, signal_self, number), workers=2).batches(0, 5))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("count", "does", "state"),
    [
        (1, signal_self, "worker 0 .* is stopped by a signal"),
        (1, time.sleep, "worker 0 .* is sleeping"),
        (0, time.sleep, "a thread of this process makes it"),
    ],
)
def test_a_long_wait_is_logged_and_ends(count, does, state, caplog, monkeypatch):
    monkeypatch.setattr(pool.Wait.__init__, "__defaults__", (0.3,))
    monkeypatch.setattr(pool, "GLANCE", 0.1)
    made = loader(
        Source(7, does, signal.SIGSTOP if does is signal_self else 3), count, patience=1.0
    ).batches(0, 5)
    with pytest.raises(
        DataError, match=rf"expected it within 1 s, got nothing: {state}.* data.Loader.patience"
    ):
        list(made)
    assert re.search(rf"waited \d+ s for the batch of step \d: {state}", caplog.text)


def test_no_worker_is_left_wherever_a_loader_is_left():
    for taken in range(4):
        made = loader(Source(), workers=2).batches(0, 100)
        for _ in range(taken):
            next(made)
        made.close()
    assert not [worker for worker in workers._started if worker.is_alive()]


def test_a_source_that_cannot_be_pickled_is_refused_in_one_line():
    with pytest.raises(
        DataError, match=r"can be pickled.*lambda.*data.Loader.workers = 0"
    ) as found:
        list(loader(Source(does=lambda: 0), workers=1).batches(0, 1))
    assert "\n" not in str(found.value)


class Uncopied(Source):
    def __setstate__(self, state):
        raise KeyError("left at home")


def test_a_source_that_cannot_be_unpickled_is_refused_in_one_line():
    with pytest.raises(DataError, match=r"can be pickled.*left at home"):
        list(loader(Uncopied(), workers=1).batches(0, 1))


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize(("tolerate", "more"), [(0.1, ""), (1.0, "; and 17 more")])
def test_a_source_of_broken_pictures_is_refused_with_names_and_reasons(
    tmp_path, count, tolerate, more
):
    for number in range(20):
        (tmp_path / f"{number:02}.png").write_bytes(b"no picture")
    made = loader(data.PictureFolder(tmp_path), count, tolerate=tolerate).batches(0, 9)
    with pytest.raises(
        DataError,
        match=rf"broken of 20(.*\.png: .*; ){{2}}.*{more}\); repair .* data.Loader.tolerate",
    ):
        list(made)


@pytest.mark.parametrize("count", [0, 2])
def test_a_picture_that_vanished_is_counted_and_named(tmp_path, count, caplog):
    save(tmp_path, 20)
    source = data.PictureFolder(tmp_path)
    (tmp_path / "05.png").unlink()
    made = loader(source, count, tolerate=0.5)
    seen = torch.cat([batch.index for batch in made.batches(0, 5)])
    assert 5 not in seen and list(made.broken) == [str(tmp_path / "05.png")]
    assert "05.png: No such file" in caplog.text


def test_a_second_pass_knows_the_broken_pictures_of_the_first(tmp_path, caplog):
    save(tmp_path, 20)
    (tmp_path / "05.png").write_bytes(b"")
    first = loader(data.PictureFolder(tmp_path), tolerate=0.25)
    list(first.in_order(10).batches(0, 2))
    list(first.in_order(10).batches(0, 2))
    assert (
        caplog.text.count("skipped") == 1
        and len(first.broken) == 1
        and first.in_order(10).limit == 5
    )


def save(folder, count, odd=()):
    for number in range(count):
        size = (40, 24) if number in odd else (24, 24)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")


def test_a_batch_with_a_picture_of_another_size_is_that_of_a_source_not_in_memory(tmp_path, caplog):
    save(tmp_path, 40, odd=(6, 17))
    kept, plain = (data.open(tmp_path, memory=memory) for memory in (2**30, 0))
    assert hasattr(kept, "take") and not hasattr(plain, "take")
    view, mixed = views.Center(16, statistics="half"), 0
    for batch in loader(kept).batches(0, 5):
        pictures = [plain[index].image for index in batch.index.tolist()]
        odd = bool({6, 17} & {*batch.index.tolist()})
        assert torch.equal(batch.views[0], view(pictures if odd else torch.stack(pictures)))
        mixed += odd
    assert 0 < mixed < 5
    assert caplog.text.count("is uint8 [3, 40, 24], the others are uint8 [3, 24, 24]") == 1
    images, _ = data.load(kept, view, 40)
    torch.testing.assert_close(images, data.load(plain, view, 40)[0], atol=1 / 127, rtol=0)


def test_batches_with_an_odd_size_do_not_depend_on_workers_or_first_step(tmp_path):
    save(tmp_path, 40, odd=(6, 17))
    view = views.Pretrain(16, statistics="half")
    first, *others = (
        [*data.Loader(data.open(tmp_path), view, 8, 1, workers=workers).batches(begin, 10)]
        for workers, begin in ((0, 0), (2, 0), (0, 4))
    )
    for other in others:
        for one, two in zip(first[-len(other) :], other, strict=True):
            assert torch.equal(one.views[0], two.views[0])


def test_pictures_beside_an_odd_one_are_still_kept(tmp_path):
    save(tmp_path, 20, odd=(4,))
    source = data.open(tmp_path)
    read(source, np.arange(20), limit=0)
    for path in tmp_path.iterdir():
        if path.name != "04.png":
            path.unlink()
    images, index, broken = read(source, np.arange(20), limit=0)
    assert [tuple(image.shape) for image in images] == [
        (3, 40 if i == 4 else 24, 24) for i in range(20)
    ]
    assert index.tolist() == [*range(20)] and not broken


SMALL = """
from pymim import data, views
if __name__ == "__main__":
    view = views.Pretrain(64, statistics="half")
    loader = data.Loader(data.Digits(length=50), view, batch=32, workers=2)
    print(sum(float(batch.views[0].sum()) != 0 for batch in loader.batches(0, 6)))
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_workers_need_no_shared_memory_folder(tmp_path):
    """A batch takes 1.5 MB, /dev/shm has 64 kB."""
    (tmp_path / "small.py").write_text(SMALL)
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm && echo mounted && exec timeout 60"
    found = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mount} {sys.executable} {tmp_path / 'small.py'}"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "mounted" not in found.stdout:
        pytest.skip("may not mount")
    assert found.stdout == "mounted\n6\n", found.stderr


@pytest.mark.parametrize("unnamed", [True, False])
def test_a_parcel_brings_what_was_sent(unnamed, monkeypatch):
    if not unnamed:
        monkeypatch.delattr(os, "memfd_create")
    from multiprocessing import Pipe

    kinds = (torch.uint8, torch.bool, torch.int64, torch.bfloat16, torch.float32, torch.float64)
    tensors = [torch.arange(-6, 6).view(3, 4).to(kind).t() for kind in kinds]
    sent = {
        "some": tensors,
        "again": tensors[0],
        "none": torch.empty(0, 3),
        "one": torch.tensor(2.5),
        "word": "x",
    }
    ours, theirs = Pipe()
    passing.Parcel(sent).send(theirs)
    found = passing.receive(ours)
    assert found["word"] == "x" and found["again"] is not None
    for one, other in zip([*sent["some"], *list(sent.values())[1:4]],
                          [*found["some"], *list(found.values())[1:4]], strict=True):  # fmt: skip
        assert one.dtype == other.dtype and torch.equal(one, other)
    found["one"].add_(1)  # it may be written
    assert float(found["one"]) == 3.5


def test_a_parcel_without_room_says_what_to_set(monkeypatch):
    monkeypatch.setattr(passing, "_unnamed", lambda: Path("/dev/full").open("wb"))  # noqa: SIM115
    with pytest.raises(
        DataError, match=r"room for a batch of 4,000,000 bytes, got: No space left.*TMPDIR"
    ):
        passing.Parcel(torch.ones(1_000_000))
