"""A run with varying parameters is the sum of its parts: each scenario is the separate run."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    BUILT_IN,
    USERS,
    check_same,
    check_scenarios,
    compiled_model,
    computed,
    grids,
)

import montezarr as mz
from montezarr.testing import strategies

MODELS = {model.name: model for model in (*BUILT_IN, *USERS)}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
repeatable = settings(max_examples=3, deadline=None, derandomize=True)
widely = settings(max_examples=8, deadline=None, derandomize=True)


# --- a scenario is the separate run ------------------------------------------------------------


@each_model
@repeatable
@given(data=st.data())
def test_a_scenario_is_the_separate_run_with_its_parameters(model, data):
    vary = data.draw(grids(model), "vary")
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    ds = model.simulate(5, vary, noise=noise)
    check_scenarios(model, vary, ds, 5, noise=noise)


@pytest.mark.slow
@each_model
@widely
@given(data=st.data())
def test_any_scenario_is_the_separate_run_however_it_is_drawn(model, data):
    vary = data.draw(grids(model), "vary")
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    n = data.draw(st.integers(1, model.many), "n")
    more = {"keep": data.draw(st.one_of(st.none(), strategies.keeps(3)), "keep")}
    ds = model.simulate(
        n, vary, noise=noise, chunks=data.draw(strategies.chunk_sizes(n), "chunks"), **more
    )
    if "dt" in vary and more["keep"] is not None:
        assert ds.time.dtype == np.float64
    check_scenarios(model, vary, ds, n, noise=noise, **more)


# --- and does not depend on the other scenarios ------------------------------------------------


@each_model
@repeatable
@given(data=st.data())
def test_adding_removing_and_reordering_scenarios_changes_no_other(model, data):
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    name = data.draw(st.sampled_from(sorted(model.parameters)), "name")
    known = model.parameters[name]
    whole = xr.DataArray(list(known), dims="j")
    right = computed(model.simulate(5, {name: whole}, noise=noise))
    count = st.lists(st.integers(0, len(known) - 1), min_size=1, max_size=5)
    chosen = data.draw(count, "chosen")  # some are there twice
    found = computed(model.simulate(5, {name: whole[chosen]}, noise=noise))
    check_same(found, right.isel(j=chosen))


@pytest.mark.parametrize("model", [MODELS["BrownianMotion"], MODELS["rng"]], ids=lambda m: m.name)
def test_independent_scenarios_of_equal_values_have_equal_noise_and_others_not(model):
    name = sorted(model.values)[0]
    values = np.array([0.25, 1.0, 0.25])
    ds = computed(model.simulate(50, {name: xr.DataArray(values, dims="j")}, noise="independent"))
    np.testing.assert_array_equal(ds.x.isel(j=0), ds.x.isel(j=2))
    common = computed(model.simulate(50, {name: xr.DataArray(values, dims="j")}))
    assert not (ds.x == common.x).isel(time=-1).any("path").any()


@pytest.mark.parametrize("stream", [None, "asset 2"])
def test_numbers_are_canonical_in_the_stream_of_a_scenario(stream):
    model = MODELS["rng"]
    values = xr.DataArray([0.0, -0.0, 0.5], dims="j")
    whole = xr.DataArray(np.array([1, 1, 2]), dims="j")
    vary = {"b": whole, "a": values}
    ds = model.simulate(20, vary, noise="independent", stream=stream)
    check_scenarios(model, vary, ds, 20, noise="independent", stream=stream)
    text = '{"a": 0.0, "b": 1.0}'
    text = text if stream is None else f"{stream} {text}"
    for values in ({"a": 0.0, "b": 1.0}, {"a": -0.0, "b": 1}):
        check_same(computed(ds.isel(j=1)), computed(model.separate(values, 20, stream=text)), ["n"])


def test_scenarios_and_paths_of_parameters_that_no_scenario_has_are_one():
    ds = mz.simulate(mz.BrownianMotion(), 5, 3, seed=1, vary={"mu": 0.5})
    one = mz.simulate(mz.BrownianMotion(mu=0.5), 5, 3, seed=1)
    assert ds.x.dims == ("path", "time")
    check_same(computed(ds), computed(one))


# --- nor on how it is drawn --------------------------------------------------------------------


def check_ways(model, vary, data, n, **more):
    """Check that the paths of a run are the same by every way to draw them."""
    right = computed(model.simulate(n, vary, chunks=4096, **more))
    ds = model.simulate(n, vary, chunks=data.draw(strategies.chunk_sizes(n), "chunks"), **more)
    chosen = data.draw(strategies.path_selections(n), "paths")
    scheduler = data.draw(strategies.schedulers(), "scheduler")
    if model.name == "legacy":
        scheduler = "synchronous"
    check_same(ds.isel(path=chosen).compute(scheduler=scheduler), right.isel(path=chosen))
    path = data.draw(st.integers(0, n - 1), "path")
    check_same(mz.replay(ds, path), right.isel(path=path))
    keep = data.draw(strategies.keeps(3), "keep")
    kept = model.simulate(n, vary, keep=keep, **more)
    positions = slice(None, None, keep) if isinstance(keep, int) else keep
    wanted = right.isel(time=positions) if "time" in right.dims else right
    check_same(computed(kept), wanted)
    check_same(mz.replay(kept, path), wanted.isel(path=path))
    with mz.backend("synchronous"):
        batches = list(mz.batches(ds, 700))
    check_same(xr.concat(batches, "path", data_vars="all"), right)


@each_model
@settings(repeatable, max_examples=2)
@given(data=st.data())
def test_chunks_ranges_and_kept_times_do_not_matter(model, data):
    check_ways(model, data.draw(grids(model), "vary"), data, model.many)


@pytest.mark.slow
@each_model
@settings(widely, max_examples=5)
@given(data=st.data())
def test_chunks_ranges_and_kept_times_never_matter(model, data):
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    vary = data.draw(grids(model), "vary")
    check_ways(model, vary, data, data.draw(st.integers(1, 2 * model.many), "n"), noise=noise)


@pytest.mark.slow
def test_compiled_functions_have_scenarios_too():
    model = compiled_model()
    vary = {
        "a": xr.DataArray([0.5, 2], dims="a"),
        "b": xr.DataArray([[1.0, 0.5]], dims=("j", "l")),
        "dt": xr.DataArray([0.5, 1.0], dims="l"),
    }
    for noise in ("common", "independent"):
        ds = model.simulate(1100, vary, noise=noise, chunks=1024)
        check_scenarios(model, vary, ds, 1100, noise=noise)


@pytest.mark.parametrize("name", ["BrownianMotion", "counter"])
def test_scenarios_of_single_precision_are_the_separate_runs(name):
    model = MODELS[name]
    vary = {"x0": xr.DataArray([0.1, 0.7], dims="x0"), "dt": xr.DataArray([0.1, 0.3], dims="dt")}
    ds = model.simulate(1100, vary, dtype="float32", chunks=1024)
    assert ds.x.dtype == np.float32
    check_scenarios(model, vary, ds, 1100, dtype="float32")


# --- what paths may be -------------------------------------------------------------------------


class Timed:
    def __init__(self, times, states):
        self.times, self.states = times, states


def of_own_times(rng, a):
    return Timed(np.sort(rng.random(4)) * a, np.arange(4.0) * a)


def labelled(rng, T, p):
    return np.where(rng.random(T + 1) < p, "calm", "storm").tolist()


def of_any_length(rng, a):
    return a * rng.random(7)


KINDS_OF_PATHS = {
    "own times": (of_own_times, {}, {"a": [1.0, 2.0]}),
    "labels": (labelled, {"T": 3, "labels": ["calm", "storm"]}, {"p": [0.1, 0.9]}),
    "a length of their own": (of_any_length, {}, {"a": [1.0, 2.0]}),
}


@pytest.mark.parametrize("name", KINDS_OF_PATHS)
def test_scenarios_of_such_paths_are_the_separate_runs(name):
    process, more, values = KINDS_OF_PATHS[name]
    ((key, known),) = values.items()
    vary = {key: xr.DataArray(known, dims=key)}
    ds = computed(mz.simulate(process, 20, seed=1, vary=vary, **more))
    for k, value in enumerate(known):
        one = computed(mz.simulate(process, 20, seed=1, **{key: value}, **more))
        check_same(ds.isel({key: k}), one)
        assert ds.x.attrs.keys() == one.x.attrs.keys()
        assert ds.x.encoding.keys() >= one.x.encoding.keys()


def test_single_precision_that_loses_the_noise_of_one_scenario_is_refused():
    sigma = xr.DataArray([1.0, 1e-9], dims="sigma")
    with pytest.raises(mz.ArgumentValueError, match=r"scenario {'sigma': 1}: dtype: .*'float64'"):
        mz.simulate(mz.BrownianMotion(), 5, 3, 1.0, seed=1, dtype="float32", vary={"sigma": sigma})
