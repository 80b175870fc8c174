"""A clip from any container equals the frames of a full decoding in order, turned for viewing."""

import os

import numpy as np
import pytest

from pymim import data
from tests.data.test_sources import SHARED
from tests.data.test_videos import frame_numbers, write_video

av = pytest.importorskip("av")

FRAMES, RATE = 60, 30


def encoded(
    path,
    codec="libx264",
    between=0,
    turned=None,
    sound=0.0,
    picture=None,
    size=(64, 48),
    **container,
):
    """Write a video: frame t is grey of level 4 t, or all frames are `picture`.

    between: B-frames in a row. sound: its seconds. container: options of the format.
    """
    with av.open(str(path), "w", options=container) as file:
        stream = file.add_stream(
            codec, rate=RATE, options={"b": "4M"} if "mpeg" in codec else {"qp": "1"}
        )
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 12
        stream.codec_context.max_b_frames = between
        if turned is not None:
            stream.set_display_rotation(turned)
        other = file.add_stream("aac", rate=48000) if sound else None
        for t in range(FRAMES):
            pixels = np.full((size[1], size[0], 3), 4 * t, np.uint8) if picture is None else picture
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
        for start in range(0, int(sound * 48000), 960):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((2, 960), np.float32), format="fltp", layout="stereo"
            )
            silence.rate, silence.pts = 48000, start
            file.mux(other.encode(silence))
        if other:
            file.mux(other.encode())
    return path


CONTAINERS = {
    "b-frames.mp4": {"between": 3},
    "fragments.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "plain.webm": {"codec": "libvpx"},
    "no-duration.webm": {"codec": "libvpx", "live": "1"},
    "no-duration.mkv": {"live": "1", "between": 2},
    "sound-goes-on.mkv": {"sound": 6.0},
    "sound-goes-on.mp4": {"sound": 6.0},
    "no-duration-sound.mkv": {"sound": 6.0, "live": "1"},
    "plain.ts": {},
    "b-frames.ts": {"between": 3},
    "plain.mpg": {"codec": "mpeg1video"},
    "b-frames.mpg": {"codec": "mpeg2video", "between": 2},
    "plain.avi": {"codec": "mpeg4"},
    "b-frames.avi": {"codec": "mpeg4", "between": 2},
    "b-frames-h264.avi": {"between": 3},
    "plain.wmv": {"codec": "wmv2"},
    "plain.flv": {"between": 2},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_right_frames(tmp_path, name):
    encoded(tmp_path / name, **CONTAINERS[name])
    with av.open(str(tmp_path / name)) as file:
        means = [frame.to_ndarray(format="gray").mean() for frame in file.decode(video=0)]
    assert len(means) == FRAMES
    source = data.Videos(tmp_path, channels=1, clip=data.Clip(frames=5, stride=4))
    for begin in (0, 7, 20, 31, 43):
        clip = source.clip(0, min(0.9999, begin / 43)).float().mean((0, 2, 3))
        right = [means[begin + 4 * t] for t in range(5)]
        np.testing.assert_allclose(clip, right, atol=1.5)


def test_frames_of_a_file_are_found_again_once_it_was_read_through(tmp_path):
    encoded(tmp_path / "a.mkv", live="1")
    source = data.Videos(tmp_path, clip=data.Clip(frames=2, stride=1))
    assert [frame_numbers(source.clip(0, begin / 58)) for begin in (30, 5)] == [[30, 31], [5, 6]]


def right_way_up(size=(64, 48)):
    """A bright top left, a dark bottom left, greys between at the right."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[: size[1] // 2, : size[0] // 2], picture[size[1] // 2 :, : size[0] // 2] = 240, 20
    picture[: size[1] // 2, size[0] // 2 :], picture[size[1] // 2 :, size[0] // 2 :] = 160, 90
    return picture


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("turned", "quarters"), [(90, 1), (180, 2), (-90, 3)])
def test_a_turned_video_is_shown_upright(tmp_path, suffix, turned, quarters):
    """FFmpeg's angle goes against the clock, as numpy's turns do."""
    picture = right_way_up()
    encoded(tmp_path / f"a.{suffix}", turned=turned, picture=picture)
    seen = data.Videos(tmp_path, clip=data.Clip(2, 1)).clip(0, 0.5)[:, 1].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(seen.astype(int), np.rot90(picture, quarters), atol=30)
    assert np.abs(seen.astype(int) - np.rot90(picture, quarters)).mean() < 4


def patched(path, matrix):
    """Write a display matrix into the header of an .mp4's track."""
    file = path.read_bytes()
    at = file.index(b"tkhd") + 4 + 40
    path.write_bytes(file[:at] + np.array(matrix, ">i4").tobytes() + file[at + 36 :])


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
        ((1, 0, 0, -1), lambda picture: picture[::-1]),
        ((0, 1, 1, 0), lambda picture: picture.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda picture: picture[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_a_mirrored_video_is_shown_mirrored(tmp_path, matrix, seen):
    a, b, c, d = (value << 16 for value in matrix)
    patched(encoded(tmp_path / "a.mp4", picture=right_way_up()), [a, b, 0, c, d, 0, 0, 0, 1 << 30])
    clip = data.Videos(tmp_path, channels=1, clip=data.Clip(1, 1)).clip(0, 0.5)[0, 0].numpy()
    right = seen(right_way_up())[..., 0]
    assert clip.shape == right.shape and np.abs(clip.astype(int) - right).mean() < 4


def test_a_video_turned_by_less_than_a_quarter_is_refused(tmp_path):
    slant = 46341
    patched(encoded(tmp_path / "a.mp4"), [slant, slant, 0, -slant, slant, 0, 0, 0, 1 << 30])
    with pytest.raises(
        data.Unreadable, match=r"matrix that turns by quarters, got .*; encode the video again"
    ):
        data.Videos(tmp_path).clip(0, 0.0)


def cut(path, share):
    file = path.read_bytes()
    path.write_bytes(file[: int(len(file) * share)])


def sound_only(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
        )
        silence.rate, silence.pts = 48000, 0
        file.mux([*stream.encode(silence), *stream.encode()])


BROKEN = {
    "empty.mp4": (lambda path: path.write_bytes(b""), "Invalid data"),
    "text.mp4": (lambda path: path.write_bytes(b"no video " * 99), "Invalid data"),
    "playlist.mp4": (
        lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n"),
        "Invalid data",
    ),
    "list.ts": (
        lambda path: path.write_text("ffconcat version 1.0\nfile other.mp4\n"),
        "got a playlist",
    ),
    "folder.mp4": (lambda path: path.mkdir(), "expected a file, got a folder, a pipe or a device"),
    "pipe.mp4": (os.mkfifo, "expected a file, got a folder, a pipe or a device"),
    "gone.mp4": (lambda path: None, "expected a file"),
    "sound.mp4": (sound_only, "expected a video, got a file without pictures"),
    "cut.mkv": (
        lambda path: cut(encoded(path, sound=6.0, live="0"), 0.3),
        "cut short: expected 6.0 s, got",
    ),
    "cut-header.mp4": (lambda path: cut(encoded(path), 0.7), "without pictures, or cut short"),
    "cut-end.mp4": (lambda path: cut(encoded(path, movflags="faststart"), 0.3), "Invalid data"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_video_is_named_with_its_reason(tmp_path, name):
    make, reason = BROKEN[name]
    encoded(tmp_path / "other.mp4")
    make(tmp_path / name)
    source = data.Videos(tmp_path, clip=data.Clip(4, 10))
    source.files = [name]
    with pytest.raises(data.Unreadable, match=reason):
        source.clip(0, 0.9)


def test_file_names_are_never_read_as_addresses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "concat:x|y.mp4", "100% #1?.mp4"):
        encoded(tmp_path / name)
    source = data.Videos("", clip=data.Clip(2, 1))
    assert len(source) == 3 and {
        frame_numbers(source.clip(number, 0.0))[1] for number in range(3)
    } == {1}


def test_real_videos_give_the_frames_of_a_full_decoding():
    if not (SHARED / "videos").exists():
        pytest.skip("no videos here")
    source = data.Videos(
        SHARED / "videos", channels=1, clip=data.Clip(frames=3, stride=2, short=32)
    )
    for number, name in enumerate(source.files):
        if (SHARED / "videos" / name).stat().st_size > 1e6:
            continue  # decoding all of it takes seconds
        with av.open(str(SHARED / "videos" / name)) as file:
            every = [source._pixels(frame) for frame in file.decode(video=0)]
        for start in (0.0, 0.37, 0.8):
            begin = int(start * max(1, len(every) - 4))
            right = [every[min(begin + 2 * t, len(every) - 1)] for t in range(3)]
            clip = source.clip(number, start)[0].numpy()
            assert all(map(np.array_equal, clip, right)), (name, start)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize(("frames", "stride"), [(5, 4), (4, 3), (3, 1)])
def test_the_steps_of_a_clip_are_even_for_any_length(tmp_path, suffix, frames, stride):
    """Halves of a frame were rounded both ways: 15, 19, 24, 27."""
    for length in range(13, 61):
        write_video(tmp_path / f"{length}.{suffix}", length, 30)
    source = data.Videos(tmp_path, clip=data.Clip(frames, stride))
    for number, name in enumerate(source.files):
        length = int(name.partition(".")[0])
        begin = max(0, length - stride * (frames - 1)) // 2
        right = [min(begin + stride * t, length - 1) for t in range(frames)]
        assert frame_numbers(source[number].image) == right, length


@pytest.mark.parametrize(("fps", "steps"), [(20, {(2, 1), (1, 2)}), (15, {(2, 2)}), (30, {(1, 1)})])
def test_a_given_rate_rounds_half_frames_one_way(tmp_path, fps, steps):
    for length in range(20, 60, 3):
        write_video(tmp_path / f"{length}.mkv", length, 30)
    source = data.Videos(tmp_path, clip=data.Clip(9, 1, fps=fps))
    for number in range(len(source)):
        found = np.diff(frame_numbers(source[number].image)).reshape(4, 2)
        assert len({*map(tuple, found)}) == 1 and {*map(tuple, found)} <= steps, source.files[
            number
        ]
