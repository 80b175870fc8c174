"""Clips: the embedded ones, and those of a folder of videos of any rate and size."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pymim import data, views
from pymim.data.moving import DIRECTIONS
from pymim.errors import DataError
from tests.data.test_sources import SHARED

av = pytest.importorskip("av")


def write_video(path, frames=60, fps=30, size=(64, 48), codec="libx264"):
    """Frame t is grey of level 4 t."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 12
        stream.options = {"qp": "1"}
        for t in range(frames):
            picture = np.full((size[1], size[0], 3), 4 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def frame_numbers(clip):
    return (clip.float().mean((0, 2, 3)) / 4).round().int().tolist()


@pytest.fixture
def folder(tmp_path):
    """Five videos: of several rates, sizes and containers, one shorter than a clip."""
    write_video(tmp_path / "a.mp4", 60, 30)
    write_video(tmp_path / "b.mp4", 60, 25, (32, 80))
    write_video(tmp_path / "c.mov", 50, 15, (90, 60))
    write_video(tmp_path / "d.mkv", 60, 60)
    write_video(tmp_path / "e.mp4", 5, 30)
    return tmp_path


def test_frames_are_sampled_with_stride_from_any_start(folder):
    source = data.open(folder, clip=data.Clip(frames=4, stride=3))
    assert isinstance(source, data.Videos) and len(source) == 5
    clip = source.clip(0, 0.0)
    assert clip.shape == (3, 4, 48, 64) and clip.dtype == torch.uint8
    assert frame_numbers(clip) == [0, 3, 6, 9]
    assert frame_numbers(source.clip(0, 0.5)) == [25, 28, 31, 34] == frame_numbers(source[0].image)
    assert frame_numbers(source.clip(0, 0.9999)) == [50, 53, 56, 59]
    assert frame_numbers(source.clip(2, 0.0)) == [0, 3, 6, 9]
    assert frame_numbers(source.clip(3, 0.5)) == [25, 28, 31, 34]


def test_the_stride_may_count_at_a_rate_of_its_own(folder):
    source = data.open(folder, clip=data.Clip(frames=4, stride=1, fps=10))
    assert frame_numbers(source.clip(0, 0.0)) == [0, 3, 6, 9]
    assert frame_numbers(source.clip(3, 0.0)) == [0, 6, 12, 18]


def test_a_short_video_repeats_its_last_frame(folder):
    source = data.open(folder, clip=data.Clip(frames=4, stride=2))
    assert frame_numbers(source.clip(4, 0.7)) == [0, 2, 4, 4]


def test_large_videos_are_shrunk_while_they_are_decoded(folder):
    source = data.Videos(folder, clip=data.Clip(2, 1, short=24))
    assert source.clip(0, 0.0).shape == (3, 2, 24, 32)
    assert source.clip(1, 0.0).shape == (3, 2, 60, 24)
    assert data.Videos(folder, channels=1).clip(0, 0.0).shape == (1, 16, 48, 64)
    with pytest.raises(DataError, match="Videos: channels: expected 1 or 3, got 4"):
        data.Videos(folder, channels=4)


def test_a_broken_video_is_replaced_and_listed(folder):
    (folder / "b.mp4").write_bytes(b"no video")
    whole = (folder / "d.mkv").read_bytes()
    (folder / "d.mkv").write_bytes(whole[: len(whole) // 8])
    loader = data.Loader(
        folder, views.Center(16), batch=5, workers=0, clip=data.Clip(4, 15), tolerate=0.5
    )
    batch = next(loader.batches(0, 1))
    assert batch.views[0].shape == (5, 3, 4, 16, 16)
    assert {Path(path).name for path in loader.broken} == {"b.mp4", "d.mkv"}
    assert sorted(batch.index.tolist()) == [0, 2, 2, 4, 4]


def test_starts_change_by_epoch_and_not_by_worker(folder):
    def batch_of(step, workers=0):
        loader = data.Loader(
            folder, views.Center(16), batch=5, workers=workers, clip=data.Clip(4, 2)
        )
        return next(loader.batches(step, step + 1))

    first, second = batch_of(0), batch_of(1)
    assert torch.equal(first.views[0], batch_of(0, workers=2).views[0])
    by_video = [batch.views[0][batch.index.argsort()] for batch in (first, second)]
    assert not torch.equal(by_video[0][0], by_video[1][0])


def test_class_folders_give_labels_and_a_test_set(tmp_path):
    for name in ("jump", "run"):
        for number in range(5):
            write_video(tmp_path / name / f"{number}.mp4", 8 + number)
    train, test = (
        data.open(tmp_path, clip=data.Clip(2, 1)),
        data.open(tmp_path, "test", clip=data.Clip(2, 1)),
    )
    assert train.classes == ["jump", "run"] and train.labels.tolist() == [0] * 4 + [1] * 4
    assert test.labels.tolist() == [0, 1]
    assert test.clip(1, 0.0).shape == test[1].image.shape == (3, 2, 48, 64)


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(
        DataError,
        match=r"Videos: path: expected videos in .*, got none; add files of the types \.mp4",
    ):
        data.Videos(tmp_path)


def test_real_videos():
    if not (SHARED / "videos").exists():
        pytest.skip("no videos here")
    source = data.open(SHARED / "videos", clip=data.Clip(8, 2, short=64))
    for number in range(len(source)):
        clip = source.clip(number, 0.4)
        assert clip.shape[:2] == (3, 8) and min(clip.shape[2:]) == 64
        assert clip.float().std() > 5
    view = views.Pretrain(32)(
        [source.clip(i, 0.1) for i in range(3)], torch.arange(3), views.view.Draw(seed=0, step=0)
    )
    assert view.shape == (3, 3, 8, 32, 32)


def test_embedded_clips_are_a_function_of_seed_and_index():
    source = data.open("digits-moving", clip=data.Clip(frames=6))
    clips = source.take(np.array([5, 9]))
    assert clips.shape == (2, 3, 6, 32, 32) and clips.dtype == torch.uint8
    assert torch.equal(clips[1], pickle.loads(pickle.dumps(source))[9].image)
    assert not torch.equal(clips[1], data.MovingDigits(frames=6, seed=1)[9].image)
    assert source[9].label == source.labels[9] and source.path(9) == "moving digit 9"
    assert np.bincount(source.labels, minlength=8).min() > 5000
    assert len(source.classes) == 8


def test_the_label_is_the_motion():
    source = data.MovingDigits(frames=5)
    index = np.arange(400)
    random = torch.rand(400, 4)
    path = source._path(
        random[:, :2], 32 - (12 + 6 * random[:, 2]), random[:, 3], source.labels[index]
    )
    path = path.view(400, 5, 2)
    assert torch.equal((path[:, -1] - path[:, 0]).sign().long(), DIRECTIONS[source.labels[index]])
    assert (path >= -1e-4).all() and (path.amax((1, 2)) <= 32 - 12).all()


def test_digits_and_backgrounds_move():
    clips = data.MovingDigits().take(np.arange(64)).float()
    assert ((clips[:, :, 1:] - clips[:, :, :-1]).abs().mean((1, 2, 3, 4)) > 1).all()


def test_views_treat_every_frame_of_a_clip_the_same():
    clip = data.MovingDigits().take(np.arange(3))
    still = clip[:, :, :1].expand(-1, -1, 4, -1, -1).contiguous()
    changes = [views.Jitter(p=1), views.Grey(p=0.5), views.Blur(p=1), views.Solarise(p=0.5)]
    for images in (still, list(still)):
        seen = views.Pretrain(16, changes=changes)(images, torch.arange(3), views.view.Draw(0, 1))
        assert seen.shape == (3, 3, 4, 16, 16)
        torch.testing.assert_close(seen, seen[:, :, :1].expand_as(seen))
    assert views.Center(24, share=0.875)(clip).shape == (3, 3, 8, 24, 24)
