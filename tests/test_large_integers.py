"""Integers that float64 cannot hold: paths keep every digit, statistics refuse to lose one."""

import warnings

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

LARGE = 2**60 + 1
REFUSED = r"expected integers within 2\*\*53 of 0.*difference from a number near them.*astype"


def walk(n_paths=3000, **options):
    return mz.simulate(mz.RandomWalk(), n_paths, 4, x0=LARGE, seed=1, **options)


def test_paths_keep_every_digit():
    steps = mz.simulate(mz.RandomWalk(), 3000, 4, seed=1)
    assert np.array_equal(walk().x - LARGE, steps.x)
    counts = mz.simulate(mz.PoissonProcess(rate=3.0), 3000, 4, x0=LARGE, seed=1)
    fresh = mz.simulate(mz.PoissonProcess(rate=3.0), 3000, 4, seed=1)
    assert np.array_equal(counts.x - LARGE, fresh.x)


@pytest.mark.parametrize("statistic", ["min", "max", "mean", "variance", "q05"])
def test_statistics_of_what_float64_cannot_hold_are_refused(statistic):
    for values in ([LARGE, LARGE + 2], [-LARGE, 0], [2**53 + 1, 0]):
        data = xr.DataArray(np.array(values), dims="path", name="x")
        for integers in (data, data.chunk(path=1)):
            with pytest.raises(mz.ArgumentValueError, match=f"^x: {REFUSED}"):
                mz.reduce(integers, statistic)
    with pytest.raises(mz.ArgumentValueError, match=f"^x: {REFUSED}"):
        mz.reduce(walk().x, statistic)


def test_unsigned_integers_and_groups_are_refused_too():
    large = xr.DataArray(np.array([2**63, 2**64 - 1], np.uint64), dims="path", name="n")
    with pytest.raises(mz.ArgumentValueError, match=f"^n: {REFUSED}"):
        mz.reduce(large, "max")
    values = xr.DataArray(np.arange(2.0), dims="path", name="x")
    groups = xr.DataArray(np.array([LARGE, LARGE + 2]), dims="path", name="group")
    with pytest.raises(mz.ArgumentValueError, match=f"^by: {REFUSED}"):
        mz.reduce(values, "mean", by=groups)


def test_the_remedies_work():
    ds = walk()
    expected = mz.reduce(mz.simulate(mz.RandomWalk(), 3000, 4, seed=1).x, ["min", "variance"])
    found = mz.reduce((ds.x - LARGE).rename("x"), ["min", "variance"])
    assert np.array_equal(found.x_min, expected.x_min)
    assert np.array_equal(found.x_variance, expected.x_variance)
    rough = mz.reduce(ds.x.astype("float64"), "mean").x_mean
    np.testing.assert_allclose(rough, LARGE, rtol=1e-15)


def test_what_float64_holds_is_exact():
    data = xr.DataArray(np.array([2**53, -(2**53), 2**53 - 1]), dims="path", name="x")
    found = mz.reduce(data, ["min", "max"])
    assert (int(found.x_min), int(found.x_max)) == (-(2**53), 2**53)


def test_the_number_that_stands_for_a_masked_path_does_not_count():
    def failing(rng):
        if rng.random() < 0.01:
            raise ValueError("now and then")
        return np.arange(3) + rng.integers(5)

    ds = mz.simulate(failing, 2000, 2, seed=1, on_error="mask")
    computed = ds.compute()
    assert computed.x.min() == np.iinfo(np.int64).min
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MontezarrWarning)  # that paths are masked
        for integers in (ds.x, computed.x):
            assert mz.reduce(integers, "min").x_min.values.tolist() == [0, 1, 2]
