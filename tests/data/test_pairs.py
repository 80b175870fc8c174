"""Pictures that belong together: partners by index, views alike, and what came with a picture."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pymim import data, views
from pymim.contracts import Batch, Draw
from pymim.data.memory import Memory
from pymim.data.source import noted, subset
from pymim.errors import ConfigError, DataError, Diverged
from pymim.io import Folder, replay
from pymim.views.resample import resample

PLAIN = views.Pretrain(16, statistics="none")
TABLE = np.stack([(np.arange(50) + step) % 50 for step in (0, 3, 7, 20)], 1)


class Noted:
    """Pictures that each came with a time and a box, decoded one by one."""

    classes = None
    labels = np.arange(50) % 5

    def __init__(self):
        random = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, (50, 3, 20, 24), dtype=torch.uint8, generator=random)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return data.Sample(self.images[index], int(self.labels[index]))

    def path(self, index):
        return f"picture {index}"

    def notes(self, index):
        return {"time": index * 10.0, "box": np.stack([index, index + 1], 1)}


def pairs(first=0, last=9, source=None, table=TABLE, **arguments):
    shown = [PLAIN, views.Partner(PLAIN), views.Pretrain(8, like=1, statistics="half")]
    loader = data.Loader(
        source or data.Digits(length=50), shown, **{"batch": 8, "seed": 1, **arguments}
    )
    loader.pair(table)
    return list(loader.batches(first, last))


def everything(batch):
    drawn = {
        f"{k}{name}": value for k, each in enumerate(batch.drawn) for name, value in each.items()
    }
    return {
        **drawn,
        **batch.notes,
        **dict(enumerate(batch.views)),
        "index": batch.index,
        "label": batch.label,
    }


def same(a, b):
    a, b = everything(a), everything(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_partner_is_one_of_the_table_and_all_of_them_come():
    for batch in (found := pairs(0, 60)):
        others = batch.drawn[1]["partner"].numpy()
        assert (TABLE[batch.index] == others[:, None]).any(1).all() and batch.views[1].shape == (
            8,
            3,
            16,
            16,
        )
    index = torch.cat([b.index for b in found]).tolist()
    partner = torch.cat([b.drawn[1]["partner"] for b in found]).tolist()
    seen = {*zip(index, partner, strict=True)}
    assert len(seen) > 0.8 * 200  # of 50 pictures with 4 partners, in 9.6 epochs


def test_a_partner_is_shown_by_its_own_pixels():
    (batch,) = pairs(0, 1)
    source = data.Digits(length=50)
    drawn = batch.drawn[1]
    pictures = source.take(drawn["partner"].numpy())
    assert torch.equal(batch.views[1], resample(pictures, drawn["box"], (16, 16)))
    assert not torch.equal(batch.drawn[0]["box"], drawn["box"])
    assert torch.equal(
        batch.views[0], resample(source.take(batch.index.numpy()), batch.drawn[0]["box"], (16, 16))
    )


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2])
def test_pairs_are_the_same_with_any_number_of_workers(workers):
    source = Noted()
    assert all(map(same, pairs(source=source, workers=0), pairs(source=source, workers=workers)))


def test_pairs_are_shared_by_ranks_and_resumed():
    whole = pairs(source=(source := Noted()), workers=0)
    assert all(map(same, whole[4:], pairs(4, source=source, workers=0)))
    shares = [pairs(source=source, workers=0, rank=rank, world=2) for rank in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        halves = [everything(part) for part in parts]
        joined = {name: torch.cat([half[name] for half in halves]) for name in halves[0]}
        assert all(torch.equal(value, joined[name]) for name, value in everything(batch).items())


def test_pairs_set_between_epochs_are_followed():
    loader = data.Loader(data.Digits(length=50), [PLAIN, views.Partner(PLAIN)], batch=16)
    made, seen = loader.batches(0, 6), []
    for step in range(6):
        if step % 3 == 0:
            loader.pair(np.full((50, 2), step))
        seen.append(next(made).drawn[1]["partner"])
    assert not torch.cat(seen[:3]).any() and (torch.cat(seen[3:]) == 3).all()


def test_a_broken_partner_is_replaced_by_the_next():
    class Broken(Noted):
        def __getitem__(self, index):
            if index == 11:
                raise data.Unreadable(index, "torn")
            return super().__getitem__(index)

    source = Broken()
    loader = data.Loader(source, [PLAIN, views.Partner(PLAIN)], batch=8, workers=0)
    loader.pair(np.full((50, 1), 11))
    (batch,) = loader.batches(0, 1)
    assert batch.drawn[1]["partner"].tolist() == [12] * 8 and loader.broken == {
        "picture 11": "torn"
    }


def test_invalid_pairs_are_refused():
    alone = data.Loader(data.Digits(length=50), PLAIN, batch=8)
    with pytest.raises(
        ConfigError,
        match=r"Loader: views: expected one that shows partners, got none; add views.Par",
    ):
        alone.pair(TABLE)
    for table in (TABLE[:40], TABLE + 1, TABLE[:, :0]):
        with pytest.raises(
            ValueError, match=r"Loader.pair: table: expected numbers of pictures \[50 k\], 0 to 49"
        ):
            pairs(table=table)
    with pytest.raises(
        ConfigError, match=r"Partner: pairs: expected partners set by Loader.pair, got none"
    ):
        list(data.Loader(data.Digits(length=50), views.Partner(PLAIN), batch=8).batches(0, 1))
    with pytest.raises(ValueError, match="Partner: view: expected one with its own crop"):
        views.Partner(views.Pretrain(8, like=0))


def one(*shown, source=None):
    return next(
        data.Loader(source or data.Digits(length=50), shown, batch=8, workers=0).batches(0, 1)
    )


@pytest.mark.parametrize("source", [None, Noted()])
def test_a_view_like_another_has_its_crop_and_flip(source):
    first, twin = (
        views.Pretrain(16, statistics="none"),
        views.Pretrain(16, like=0, scale=(0.9, 1), statistics="none"),
    )
    batch = one(first, views.Pretrain(16, statistics="none"), twin, source=source)
    assert torch.equal(batch.views[0], batch.views[2]) and not torch.equal(
        batch.views[0], batch.views[1]
    )
    assert torch.equal(batch.drawn[0]["box"], batch.drawn[2]["box"])
    small = one(first, views.Pretrain(8, like=0, statistics="half"), source=source)
    pictures = [(source or data.Digits(length=50))[i].image for i in small.index.tolist()]
    assert torch.allclose(
        small.views[1], resample(pictures, small.drawn[0]["box"], (8, 8)) * 2 - 1, atol=0.02
    )


def test_same_changes_repeats_the_changes_of_the_other_view():
    changes = (views.Jitter(p=1), views.Solarise())
    first = views.Pretrain(16, changes=changes, statistics="none")
    alike, own = (
        one(
            first, views.Pretrain(16, changes=changes, statistics="none", like=0, same_changes=same)
        )
        for same in (True, False)
    )
    assert torch.equal(*alike.views) and not torch.equal(*own.views)


def test_a_view_like_a_partner_shows_the_same_partner():
    for batch in pairs():
        assert torch.equal(batch.drawn[1]["partner"], batch.drawn[2]["partner"])
        assert torch.equal(batch.drawn[1]["box"], batch.drawn[2]["box"])
        assert batch.views[2].shape == (8, 3, 8, 8)


def test_a_user_s_view_needs_only_a_call():
    batch = one(lambda images, index, draw: images.float().mean((2, 3), keepdim=True), PLAIN)
    assert batch.views[0].shape == (8, 3, 1, 1) and batch.drawn[0] == {}


def test_views_like_a_missing_view_are_refused():
    twin = views.Pretrain(8, like=1, statistics="half")
    with pytest.raises(
        ValueError, match=r"expected Pretrain.like of view 1 to be an earlier view, 0 to 0, got 1"
    ):
        one(PLAIN, twin)
    with pytest.raises(ValueError, match=r"of view 0 to be None, as it is the first view, got 1"):
        one(twin, PLAIN)
    with pytest.raises(
        ValueError,
        match=r"expected view 0 to have the methods `drawn` and `show`, as Pretrain.like names it",
    ):
        one(lambda images, index, draw: images, views.Pretrain(8, like=0))


def test_notes_follow_their_pictures_through_every_wrapper_of_a_source():
    source = Noted()
    batch = one(PLAIN, source=source)
    assert batch.notes["time"].tolist() == (batch.index * 10.0).tolist() and batch.notes[
        "box"
    ].shape == (8, 2)
    half = subset(source, np.arange(0, 50, 2))
    assert noted(half, np.array([3]))["time"].tolist() == [60.0]
    assert noted(Memory(half, (3, 20, 24)), np.array([3, 1]))["time"].tolist() == [60.0, 20.0]
    assert noted(data.Digits(length=5), np.arange(2)) == {}
    source.notes = lambda index: {"time": np.zeros(3)}
    with pytest.raises(
        DataError, match=r"Noted.notes: time: expected one row for each of 2 pictures, got \[3\]"
    ):
        noted(source, np.arange(2))


def test_arrays_beside_the_pictures_are_notes(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8)
    others = {
        "time": np.arange(10) / 10,
        "where": np.ones((10, 2), np.float32),
        "names": np.array(["a"] * 10),
    }
    np.savez(
        tmp_path / "some.npz", images=pictures, labels=np.arange(10) % 2, size=np.array(3), **others
    )
    source = data.open(tmp_path / "some.npz")
    notes = noted(source, np.array([3, 0]))
    assert notes.keys() == {"time", "where"}
    assert notes["time"].tolist() == source.source.notes(source.ids[[3, 0]])["time"].tolist()


def test_a_batch_is_split_moved_and_kept_whole(tmp_path):
    batch = pairs(0, 1, source=Noted(), workers=0)[0]
    pieces = batch.to(torch.device("cpu")).split(3)
    assert [len(piece.index) for piece in pieces] == [3, 3, 2] and all(
        isinstance(p, Batch) for p in pieces
    )
    whole = everything(batch)
    for name in whole:
        assert torch.equal(torch.cat([everything(piece)[name] for piece in pieces]), whole[name])
    with pytest.raises(Diverged, match="at step 5"):
        replay.keep_and_raise(Folder(tmp_path), batch, 5, 0, 0, {}, "the loss is nan")
    kept = load_file(tmp_path / "nan" / "step-00000005-rank-0.safetensors")
    assert torch.equal(kept["notes/time"], batch.notes["time"]) and torch.equal(
        kept["view2"], batch.views[2]
    )
    assert torch.equal(kept["drawn2/box"], batch.drawn[1]["box"])


def test_the_draw_of_a_partner_is_named():
    partner = views.Partner(PLAIN)
    partner.pair(np.tile(np.arange(50), (50, 1)))
    index = torch.arange(50)
    first = partner.partner(index, Draw(0, 1, 1))
    assert torch.equal(first[10:], partner.partner(index[10:], Draw(0, 1, 1)))
    for other in (Draw(1, 1, 1), Draw(0, 2, 1), Draw(0, 1, 2)):
        assert not torch.equal(first, partner.partner(index, other))
    assert len(first.unique()) > 20
