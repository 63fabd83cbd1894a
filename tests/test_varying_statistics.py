"""Statistics, failures and backends of runs with varying parameters."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    BUILT_IN,
    DT,
    GBM,
    SEED,
    USERS,
    T,
    arrays_by_path,
    check_same,
    computed,
    grids,
    positions_of,
    stream_of,
)

import montezarr as mz
from montezarr.random.distributions import Normal
from montezarr.testing import strategies

MODELS = {model.name: model for model in (*BUILT_IN, *USERS)}
repeatable = settings(max_examples=2, deadline=None, derandomize=True)
SIGMA = xr.DataArray([0.1, 0.2, 0.3], dims="sigma")


def some_models(*names):
    return pytest.mark.parametrize("model", [MODELS[name] for name in names], ids=names)


def check_results(found, right):
    for name in right.data_vars:
        assert found[name].dims == right[name].dims
        np.testing.assert_array_equal(found[name].values, right[name].values)


# --- statistics --------------------------------------------------------------------------------


def check_statistics(model, vary, n, chunks, statistics, noise="common"):
    ds = model.simulate(n, vary, noise=noise, chunks=chunks)
    with mz.backend("synchronous"):
        found = mz.reduce(ds, statistics)
        last = list(mz.stream(ds, statistics))[-1].dataset
        check_results(mz.reduce(computed(ds), statistics), found)
        for position, values in positions_of(vary):
            told = {"stream": stream_of(values)} if noise == "independent" else {}
            one = mz.reduce(model.separate(values, n, **told), statistics)
            check_results(found.isel(position), one)
            check_results(last.isel(position), one)


@some_models("GeometricBrownianMotion", "Heston", "mapped", "block function", "seed")
@repeatable
@given(data=st.data())
def test_statistics_are_those_of_the_separate_runs(model, data):
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    vary = data.draw(grids(model), "vary")
    check_statistics(model, vary, model.many, 1024, ["mean", "max"], noise)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if m.name != "MarkovChain"], ids=lambda m: m.name
)
@settings(repeatable, max_examples=3)
@given(data=st.data())
def test_any_statistics_are_those_of_the_separate_runs(model, data):
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    n = data.draw(st.integers(2, 2 * model.many), "n")
    chunks = data.draw(strategies.chunk_sizes(n), "chunks")
    names = st.sampled_from(("mean", "std", "max", "q05", "count"))
    statistics = data.draw(st.lists(names, min_size=1, max_size=3, unique=True), "statistics")
    check_statistics(model, data.draw(grids(model), "vary"), n, chunks, statistics, noise)


def prices(n=3000, **more):
    return mz.simulate(GBM, n, T, 1.0, dt=DT, seed=SEED, vary={"sigma": SIGMA}, **more)


def test_a_difference_of_scenarios_has_the_error_of_the_paired_difference():
    ds = prices(chunks=1024)
    payoff = (ds.x.isel(time=-1, drop=True) - 1.0).clip(min=0)
    difference = payoff - payoff.sel(sigma=0.2, drop=True)
    assert mz.plan(difference).reduction.startswith("block by block")
    found = mz.reduce(difference.rename("d"), "mean")
    paths = np.maximum(computed(ds).x.values[..., -1] - 1.0, 0.0)
    paired = paths - paths[1]
    np.testing.assert_allclose(found.d_mean, paired.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        found.d_mean_se, paired.std(axis=1, ddof=1) / np.sqrt(3000), rtol=1e-12
    )
    assert found.d_mean[1] == 0 == found.d_mean_se[1]
    streamed = list(mz.stream(difference.rename("d"), "mean"))[-1].dataset
    check_results(streamed, found)


def test_a_grid_of_strikes_beside_scenarios_is_one_pass():
    ds = prices(chunks=1024)
    strikes = xr.DataArray([0.8, 1.0, 1.2, 1.4], dims="strike")
    payoff = (ds.x.isel(time=-1, drop=True) - strikes).clip(min=0).rename("call")
    found = mz.reduce(payoff, "mean")
    for k, sigma in enumerate(SIGMA.values):
        one = mz.simulate(
            GBM.with_parameters(sigma=sigma), 3000, T, 1.0, dt=DT, seed=SEED
        ).x.isel(time=-1, drop=True)  # fmt: skip
        right = mz.reduce((one - strikes).clip(min=0).rename("call"), "mean")
        np.testing.assert_array_equal(found.call_mean.isel(sigma=k), right.call_mean)
        np.testing.assert_array_equal(found.call_mean_se.isel(sigma=k), right.call_mean_se)


def test_a_stream_without_end_is_the_beginning_of_every_longer_run():
    vary = {"b": xr.DataArray([1.0, 2.0], dims="b"), "a": Normal(0.5, 0.1)}
    endless = mz.simulate(MODELS["counter"].process, None, T, seed=SEED, vary=vary)
    until = mz.PathCount(4096)
    *_, snapshot = mz.stream(endless, {"x": ["mean"], "a": ["mean", "std"]}, until=until)
    n = snapshot.dataset.attrs["n_paths"]
    whole = mz.simulate(MODELS["counter"].process, n, T, seed=SEED, vary=vary)
    right = mz.reduce(whole, {"x": ["mean"], "a": ["mean", "std"]})
    check_results(snapshot.dataset[list(right.data_vars)], right)


def test_statistics_of_drawn_parameters_are_those_of_their_values():
    ds = mz.simulate(
        MODELS["rng"].process, 1500, T, seed=SEED, vary={"a": Normal(0.5, 0.1)}, chunks=1024
    )
    found, a = mz.reduce(ds, ["mean", "max"]), computed(ds).a.values
    np.testing.assert_allclose(found.a_mean, a.mean(), rtol=1e-13)
    assert found.a_max == a.max()


# --- failures ----------------------------------------------------------------------------------


def failing(rng, T, a, low=None):
    x = rng.random(T + 1)
    if x[0] < 0.02 * a:
        raise ValueError("too low")
    if x[1] < 0.02 * a:
        x[2] = np.nan
    return x


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_a_path_that_fails_in_one_scenario_is_masked_there_alone():
    a = xr.DataArray([0.0, 1.0, 4.0], dims="a")
    policies = {"on_error": "mask", "on_nonfinite": "mask"}
    ds = computed(mz.simulate(failing, 1100, T, seed=SEED + 1, vary={"a": a}, **policies))
    masked = ds.x.isnull().all("time")
    for k, value in enumerate(a.values):
        one = computed(mz.simulate(failing, 1100, T, seed=SEED + 1, a=value, **policies))
        check_same(ds.isel(a=k), one)
    assert masked.sum("path").values[0] == 0 < masked.sum("path").values[1]
    assert masked.sum("path").values[1] < masked.sum("path").values[2] < 500


def exploding(draws, grid, x0, a):
    x = draws.normal(range(grid.T + 1))
    with np.errstate(all="ignore"):
        return np.where(x > 2.0, a / np.zeros_like(x), x)


class Exploding:
    sample = staticmethod(exploding)


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_infinities_are_masked_in_their_own_scenario():
    a = xr.DataArray([0.0, 1.0], dims="j")
    ds = mz.simulate(Exploding(), 1100, T, seed=SEED, vary={"a": a}, on_nonfinite="mask")
    found = computed(ds)
    for k, value in enumerate(a.values):
        one = mz.simulate(Exploding(), 1100, T, seed=SEED, a=value, on_nonfinite="mask")
        check_same(found.isel(j=k), computed(one))


def test_an_error_names_the_scenario_and_the_parameters_of_its_path():
    vary = {"a": xr.DataArray([0.0, 50.0], dims="a"), "low": np.arange(40.0)}
    ds = mz.simulate(failing, 40, T, seed=SEED, vary=vary)
    with pytest.raises(mz.SamplerError, match="too low") as caught:
        computed(ds)
    assert "a=50.0" in str(caught.value)
    assert f"low={float(caught.value.path)}" in str(caught.value)
    with pytest.raises(ValueError, match="too low"):
        mz.replay(ds, caught.value.path)


# --- backends ----------------------------------------------------------------------------------


def check_backend(name, models, folder):
    runs = {}
    for model in models:
        vary = {"dt": xr.DataArray([0.5, 1.0], dims="dt")}
        name_ = sorted(model.values)[0]
        vary[name_] = xr.DataArray([0.25, 0.5, 1.0], dims="j")
        if model.name in ("rng", "block function", "counter"):
            vary |= arrays_by_path(["b"], model, model.many)
        runs[model.name] = model.simulate(model.many, vary, chunks=1024)
    with mz.backend(name, n_jobs=2):
        found = {}
        for key, ds in runs.items():
            mz.write(ds, folder / f"{key}.zarr")
            found[key] = mz.reduce(ds, "mean")
    for key, ds in runs.items():
        right = computed(ds)
        check_same(computed(mz.open(folder / f"{key}.zarr")), right)
        check_results(found[key], mz.reduce(right, "mean"))


def test_scenarios_are_the_same_on_threads(tmp_path):
    names = ("GeometricBrownianMotion", "block function", "rng")
    check_backend("threads", [MODELS[name] for name in names], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "dask", "joblib", "multiprocessing"])
def test_scenarios_of_all_samplers_are_the_same_on_slower_backends(backend, tmp_path):
    models = [m for m in MODELS.values() if m.values and m.name != "legacy"]
    check_backend(backend, models, tmp_path)


# --- size --------------------------------------------------------------------------------------


def test_tasks_of_a_thousand_scenarios_are_small():
    import cloudpickle

    def bytes_of(count):
        sigma = xr.DataArray(np.linspace(0.1, 0.5, count), dims="sigma")
        ds = mz.simulate(GBM, 10**5, 52, 100.0, seed=SEED, vary={"sigma": sigma})
        return len(cloudpickle.dumps(ds.x.data.dask))

    few, many = bytes_of(10), bytes_of(1000)
    assert many < 200_000
    assert many < 120 * few  # in proportion to the scenarios


@pytest.mark.parametrize("name", ["block function", "counter"])
def test_the_memory_of_a_run_that_keeps_little_is_that_of_one_scenario(name):
    model = MODELS[name]
    grid = {"b": xr.DataArray(np.linspace(1.0, 2.0, 500), dims="b")}
    one = mz.plan(model.simulate(10**5, keep=[-1], chunks=1024))
    many = mz.plan(model.simulate(10**5, grid, keep=[-1], chunks=1024))
    assert many.chunk_bytes == 500 * one.chunk_bytes
    kept = 3 * many.chunk_bytes
    assert many.worker_bytes - kept == one.worker_bytes - 3 * one.chunk_bytes
