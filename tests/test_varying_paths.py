"""Parameters that differ from path to path: each path is that of the separate run with its own."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    BUILT_IN,
    DT,
    GBM,
    HESTON,
    SEED,
    USERS,
    Model,
    T,
    arrays_by_path,
    check_paths,
    check_same,
    compiled_model,
    computed,
    grids,
)

import montezarr as mz
from montezarr.random.distributions import Normal
from montezarr.testing import strategies

MODELS = {model.name: model for model in (*BUILT_IN, *USERS) if model.values}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
repeatable = settings(max_examples=2, deadline=None, derandomize=True)
widely = settings(max_examples=6, deadline=None, derandomize=True)
PLACES = {"b1": 2, "b2": 3}
"""Dimensions of scenarios of parameters that differ by path too."""


@st.composite
def varied(draw, model, n):
    """Return a strategy for parameters by scenario, by path, and states by path."""
    names = sorted(set(model.parameters) - {"dt"})
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True), "by path")
    dims = {}
    for name in chosen:
        some = draw(st.lists(st.sampled_from(sorted(PLACES)), max_size=1, unique=True), name)
        dims[name] = {dim: PLACES[dim] for dim in some}
    own = arrays_by_path(chosen, model, n, dims)
    vary = draw(st.one_of(st.just({}), grids(model)), "by scenario")
    vary = {name: value for name, value in vary.items() if name not in own}
    states = None
    if model.starts and "x0" not in own and "x0" not in vary and draw(st.booleans(), "states"):
        states = np.random.default_rng(4).choice(model.starts, n)
    return vary, own, states


def form_of(data, array):
    """Return an array by path in one of the forms in which it may be given."""
    if array.ndim > 1:
        forms = {"DataArray": lambda: array, "lazy": lambda: array.chunk(path=-1)}
    else:
        forms = {
            "DataArray": lambda: array,
            "array": lambda: array.values,
            "list": array.values.tolist,
            "lazy DataArray": lambda: array.chunk(path=max(1, array.sizes["path"] // 2)),
            "lazy": lambda: da.from_array(array.values, chunks=max(1, len(array) // 3)),
        }
    return forms[data.draw(st.sampled_from(sorted(forms)), "form")]()


def check_any(model, data, n):
    vary, own, states = data.draw(varied(model, n), "varied")
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    chunks = data.draw(strategies.chunk_sizes(n), "chunks")
    given_ = {name: form_of(data, a) if noise == "common" else a for name, a in own.items()}
    more = {} if states is None else {"x0": states}
    ds = model.simulate(n, {**vary, **given_}, noise=noise, chunks=chunks, **more)
    found = computed(ds)
    paths = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3), "paths")
    check_paths(model, found, vary, own, [0, *paths], noise=noise, **more)
    path = paths[0]
    check_same(mz.replay(ds, path), found.isel(path=path))
    selected = data.draw(strategies.path_selections(n), "selected")
    check_same(computed(ds.isel(path=selected)), found.isel(path=selected))


@each_model
@repeatable
@given(data=st.data())
def test_a_path_is_that_of_the_separate_run_with_its_parameters(model, data):
    check_any(model, data, 10)


@pytest.mark.slow
@each_model
@widely
@given(data=st.data())
def test_any_path_is_that_of_the_separate_run_however_it_is_drawn(model, data):
    check_any(model, data, data.draw(st.integers(1, 2 * model.many), "n"))


@pytest.mark.slow
def test_paths_of_compiled_functions_have_parameters_too():
    model = compiled_model()
    own = arrays_by_path(["a", "b"], model, 1100, {"b": {"b1": 2}})
    vary = {"dt": xr.DataArray([0.5, 0.25], dims="dt")}
    ds = computed(model.simulate(1100, {**vary, **own}, chunks=1024))
    check_paths(model, ds, vary, own, [0, 1023, 1024, 1099])


# --- drawn for each path -----------------------------------------------------------------------


@each_model
def test_drawn_parameters_are_variables_and_those_of_their_paths(model):
    name = sorted(model.values)[0]
    vary = {"dt": xr.DataArray([0.25, 0.5], dims="j")}
    n = max(30, model.many // 2)
    ds = model.simulate(n, {**vary, name: Normal(0.4, 0.02)}, chunks=1024)
    found = computed(ds)
    assert found[name].dims == ("path",)
    check_paths(model, found, vary, {name: found[name]}, [0, 17, n - 1])
    fewer = computed(model.simulate(20, {name: Normal(0.4, 0.02)}))
    np.testing.assert_array_equal(fewer[name], found[name][:20])


def test_drawn_parameters_do_not_depend_on_scenarios_noise_or_stream():
    model = MODELS["rng"]
    vary = {"a": Normal(0.5, 0.1)}
    right = computed(model.simulate(40, vary)).a
    grid = {**vary, "b": xr.DataArray([0.5, 1.0], dims="b")}
    for noise in ("common", "independent"):
        found = computed(model.simulate(40, grid, noise=noise))
        np.testing.assert_array_equal(found.a, right)
    assert (computed(model.simulate(40, vary, seed=SEED + 1)).a != right).all()


def test_starts_may_be_drawn():
    model = BUILT_IN[0]
    ds = computed(model.simulate(1100, {"x0": Normal(0.0, 2.0)}, chunks=1024))
    np.testing.assert_array_equal(ds.x.isel(time=0), ds.x0)
    check_paths(model, ds, {}, {"x0": ds.x0}, [0, 1050])


# --- beside states -----------------------------------------------------------------------------


def records(rng, T, x0, a):
    return x0["level"] + a * x0["scale"] * rng.standard_normal(T + 1)


def test_states_that_are_records_go_beside_parameters():
    rng = np.random.default_rng(1)
    x0 = {"level": rng.random(30), "scale": rng.integers(1, 4, 30)}
    own = {"a": xr.DataArray(rng.random(30), dims="path")}
    ds = computed(mz.simulate(records, 30, T, x0, seed=SEED, vary=own))
    for path in (0, 29):
        start = {"level": x0["level"][path].item(), "scale": x0["scale"][path].item()}
        one = mz.simulate(records, 30, T, start, seed=SEED, a=own["a"].values[path].item())
        check_same(ds.isel(path=path), mz.replay(one, path))


def test_labels_as_states_go_beside_scenarios():
    chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    x0 = np.random.default_rng(1).choice(["calm", "storm"], 1100)
    ds = mz.simulate(
        chain, 1100, T, x0, seed=SEED, vary={"dt": xr.DataArray([0.5, 1.0], dims="dt")}
    )
    one = computed(mz.simulate(chain, 1100, T, x0, seed=SEED, dt=0.5))
    check_same(computed(ds).isel(dt=0), one)


def test_states_of_several_variables_go_beside_scenarios():
    x0 = {"s": np.linspace(90.0, 110.0, 1100), "v": np.full(1100, 0.04)}
    rho = xr.DataArray([-0.5, 0.5], dims="rho")
    ds = computed(mz.simulate(HESTON, 1100, T, x0, dt=DT, seed=SEED, vary={"rho": rho}))
    for k, value in enumerate((-0.5, 0.5)):
        one = mz.simulate(HESTON.with_parameters(rho=value), 1100, T, x0, dt=DT, seed=SEED)
        check_same(ds.isel(rho=k), computed(one))


def test_states_may_differ_by_scenario_and_path():
    starts = xr.DataArray(np.random.default_rng(2).uniform(90, 110, (2, 40)), dims=("j", "path"))
    ds = computed(mz.simulate(GBM, 40, T, dt=DT, seed=SEED, vary={"x0": starts}))
    assert ds.x0.dims == ("j", "path")
    np.testing.assert_array_equal(ds.x.isel(time=0), starts)
    model = Model("gbm", GBM, x0=1.0)
    check_paths(model, ds, {}, {"x0": starts}, [0, 39])


# --- their types -------------------------------------------------------------------------------


def types(n, rng, a, T):
    return np.exp(np.reshape(a, (-1, 1))) ** 2 * rng.random((n, T + 1))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint16", "bool"])
@pytest.mark.parametrize("lazy", [False, True])
def test_numbers_of_any_type_are_those_of_the_separate_run(dtype, lazy):
    values = np.random.default_rng(1).uniform(0, 2, 30).astype(dtype)
    given_ = da.from_array(values, chunks=10) if lazy else values
    ds = computed(mz.simulate(types, 30, T, seed=SEED, vary={"a": given_}))
    np.testing.assert_array_equal(ds.a, values)
    for path in (0, 7, 29):
        one = mz.simulate(types, 30, T, seed=SEED, a=values[path].item())
        check_same(ds.isel(path=path), mz.replay(one, path))


def test_a_function_gets_a_flag_as_a_flag():
    def flagged(rng, T, up):
        assert up is True or up is False
        return rng.random(T + 1) if up else -rng.random(T + 1)

    flags = np.array([True, False, True])
    ds = computed(mz.simulate(flagged, 3, T, seed=SEED, vary={"up": flags}))
    assert ((ds.x > 0).all("time") == flags).all()


# --- lazy ones ---------------------------------------------------------------------------------


def refuse(block):
    raise AssertionError("it was computed")


def test_lazy_parameters_of_a_built_in_process_are_not_computed_by_simulate():
    lazy = da.ones(10**9, chunks=10**7).map_blocks(refuse, dtype=float, meta=np.empty(0))
    for vary in (
        {"x0": lazy},
        {"sigma": lazy},
        {"x0": lazy, "sigma": xr.DataArray([0.1], dims="j")},
    ):
        x0 = None if "x0" in vary else 1.0
        ds = mz.simulate(GBM, 10**9, 12, x0, dt=DT, seed=SEED, vary=vary)
        with pytest.raises(AssertionError, match="it was computed"):
            ds.x[..., 0, 0].compute(scheduler="synchronous")


def shifted(rng, T, a):
    return a + rng.random(T + 1)


def test_one_run_may_have_the_states_of_another_as_parameters():
    first = mz.simulate(mz.BrownianMotion(), 3000, T, seed=1, chunks=1024)
    own = first.x.isel(time=-1)  # with its time as a coordinate
    ds = mz.simulate(shifted, 3000, T, seed=SEED, chunks=2048, vary={"a": own})
    found = computed(ds)
    np.testing.assert_array_equal(found.a, own)
    assert found.time.values.tolist() == [0.0, 1.0, 2.0, 3.0]
    one = mz.simulate(shifted, 3000, T, seed=SEED, a=own.values[2500].item())
    check_same(found.isel(path=2500), mz.replay(one, 2500))
    check_same(mz.replay(ds, 2500), found.isel(path=2500))
    with mz.backend("synchronous"):
        right = mz.reduce(found, "mean")
        np.testing.assert_array_equal(mz.reduce(ds, "mean").x_mean, right.x_mean)
