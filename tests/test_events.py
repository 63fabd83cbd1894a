"""Events: paths that differ in length, padded, with their number beside them."""

import gc
import json
from typing import NamedTuple

import numba
import numpy as np
import pytest
import xarray as xr

import montezarr as mz

N = 1300


def queue(rng, rate=5.0):
    """Arrivals with marks, departures by two coordinates, and a number."""
    n, m = rng.poisson(rate), rng.poisson(2 * rate)
    return {
        "t": np.sort(rng.random(n)), "mark": rng.integers(0, 3, n).astype(np.int32),
        "place": rng.random((m, 2)), "size": float(n),
    }  # fmt: skip


DIMS = {"t": ("arrival",), "mark": ("arrival",), "place": ("departure", "leg")}
STREAMS = {"dims": DIMS, "max_events": {"arrival": None, "departure": None}}


class Jumps:
    """An object with times and states of its own length."""

    def sample_path(self, T, x0, rng):
        times = [0.0]
        while times[-1] < T:
            times.append(times[-1] + rng.exponential(1.0))
        return History(np.array(times), x0 + np.arange(len(times)))


class History(NamedTuple):
    times: np.ndarray
    states: np.ndarray


def blocks(rng, n):
    """A list of arrays, one for each path."""
    return {"t": [rng.random(k) for k in rng.poisson(3.0, n)], "u": rng.random(n)}


def padded_blocks(rng, n):
    """Arrays with the numbers of events beside them; what is beyond is anything."""
    counts = rng.poisson(3.0, n)
    mark = rng.integers(0, 5, (n, counts.max(initial=0)))
    return {"mark": mark, "n_arrivals": counts}


class Padded(NamedTuple):
    t: np.ndarray
    n_events: int


@numba.njit
def buffered(rng):
    t, k, now = np.zeros(64), 0, rng.exponential(0.2)
    while now < 1.0:
        t[k] = now
        k += 1
        now += rng.exponential(0.2)
    return Padded(t, k)


CASES = {
    "streams": (queue, STREAMS),
    "no grid": (lambda rng: {"t": rng.random(rng.poisson(4.0))}, {"max_events": {"event": None}}),
    "object": (Jumps(), {"T": 5, "x0": 2.0}),
    "blocks": (blocks, {"dims": {"t": ("event",)}}),
    "numbers": (padded_blocks, {"max_events": {"arrival": 40}}),
    "compiled": (buffered, {"dims": {"t": ("event",)}}),
    "cut": (queue, {"dims": DIMS, "on_overflow": "truncate",
                    "max_events": {"arrival": 6, "departure": 9}}),
    "scenarios": (queue, {**STREAMS, "vary": {"rate": xr.DataArray([2.0, 9.0], dims="rate")}}),
    "per path": (queue, {**STREAMS, "vary": {"rate": mz.Uniform(low=1.0, high=9.0)}}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_this_process():
    with mz.backend("threads", 1):
        yield


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def simulated(case, n=N, **more):
    process, arguments = case
    return mz.simulate(process, n, seed=3, **(arguments | more))


def test_every_chunking_store_and_replay_has_the_same_paths(case, tmp_path):
    ds = simulated(case)
    right = ds.compute()
    xr.testing.assert_identical(right, simulated(case, chunks=1024).compute())
    few = simulated(case, 5).compute()
    xr.testing.assert_equal(few, right.isel(path=slice(5)))
    for path in (0, 1024, N - 1):
        xr.testing.assert_equal(mz.replay(ds, path), right.isel(path=path))
    mz.write(simulated(case, 1050), tmp_path / "s.zarr")
    mz.extend(tmp_path / "s.zarr", N)
    stored = mz.open(tmp_path / "s.zarr")
    xr.testing.assert_equal(stored.compute(), right)
    assert not mz.verify(tmp_path / "s.zarr").problems
    xr.testing.assert_equal(mz.replay(stored, 7), right.isel(path=7))
    virtual = xr.open_zarr(mz.VirtualStore(ds), consolidated=False)
    xr.testing.assert_equal(virtual.compute(), right)


def test_events_fill_the_front_and_padding_the_rest(case):
    right = simulated(case).compute()
    for number in right.data_vars.values():
        dim = number.attrs.get("sample_dimension")
        for variable in right.data_vars.values() if dim else ():
            if dim in variable.dims:
                is_event = xr.DataArray(np.arange(right.sizes[dim]), dims=dim) < number
                masked = variable.attrs.get("masked_value", np.nan)
                is_padding = np.isnan(variable) if masked != masked else variable == masked
                assert (is_event != is_padding).all()


def test_numbers_of_events_are_those_that_were_returned():
    ds = simulated(CASES["streams"]).compute()
    assert ds.n_arrivals.dtype == np.int64
    assert (ds.n_arrivals == ds["size"]).all()
    assert abs(ds.n_departures.mean() - 10) < 5 * np.sqrt(10 / N)


def test_a_path_is_what_the_function_returns():
    ds = simulated(CASES["streams"]).compute()
    for path in (0, 17):
        alone = queue(np.random.default_rng(np.random.SeedSequence(3, spawn_key=(path,))))
        one = ds.isel(path=path)
        for name in ("t", "mark", "place"):
            assert (one[name][: len(alone[name])] == alone[name]).all()


def test_an_object_of_its_own_length_has_event_times():
    ds = simulated(CASES["object"]).compute()
    assert ds.event_time.dims == ds.x.dims == ("path", "event")
    assert (ds.n_events >= 2).all()
    assert len(np.unique(ds.n_events)) > 3
    assert (ds.x.isel(event=0) == 2.0).all()


def test_a_list_and_padded_arrays_may_have_no_events_at_all():
    ds = mz.simulate(lambda rng: {"t": np.empty(0)}, 3, seed=0, max_events={"event": None})
    assert (ds.compute().n_events == 0).all()
    assert ds.t.isnull().all()


def test_scenarios_are_their_separate_runs():
    ds = simulated(CASES["scenarios"]).compute()
    rooms = {"arrival": ds.sizes["arrival"], "departure": ds.sizes["departure"]}
    for rate in (2.0, 9.0):
        alone = mz.simulate(queue, N, seed=3, dims=DIMS, max_events=rooms, rate=rate).compute()
        for name in alone.data_vars:
            xr.testing.assert_equal(ds[name].sel(rate=rate, drop=True), alone[name])


def test_room_determines_no_path_and_is_not_in_the_recipe():
    wide = simulated(CASES["streams"], max_events={"arrival": 50, "departure": 90})
    narrow = simulated(CASES["streams"])
    assert wide.attrs["montezarr"] == narrow.attrs["montezarr"]
    assert wide.t.data.name != narrow.t.data.name
    assert mz.replay(wide, 3).sizes["arrival"] == 50
    assert mz.replay(narrow, 3).sizes["arrival"] == narrow.sizes["arrival"]
    same = wide.compute().isel(arrival=slice(narrow.sizes["arrival"]))
    xr.testing.assert_equal(same.t, narrow.t.compute())


def test_the_measured_room_is_the_same_at_every_call():
    one, two = simulated(CASES["streams"]), simulated(CASES["streams"], 9)
    assert one.sizes["arrival"] == two.sizes["arrival"]
    longest = one.compute().n_arrivals.isel(path=slice(64)).max()
    assert one.sizes["arrival"] >= 2 * longest


def test_a_path_without_room_fails_with_its_length():
    ds = simulated(CASES["streams"], max_events={"arrival": 9, "departure": None})
    with pytest.raises(mz.SamplerError, match=r"events along 'arrival'.*max_events = 9") as caught:
        ds.compute()
    path = caught.value.path
    numbers = simulated(CASES["streams"]).compute().n_arrivals.values
    assert numbers[path] > 9
    assert f"returned {numbers[path]} events" in str(caught.value)


def test_a_path_without_room_may_be_masked():
    ds = simulated(CASES["streams"], max_events={"arrival": 9, "departure": None}, on_error="mask")
    numbers = simulated(CASES["streams"]).compute().n_arrivals
    found = ds.compute()
    assert ((found.n_arrivals < 0) == (numbers > 9)).all()
    with pytest.warns(mz.MontezarrWarning):
        reduced = mz.reduce(ds[["n_arrivals", "mark"]], "mean")
    kept = numbers.where(numbers <= 9)
    np.testing.assert_allclose(reduced.n_arrivals_mean, kept.mean())
    marks = found.mark.where(found.mark != found.mark.masked_value).isel(arrival=0)
    np.testing.assert_allclose(reduced.mark_mean[0], marks.mean())


def test_cut_paths_are_flagged_and_the_room_is_in_the_recipe():
    ds, whole = simulated(CASES["cut"]), simulated(CASES["streams"]).compute()
    cut = ds.compute()
    too_long = (whole.n_arrivals > 6) | (whole.n_departures > 9)
    assert (cut.truncated == too_long).all()
    assert too_long.any()
    assert (cut.n_arrivals == np.minimum(whole.n_arrivals, 6)).all()
    xr.testing.assert_equal(cut.t, whole.t.isel(arrival=slice(6)))
    variables = json.loads(ds.attrs["montezarr"])["variables"]
    assert [v["sizes"] for v in variables[:3]] == [[6], [6], [9, 2]]


def test_blocks_outside_the_range_may_have_any_length():
    def growing(rng, n):
        return {"t": [rng.random(3 if i < 100 else 30) for i in range(n)]}

    ds = mz.simulate(growing, 100, seed=0, dims={"t": ("event",)}, max_events=5).compute()
    assert (ds.n_events == 3).all()
    with pytest.raises(mz.SamplerError, match="path 100: returned 30 events"):
        mz.simulate(growing, 101, seed=0, dims={"t": ("event",)}, max_events=5).compute()


def test_padding_is_finite_and_events_must_be():
    def bad(rng):
        t = rng.random(rng.integers(1, 9))
        if len(t) == 8:
            t[2] = np.inf
        return {"t": t}

    ds = mz.simulate(bad, 99, seed=1, dims={"t": ("event",)})
    with pytest.raises(mz.SamplerError, match="t is inf at event 2"):
        ds.compute()
    kept = mz.simulate(bad, 99, seed=1, dims={"t": ("event",)}, on_nonfinite="mask").compute()
    assert ((kept.n_events < 0) == kept.t.isnull().all("event")).all()


def test_statistics_leave_padding_out(recwarn):
    ds = simulated(CASES["streams"])
    found, right = mz.reduce(ds, ["mean", "max"]), ds.compute()
    assert not [w for w in recwarn if issubclass(w.category, mz.MontezarrWarning)]
    marks = right.mark.where(right.mark != right.mark.masked_value)
    for name, values in (("t", right.t), ("mark", marks), ("n_arrivals", right.n_arrivals)):
        np.testing.assert_allclose(found[f"{name}_mean"], values.mean("path"))
        np.testing.assert_array_equal(found[f"{name}_max"], values.max("path"))
    gaps = mz.reduce(ds[["t"]].map(lambda t: t.diff("arrival")), "mean").t_mean
    np.testing.assert_allclose(gaps, right.t.diff("arrival").mean("path"))
    edges = [0.0, 0.25, 1.0]
    pooled = mz.reduce(ds[["t"]], mz.Histogram(edges=edges)).t_histogram.sum("arrival")
    np.testing.assert_array_equal(pooled, np.histogram(right.t.values, edges)[0])
    shares = mz.reduce(ds[["mark"]], mz.Proportion()).mark_proportion
    first = marks.isel(arrival=0)
    for state in range(3):
        right_share = (first == state).sum() / first.notnull().sum()
        np.testing.assert_allclose(shares.isel(arrival=0).sel(state=state), right_share)


@pytest.mark.parametrize(
    ("process", "arguments", "message"),
    [
        (queue, {"dims": DIMS, "max_events": {"arrivals": 3}}, "dimensions of events among"),
        (queue, {"max_events": 0}, "max_events: expected an integer from 1"),
        (queue, {"max_events": "many"}, "max_events: expected an integer"),
        (queue, {"max_events": {3: 4}}, "a mapping of dimensions to numbers"),
        (mz.RandomWalk(), {"T": 3, "max_events": 5}, "whose paths have no events"),
        (mz.RandomWalk(), {"T": 3, "on_overflow": "truncate"}, "whose paths have no events"),
        (queue, {**STREAMS, "on_overflow": "cut"}, "on_overflow: expected"),
        (queue, {**STREAMS, "coords": {"arrival": range(9)}}, "all paths have alike"),
        (lambda rng: {"t": rng.random((2, 4))}, {"dims": {"t": ("leg", "event")}}, "events first"),
        (
            lambda rng: {"t": rng.random(3), "n_events": "x"},
            {"dims": {"t": ("event",)}},
            "n_events",
        ),
    ],
)
def test_arguments_are_checked_at_the_call(process, arguments, message):
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError, mz.SamplerError)) as caught:
        mz.simulate(process, 10, seed=0, **arguments)
    assert message in str(caught.value)


def test_arrays_of_one_stream_have_one_length():
    def uneven(rng):
        return {"t": rng.random(3), "mark": rng.random(3 if rng.random() < 0.9 else 4)}

    ds = mz.simulate(uneven, 200, seed=0, max_events=9)
    with pytest.raises(mz.SamplerError, match="mark: returned 4 values along 'event', expected 3"):
        ds.compute()


def test_an_error_about_lengths_says_how_to_declare_events():
    ds = mz.simulate(lambda rng: rng.random(rng.poisson(5.0)), 50, seed=0)
    with pytest.raises(mz.SamplerError, match=r"dims=\{'x': \('event',\)\}"):
        ds.compute()


def test_a_store_and_a_virtual_store_keep_their_room_in_another_session(tmp_path):
    process, arguments = CASES["streams"]
    rooms = {"arrival": 50, "departure": 90}
    arguments = arguments | {"max_events": rooms}
    mz.write(mz.simulate(process, 10, seed=3, **arguments), tmp_path / "s.zarr")
    mz.VirtualStore(mz.simulate(process, 10, seed=3, **arguments)).save(tmp_path / "v.json")
    gc.collect()  # no run is alive that would be found by its recipe
    mz.extend(tmp_path / "s.zarr", 20, process=queue)
    right = mz.simulate(process, 20, seed=3, **arguments).compute()
    xr.testing.assert_equal(mz.open(tmp_path / "s.zarr").compute(), right)
    assert not mz.verify(tmp_path / "s.zarr", level=3, process=queue).problems
    loaded = mz.VirtualStore.load(tmp_path / "v.json", process=queue)
    found = xr.open_zarr(loaded, consolidated=False)
    xr.testing.assert_equal(found.compute(), right.isel(path=slice(10)))


def test_paths_of_the_engine_are_what_the_code_returns():
    result = mz.MonteCarloEngine(Jumps()).simulate(20, 5, 2.0, seed=3)
    path = result.paths[7]
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(7,)))
    alone = Jumps().sample_path(5, 2.0, rng)
    np.testing.assert_array_equal(path.times, alone.times)
    np.testing.assert_array_equal(path.states, alone.states)
    with pytest.raises(mz.ArgumentValueError, match="events_frame"):
        result.to_dataframe()


def test_plan_batches_and_stream_take_events():
    ds = simulated(CASES["streams"])
    assert "path" in str(mz.plan(ds))
    parts = [part.n_arrivals.values for part in mz.batches(ds, 500)]
    right = ds.compute()
    np.testing.assert_array_equal(np.concatenate(parts), right.n_arrivals)
    last = list(mz.stream(ds, "mean", until=mz.PathCount(N)))[-1]
    np.testing.assert_allclose(last.dataset.n_arrivals_mean, right.n_arrivals.mean())


def test_a_masked_path_beside_padding_of_integers_is_written_and_averaged(tmp_path):
    def codes(rng):
        if rng.random() < 0.1:
            raise ValueError("none")
        return {"code": rng.integers(0, 5, rng.integers(0, 9))}

    ds = mz.simulate(codes, 1500, seed=1, max_events={"event": 12}, dims={"code": ("event",)},
                     on_error="mask")  # fmt: skip
    whole = ds.compute()
    code = whole.code.where(whole.code >= 0).values
    assert whole.code.dtype == "int64"
    assert np.isnan(code).all(1).sum() > 100
    with pytest.warns(mz.MaskedPathsWarning):
        found = mz.reduce(ds[["code"]], "mean").code_mean.values
    np.testing.assert_allclose(found, np.nanmean(code, 0)[: len(found)], rtol=1e-12)
    with pytest.warns(mz.MaskedPathsWarning):
        stored = mz.write(ds, tmp_path / "a.zarr")
    np.testing.assert_array_equal(stored.code.values, whole.code.values)


@pytest.mark.parametrize("make", [mz.events_frame, mz.events_ragged])
def test_a_table_of_events_that_were_cut_in_front_is_refused(make):
    def arrivals(rng):
        return rng.exponential(1.0, rng.integers(3, 9)).cumsum()

    ds = mz.simulate(arrivals, 20, seed=1, max_events=9, dims={"x": ("event",)}).compute()
    with pytest.raises(mz.ArgumentValueError, match="from the first on, along 'event'"):
        make(ds.isel(event=slice(5, 9)))
    first = make(ds.isel(event=slice(0, 3)))
    assert len(first["x"]) == 60
