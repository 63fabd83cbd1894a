"""Compiled sums of blocks against their definitions in NumPy, on every bit."""

import numpy as np
import pytest

from montezarr.random.draws import has_kernel
from montezarr.statistics import _sums
from montezarr.statistics._moments import CentralSums, merge_sums

RNG = np.random.default_rng(7)


def rows(n, dtype="float64"):
    values = RNG.normal(size=(12, n)) * np.exp(RNG.normal(size=(12, 1)) * 9)
    values = values.astype(dtype)
    values[3, n // 2] = np.nan
    values[4] = np.nan
    values[5, 0] = np.inf
    values[6, 0], values[6, -1] = np.inf, -np.inf
    values[7] = 1.25
    values[8] = np.finfo(dtype).max
    return values


def same(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("n", [1, 15, 1000, 1023, 1024])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_central_sums_are_those_of_numpy(n, dtype, order):
    values = rows(n, dtype)
    wide = values.astype(np.float64)
    with np.errstate(all="ignore"):
        expected = _sums.reference_central_sums(wide, order)
        assert same(_sums.central_sums(values, order), expected)


@pytest.mark.parametrize("n", [1, 15, 1000, 1023, 1024])
def test_tree_sums_are_those_of_numpy(n):
    values = np.nan_to_num(rows(n), nan=0.0)
    with np.errstate(all="ignore"):
        assert _sums.tree_sum(values).tobytes() == _sums.reference_tree_sum(values).tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_single_value_that_is_not_finite_is_found(dtype):
    values = np.full((3, 501), np.finfo(dtype).max, dtype)
    values[1, ::2] = -values[1, ::2]
    values[2] = np.finfo(dtype).smallest_subnormal
    assert _sums.all_finite(values)
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, 700, values.size - 1):
            spoilt = values.copy()
            spoilt.flat[place] = bad
            assert not _sums.all_finite(spoilt)


@pytest.mark.skipif(not has_kernel(), reason="needs Numba")
@pytest.mark.parametrize("step", [1, 2])
def test_compiled_merges_are_those_of_numpy(step, monkeypatch):
    n = RNG.integers(1, 1025, (2, 40, 6))
    mean, sums = RNG.normal(size=(2, 40, 6)) * 1e3, RNG.uniform(0, 1e300, (2, 1, 40, 6))
    sums[0, 0, 3], mean[0, 4] = np.inf, 1e308
    a, b = (CentralSums(n[i, :, ::step], mean[i, :, ::step], sums[i, ..., ::step]) for i in (0, 1))
    with np.errstate(all="ignore"):
        found = merge_sums(a, b)
        monkeypatch.setattr("montezarr.statistics._moments.compiled", lambda: None)
        assert same(found, merge_sums(a, b))
