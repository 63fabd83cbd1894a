"""States that do not fit are refused before any is made, with what would fit."""

import cProfile
import pstats
import tracemalloc

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.reduction.passes import _budget
from montezarr.statistics import Sample, Source
from montezarr.statistics._built_in import built_in_statistics

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


@pytest.mark.parametrize("kind", sorted(built_in_statistics()))
def test_the_bytes_of_a_state_are_known_before_there_is_one(kind):
    for statistic in built_in_statistics()[kind].examples():
        length = None if statistic.axis is None else 5
        axis = () if length is None else (length,)
        source = Source(times=np.arange(5.0), names=tuple("abcde"))
        state = statistic.chunk(Sample(np.empty((*axis, 7, 1, 0)), 0, source))
        held = sum(np.asarray(array).nbytes for array in state)
        assert statistic.state_bytes(7, source, length) == held


def test_a_matrix_of_a_million_times_is_refused_before_it_is_there(tmp_path):
    ds = mz.simulate(GBM, n_paths=20, T=10**6, x0=1.0, dt=1e-6, seed=1)
    tracemalloc.start()
    for call in (
        lambda: mz.reduce(ds.x, mz.Covariance()),
        lambda: mz.reduce(ds.x, ["mean", mz.Covariance()], compute=False),
        lambda: mz.plan(ds.x, mz.Covariance()),
        lambda: mz.stream(ds.x, mz.Covariance()),
        lambda: mz.write(ds, tmp_path / "a.zarr", statistics=mz.Covariance()),
    ):
        with pytest.raises(mz.MemoryBudgetError, match=r"^statistics: .*TiB.*slice\(None, None, "):
            call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**29
    assert not (tmp_path / "a.zarr").exists()


def ways(obj, statistics, monkeypatch, limit):
    monkeypatch.setattr(_budget, "memory_limit", lambda: limit)
    with pytest.raises(mz.MemoryBudgetError) as caught:
        mz.plan(obj, statistics) if "montezarr" in obj.attrs else mz.reduce(obj, statistics)
    return str(caught.value)


@pytest.fixture
def cells():
    values = np.random.default_rng(1).random((2000, 20, 30))
    return xr.DataArray(values, dims=("path", "y", "x"), name="h")


@pytest.mark.parametrize(
    "kind", [mz.Quantile, lambda **options: mz.ExpectedShortfall(0.95, **options)]
)
def test_quantiles_of_many_cells_come_with_the_error_that_fits(cells, kind, monkeypatch):
    text = ways(cells, ["mean", kind(relative_error=1e-4)], monkeypatch, 2**30)
    error = float(
        text.partition("would take")[0].rpartition("relative_error=")[2].split(",")[0].rstrip(") ")
    )
    assert 1e-4 < error <= 0.05
    mz.reduce(cells, ["mean", kind(relative_error=error)])
    assert "of the 600 cells at once" in text


def test_what_is_said_to_fit_fits(cells, monkeypatch):
    text = ways(cells, mz.Quantile(0.5, relative_error=0.05), monkeypatch, 2**26)
    fits = int(text.partition(" of the 600 cells")[0].rpartition(" ")[2])
    assert 1 <= fits < 600
    mz.reduce(
        cells.stack(cell=("y", "x")).isel(cell=slice(0, fits)).reset_index("cell"),
        mz.Quantile(0.5, relative_error=0.05),
    )


@pytest.mark.parametrize(
    ("statistic", "T"), [(mz.Covariance(), 1499), (mz.Quantile(relative_error=0.05), 3999)]
)
def test_fewer_times_are_named_where_they_fit(statistic, T, monkeypatch):
    ds = mz.simulate(GBM, n_paths=200, T=T, x0=1.0, dt=1e-3, seed=1)
    needed = mz.plan(ds.x, statistic).reduction_bytes
    text = ways(ds, statistic, monkeypatch, int(0.6 * needed))
    step = int(text.partition("slice(None, None, ")[2].partition(")")[0])
    assert step >= 2
    mz.plan(ds.x.isel(time=slice(None, None, step)), statistic)


def made(kind, k):
    names = [f"v{i}" for i in range(k)]
    if kind == "in memory":
        values = np.random.default_rng(k).random((k, 1030))
        return xr.Dataset({name: ("path", row) for name, row in zip(names, values, strict=True)})
    if kind == "chunked":
        return made("in memory", k).chunk(path=1024)
    if kind == "expressions":
        ds = mz.simulate(mz.BrownianMotion(), n_paths=64, T=2, seed=1)
        return xr.Dataset({name: ds.x.isel(time=-1) * i for i, name in enumerate(names)})

    def sampler(rng):
        return {name: rng.random(2) for name in names}

    return mz.simulate(sampler, n_paths=8, seed=1)


@pytest.mark.parametrize("kind", ["in memory", "chunked", "expressions", "a sampler"])
def test_many_variables_take_time_in_proportion(kind):
    """Counted in calls of functions, which no busy machine changes."""
    calls = []
    for k in (60, 60, 240):  # the first one also imports
        ds = made(kind, k)
        with cProfile.Profile() as profile, mz.backend("synchronous"):
            mz.reduce(ds, "mean")
        calls.append(pstats.Stats(profile).total_calls)
    assert calls[2] < 5 * calls[1], calls
