"""Rows of paths that a compiled loop writes side by side: past the caches or not, the same."""

import numpy as np
import pytest

from montezarr.core import buffers
from montezarr.core.tunables.memory import BUFFER_ALIGNMENT_BYTES, STREAMED_ARRAY_MIN_BYTES
from montezarr.samplers._spread import WIDTH, spread

LARGE = STREAMED_ARRAY_MIN_BYTES


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "i2", "?", "c16"])
@pytest.mark.parametrize("bytes_of_all", [2**14, LARGE])
@pytest.mark.parametrize("first", [0, WIDTH, 3])
def test_only_the_columns_of_the_range_are_written(dtype, bytes_of_all, first):
    times, chosen = 5, np.array([0, 2, 3])
    width = -(-bytes_of_all // (len(chosen) * np.dtype(dtype).itemsize)) // 64 * 64 + 64
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 100, (times, 77)).astype(dtype)
    out = buffers.recycled_empty((len(chosen), width), dtype)
    out[:] = 1
    expected = out.copy()
    expected[:, first : first + 70] = rows[chosen, :70]
    assert spread(rows, chosen, out, first, first + 70)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("bytes_of_all", [2**14, LARGE])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_seen_where_it_is_chosen(bytes_of_all, bad):
    rows = np.ones((3, 40))
    rows[1, 39] = bad
    out = buffers.recycled_empty((2, bytes_of_all // 16), float)
    assert spread(rows, np.array([0, 2]), out, 0, 40)
    assert spread(rows, np.array([0, 1]), out, 0, 39)
    assert not spread(rows, np.array([0, 1]), out, 0, 40)


def test_an_array_begins_at_a_line_of_memory_and_a_smaller_one_reuses_the_memory():
    buffers._idle.clear()
    first = buffers.recycled_empty((3, 2**20), "f4")
    place = first.ctypes.data
    assert place % BUFFER_ALIGNMENT_BYTES == 0
    del first
    smaller = buffers.recycled_empty((2**19,), "f8")
    assert smaller.ctypes.data == place
    del smaller
    tiny = buffers.recycled_empty((2**20,), "u1")  # would hold twelve times what it needs
    assert tiny.nbytes == 2**20
    assert not buffers._idle
