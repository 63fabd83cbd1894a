"""Events as states at given times, as a long table, and as CF calls ragged."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import montezarr as mz
from montezarr.store.export import export

N = 1100
TIMES = np.array([-1.0, 0.0, 0.3, 0.7, 1.0, 3.0])


def walk(rng, rate=4.0):
    n = rng.poisson(rate)
    t = np.sort(rng.random(n))
    return {"event_time": t, "x": rng.normal(size=n), "k": rng.integers(0, 9, n),
            "v": rng.random((n, 2))}  # fmt: skip


@pytest.fixture(autouse=True)
def in_this_process():
    with mz.backend("threads", 1):
        yield


@pytest.fixture(scope="module")
def ds():
    dims = {"v": ("event", "leg")}
    return mz.simulate(walk, N, seed=1, dims=dims, max_events=32, coords={"leg": ["a", "b"]})


@pytest.fixture(scope="module")
def drawn(ds):
    return ds.compute(scheduler="synchronous")


def event_rows(drawn, name):
    """For each path the times and values of its events."""
    for i in range(N):
        n = int(drawn.n_events[i])
        yield drawn.event_time.values[i, :n], drawn[name].values[i, :n]


def test_counts_are_those_of_a_search(ds, drawn):
    found = mz.on_grid(ds, TIMES, "x", method="count")
    assert found.name == "n_events"
    assert found.dtype == np.int64
    assert found.chunks is not None
    right = [np.searchsorted(t, TIMES, "right") for t, _ in event_rows(drawn, "x")]
    np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(found[:, -1], drawn.n_events)
    np.testing.assert_array_equal(found.time, TIMES)


@pytest.mark.parametrize("before", [None, 5.0])
def test_previous_is_the_state_of_the_last_event(ds, drawn, before):
    found = mz.on_grid(ds, TIMES, "x", before=before).values
    for i, (t, x) in enumerate(event_rows(drawn, "x")):
        after = np.searchsorted(t, TIMES, "right")
        right = np.concatenate([[np.nan if before is None else before], x])[after]
        np.testing.assert_array_equal(found[i], right)


def test_linear_is_that_of_numpy(ds, drawn):
    found = mz.on_grid(ds, TIMES, "x", method="linear", before=-2.0).values
    for i, (t, x) in enumerate(event_rows(drawn, "x")):
        right = np.interp(TIMES, t, x, left=-2.0) if len(t) else np.full(TIMES.size, -2.0)
        np.testing.assert_allclose(found[i], right, rtol=1e-12)


def test_further_dimensions_and_whole_numbers_keep_theirs(ds, drawn):
    v = mz.on_grid(ds, TIMES, "v")
    assert v.dims == ("path", "leg", "time")
    assert list(v.leg) == ["a", "b"]
    one = mz.on_grid(drawn.assign(v=drawn.v.isel(leg=1)), TIMES, "v")
    xr.testing.assert_equal(v.isel(leg=1, drop=True).compute(), one)
    k = mz.on_grid(ds, TIMES, "k")
    assert k.dtype == np.int64
    assert (k.isel(time=0) == k.attrs["masked_value"]).all()
    assert (mz.on_grid(ds, TIMES, "k", before=7).isel(time=0) == 7).all()


def test_it_is_the_same_in_every_chunking_and_reduced_block_by_block(ds, drawn):
    right = mz.on_grid(drawn, TIMES, "x", method="count")
    xr.testing.assert_identical(mz.on_grid(ds, TIMES, "x", method="count").compute(), right)
    found = mz.reduce(mz.on_grid(ds, TIMES, "x", method="count").to_dataset(), "mean")
    np.testing.assert_allclose(found.n_events_mean, right.mean("path"))
    rate = mz.on_grid(ds, TIMES, "x", method="count").diff("time") / np.diff(TIMES)
    rates = mz.reduce(rate.to_dataset(name="rate"), "mean").rate_mean
    np.testing.assert_allclose(rates, right.mean("path").diff("time") / np.diff(TIMES))
    # Uniform times of 4 events on [0, 1]: a rate of 4 inside, and none outside.
    assert abs(float(rates[2]) - 4.0) < 5 * np.sqrt(4.0 / 0.4 / N)
    assert rates[0] == 0


def test_scenarios_are_put_on_the_grid_side_by_side():
    vary = {"rate": xr.DataArray([2.0, 9.0], dims="rate")}
    ds = mz.simulate(walk, 50, seed=1, vary=vary, max_events={"event": None})
    found = mz.on_grid(ds, TIMES, "x", method="count")
    assert found.dims == ("rate", "path", "time")
    xr.testing.assert_equal(found.isel(time=-1, drop=True).compute(), ds.n_events.compute())
    table = mz.events_frame(ds)
    assert len(table) == int(ds.n_events.sum())
    assert set(table.rate) == {2.0, 9.0}


def test_masked_paths_stay_masked():
    def fails(rng):
        t = rng.random(rng.poisson(3.0))
        if len(t) > 5:
            raise ValueError("too many")
        return {"event_time": np.sort(t)}

    ds = mz.simulate(fails, 200, seed=0, max_events=9, on_error="mask").compute()
    is_masked = (ds.n_events < 0).values
    found = mz.on_grid(ds, TIMES, "event_time", method="count")
    assert ((found == found.attrs["masked_value"]).all("time") == is_masked).all()
    states = mz.on_grid(ds, TIMES, "event_time", before=0.0)
    assert (states.isnull().all("time") == is_masked).all()
    assert is_masked.any()


def test_times_of_events_may_not_decrease():
    ds = mz.simulate(lambda rng: {"event_time": rng.random(5)}, 20, seed=0, max_events=9)
    with pytest.raises(mz.ArgumentValueError, match="times that do not decrease"):
        mz.on_grid(ds, TIMES, "event_time", method="count").compute()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [1.0, 0.0]}, "increasing times"),
        ({"variable": "y"}, "name of a variable"),
        ({"variable": "n_events"}, "a variable with events"),
        ({"event_time": "n_events"}, "times of events"),
        ({"method": "cubic"}, "method: expected"),
        ({"variable": "k", "before": 0.5}, "a state that int64 holds"),
    ],
)
def test_arguments_are_checked(ds, arguments, message):
    with pytest.raises(mz.ArgumentValueError, match=message):
        mz.on_grid(ds, **({"times": TIMES, "variable": "x"} | arguments))
    with pytest.raises(mz.ArgumentValueError, match="their number"):
        mz.on_grid(ds[["x"]], TIMES, "x")


def test_the_long_table_has_a_row_for_each_event(ds, drawn):
    table = mz.events_frame(ds)
    assert list(table) == ["path", "event", "event_time", "x", "k", "v_a", "v_b"]
    assert len(table) == int(drawn.n_events.sum())
    right = pd.concat(
        [pd.DataFrame({"path": i, "event": range(len(t)), "x": x})
         for i, (t, x) in enumerate(event_rows(drawn, "x"))], ignore_index=True,
    )  # fmt: skip
    pd.testing.assert_frame_equal(table[["path", "event", "x"]], right, check_dtype=False)
    assert (table.k >= 0).all()


def test_the_ragged_form_goes_to_netcdf_and_back(ds, drawn, tmp_path):
    ragged = mz.events_ragged(ds)
    assert ragged.sizes["event"] == int(drawn.n_events.sum())
    assert ragged.n_events.attrs["sample_dimension"] == "event"
    np.testing.assert_array_equal(ragged.x, mz.events_frame(ds).x)
    ragged.to_netcdf(tmp_path / "events.nc", engine="h5netcdf")
    again = xr.open_dataset(tmp_path / "events.nc", engine="h5netcdf")
    np.testing.assert_array_equal(again.x, ragged.x)
    ends = again.n_events.cumsum()
    np.testing.assert_array_equal(again.x[int(ends[4]) : int(ends[5])],
                                  [*event_rows(drawn, "x")][5][1])  # fmt: skip


def test_a_store_is_exported_as_a_long_table(ds, tmp_path):
    mz.write(ds, tmp_path / "s.zarr", storage=mz.Storage(compression="zstd"))
    export(tmp_path / "s.zarr", tmp_path / "events.parquet")
    table = pd.read_parquet(tmp_path / "events.parquet")
    right = mz.events_frame(ds)
    pd.testing.assert_frame_equal(table[list(right)], right)
    assert (table.groupby("path").size() == table.groupby("path").n_events.first()).all()
    part = export(tmp_path / "s.zarr", tmp_path / "p.parquet", start=1030, stop=1040)
    some = pd.read_parquet(part.file)
    some = some[list(right)].reset_index(drop=True)
    wanted = right[(right.path >= 1030) & (right.path < 1040)].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, wanted)


def test_polars_and_duckdb_read_the_long_table(ds, tmp_path):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    mz.write(ds, tmp_path / "s.zarr")
    file = export(tmp_path / "s.zarr", tmp_path / "events.parquet").file
    right = mz.events_frame(ds)
    found = polars.read_parquet(file)
    for name in right:
        np.testing.assert_array_equal(found[name].to_numpy(), right[name])
    query = f"select path, count(*), max(x) from '{file}' group by path order by path"
    rows = duckdb.sql(query).fetchall()
    groups = right.groupby("path").x
    assert rows == list(zip(groups.size().index, groups.size(), groups.max(), strict=True))


def test_padded_events_go_to_netcdf_and_back(ds, drawn, tmp_path):
    mz.write(ds, tmp_path / "s.zarr")
    export(tmp_path / "s.zarr", tmp_path / "events.nc")
    with xr.open_dataset(tmp_path / "events.nc", engine="h5netcdf") as found:
        assert found.n_events.attrs["sample_dimension"] == "event"
        for name in ("event_time", "x", "v"):
            np.testing.assert_array_equal(found[name], drawn[name])
        # Padding is missing, as netCDF has it.
        np.testing.assert_array_equal(found.k.notnull().sum("event"), drawn.n_events)
        np.testing.assert_array_equal(found.k.fillna(drawn.k.masked_value), drawn.k)
        ragged = xr.load_dataset(tmp_path / "events.nc", engine="h5netcdf")
        xr.testing.assert_equal(mz.events_ragged(ragged).x, mz.events_ragged(ds).x)


def test_padding_costs_next_to_nothing_compressed(ds, tmp_path):
    wide = mz.simulate(walk, N, seed=1, dims={"v": ("event", "leg")}, max_events=640,
                       coords={"leg": ["a", "b"]})  # fmt: skip
    sizes = []
    for name, one in (("narrow", ds), ("wide", wide)):
        mz.write(one, tmp_path / name, storage=mz.Storage(compression="zstd"))
        sizes.append(sum(f.stat().st_size for f in (tmp_path / name).rglob("*") if f.is_file()))
    print(f"{sizes[0] / N:.0f} bytes per path with room for 32 events, {sizes[1] / N:.0f} for 640")
    assert sizes[1] < 1.1 * sizes[0]
