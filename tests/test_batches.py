"""`batches`: in order, of bounded memory, every path once."""

import sys

import backend_samplers as samplers
import numpy as np
import pytest
import xarray as xr
from leaks import check_nothing_left, snapshot

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


@pytest.mark.parametrize("size", [1, 700, 1024, 3000, 5000, 10**6])
@pytest.mark.parametrize(
    "process", [GBM, samplers.Batch(), samplers.Loop()], ids=lambda p: type(p).__name__
)
def test_batches_put_together_are_the_whole(process, size):
    n = 30 if size == 1 else 5000
    ds = mz.simulate(process, n, 6, 1.0, seed=3, chunks=2048)
    parts = list(mz.batches(ds, size))
    assert [p.sizes["path"] for p in parts] == [min(size, n - start) for start in range(0, n, size)]
    assert [p.attrs["path_offset"] for p in parts] == list(range(0, n, size))
    whole = xr.concat(parts, "path", combine_attrs="drop_conflicts")
    assert whole.drop_attrs(deep=False).identical(ds.compute().drop_attrs(deep=False))
    assert all(isinstance(p.x.data, np.ndarray) for p in parts)


def test_the_accessor_forwards():
    ds = mz.simulate(GBM, 2000, 3, 1.0, seed=3)
    assert [part.sizes["path"] for part in ds.mz.batches(1500)] == [1500, 500]


def test_every_path_is_drawn_once_and_few_ahead():
    counting = samplers.Counting()
    ds = mz.simulate(counting, 4000, 5, 1.0, seed=1, chunks=4096)
    counting.drawn.clear()
    with mz.backend("threads", 2):
        parts = mz.batches(ds, 500)
        next(parts)
        assert len(counting.drawn) <= 4 * 500
        list(parts)
    assert sorted(counting.drawn) == list(range(4000))


def test_derived_datasets_and_stores_are_computed_in_parts(tmp_path):
    ds = mz.simulate(GBM, 5000, 6, 100.0, seed=3, chunks=1024)
    derived = ds.assign(y=ds.x * 2).isel(time=[0, -1])
    stored = mz.write(ds, tmp_path / "a.zarr")
    held = mz.MonteCarloEngine(GBM).simulate(5000, 6, 100.0, seed=3).dataset
    for source in (derived, stored, held, ds.compute()):
        parts = list(mz.batches(source, 1700))
        assert [p.attrs["path_offset"] for p in parts] == [0, 1700, 3400]
        for name in source.data_vars:
            joined = np.concatenate([p[name].values for p in parts])
            assert np.array_equal(joined, source[name].values)


@pytest.mark.parametrize("name", ["processes", "joblib", "threads"])
def test_an_iterator_that_is_left_half_way_leaves_nothing(name):
    before = snapshot()
    ds = mz.simulate(samplers.Loop(), 5000, 20, 1.0, seed=3)
    with mz.backend(name, 2):
        for part in mz.batches(ds, 500):
            assert part.sizes["path"] == 500
            break
    check_nothing_left(before)


def test_what_is_no_batch_is_refused(monkeypatch):
    ds = mz.simulate(GBM, 5000, 6, 100.0, seed=3)
    for bad in (0, -1, 2.5, "10", True):
        with pytest.raises((TypeError, ValueError), match="size"):
            mz.batches(ds, bad)
    with pytest.raises(TypeError, match="ds: expected a Dataset"):
        mz.batches(ds.x, 10)
    with pytest.raises(ValueError, match="dimension path"):
        mz.batches(ds.isel(path=0), 10)
    monkeypatch.setattr(sys.modules["montezarr.engine._batches"], "memory_limit", lambda: 10_000)
    with pytest.raises(mz.MemoryBudgetError, match="three batches"):
        mz.batches(ds, 1000)


def test_a_failing_path_is_raised_in_its_turn():
    ds = mz.simulate(samplers.Failing(2600), 5000, 6, 1.0, seed=3)
    seen = []
    parts = (part.attrs["path_offset"] for part in mz.batches(ds, 1000))
    with mz.backend("threads", 2), pytest.raises(mz.SamplerError, match="path 2600"):
        seen.extend(parts)
    assert seen in ([0], [0, 1000])
