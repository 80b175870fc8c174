"""The random numbers of the data path."""

import numpy as np

from pymim import philox


def test_known_answers():
    """The authors' table of Philox-4x32-10: key and counter 0, and nearly all ones."""
    assert [hex(w) for w in philox.words(philox.Name(0, 0, np.array([0])), 1)[0, 0]] == [
        "0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8",
    ]  # fmt: skip
    ones = [np.array([2**32 - 1], np.uint64)] * 4
    assert [hex(w[0]) for w in philox._rounds(ones, 2**64 - 1)] == [
        "0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd",
    ]  # fmt: skip


def test_every_part_of_a_name_counts():
    index = np.array([0, 1, 2**35])
    draws = [philox.words(philox.Name(seed, step, index, view), 2) for seed, step, view in
             [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 2**40, 0), (0, 0, 1)]]  # fmt: skip
    assert len({bytes(row) for draw in draws for row in draw.reshape(6, 4)}) == 30


def test_a_step_for_each_image():
    index = np.array([5, 5])
    both = philox.words(philox.Name(0, np.array([1, 2]), index), 1)
    assert (both[1] == philox.words(philox.Name(0, 2, index[:1]), 1)[0]).all()


def test_blocks_are_windows_of_one_stream():
    name = philox.Name(7, 8, np.array([9]))
    assert (philox.words(name, 3, first=2) == philox.words(name, 5)[:, 2:]).all()


def test_uniforms_are_uniform():
    drawn = philox.uniforms(philox.Name(0, 0, np.arange(10_000)), 1)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.abs(drawn.mean((0, 1)) - 0.5).max() < 0.01
