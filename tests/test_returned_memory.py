"""A computation that returns more than memory holds says so before it starts."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest

import montezarr as mz
from montezarr.execute import _returned

HESTON = mz.Heston(mu=0.03, kappa=2, theta=0.04, xi=0.3, rho=-0.7)
BYTES = 5000 * 11 * 8


@pytest.fixture
def ds(monkeypatch):
    monkeypatch.setattr(_returned, "memory_limit", lambda: 2 * BYTES - 1)
    return mz.simulate(HESTON, n_paths=5000, T=10, dt=0.1, seed=1, chunks=1024)


CALLS = {
    "values": lambda ds: ds.s.values,
    "compute": lambda ds: ds.compute(),
    "load": lambda ds: ds.copy().load(),
    "numpy": lambda ds: np.asarray(ds.s.data),
    "an expression": lambda ds: (ds.s**2 + ds.v).compute(),
    "two of them": lambda ds: dask.compute(ds.s, ds.v.mean()),
    "persist": lambda ds: ds.persist(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("backend", ["threads", "synchronous"])
def test_more_than_memory_is_told_before_it_starts(ds, call, backend, monkeypatch):
    started = []
    monkeypatch.setattr(_returned, "show_bytes", lambda size: f"<{size}>")
    with mz.backend(backend), warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr("montezarr.run._task.sample_range", lambda *_: started.append(1))
        with pytest.raises(mz.MontezarrWarning, match=r"returns <\d+>.*write.*isel\(time") as w:
            call(ds)
    assert not started
    assert f"<{2 * BYTES - 1}>" in str(w.value)


@pytest.mark.parametrize("call", list(CALLS.values())[:3], ids=list(CALLS)[:3])
def test_the_warning_points_to_who_asked(ds, call):
    with mz.backend("threads", n_jobs=2), pytest.warns(mz.MontezarrWarning) as caught:
        call(ds)
    assert [warning.filename for warning in caught] == [__file__]


def test_what_fits_and_what_is_small_is_not_told(ds, tmp_path, monkeypatch):
    """All warnings are errors here."""
    with mz.backend("threads", n_jobs=2):
        ds.s.mean("path").compute()
        dask.compute(ds.s.isel(time=-1), ds.v.max())
        ds.to_zarr(tmp_path / "a.zarr", consolidated=False)  # chunk by chunk
        mz.reduce(ds, "mean")
        mz.write(ds, tmp_path / "b.zarr")
        dask.delayed(sum)([1, 2]).compute()
        x = da.from_array(np.arange(100))
        x[x > 3].compute()  # of a size that nobody knows
        monkeypatch.setattr(_returned, "memory_limit", lambda: 2 * BYTES)
        _ = ds.s.values
    monkeypatch.setattr(_returned, "memory_limit", lambda: 1)
    ds.s.compute()  # where our scheduler is not in force, Dask says nothing
