"""The five kinds of samplers: what is chosen, what they get and return, and how they fail."""

import json
import pickle
import random
import re
import threading
from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from numba import njit

import montezarr as mz
from montezarr.samplers import INTERFACES

SEED = 271828


def compute(ds, scheduler="synchronous"):
    return ds.compute(scheduler=scheduler)


def recipe(ds):
    return json.loads(ds.attrs["montezarr"])


def child(path, seed=SEED):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(path,)))


def failure_of(function, *args, **kwargs):
    with pytest.raises(mz.SamplerError) as caught:
        function(*args, **kwargs)
    return caught.value


# --- what is chosen --------------------------------------------------------------------------


class Everything:
    def sample(self, draws, grid, x0):
        return draws.normal(range(grid.T + 1))

    def sample_paths(self, n, T, x0, rng):
        return rng.standard_normal((n, T + 1))

    def sample_path(self, T, x0, rng):
        return rng.standard_normal(T + 1)

    def __call__(self, rng):
        return rng.standard_normal(4)


class FromBatch(Everything):
    sample = None


class FromPath(FromBatch):
    sample_paths = None


class FromCall(FromPath):
    sample_path = None


def of_rng(rng):
    return rng.standard_normal(4)


def of_seed(seed):
    return np.random.default_rng(seed).standard_normal(4)


class OnGlobalState:
    def sample_path(self, T, x0):
        return np.random.standard_normal(T + 1)


@pytest.mark.parametrize(
    ("process", "kind", "options"),
    [
        (mz.BrownianMotion(), "sample", {}),
        (Everything(), "sample", {}),
        (FromBatch(), "sample_paths", {}),
        (FromPath(), "sample_path", {}),
        (FromCall(), "rng", {}),
        (of_rng, "rng", {}),
        (of_seed, "seed", {}),
        (OnGlobalState(), "legacy", {"legacy_global_rng": True}),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_first_interface_that_is_offered_is_used_and_the_recipe_names_it(
    process, kind, options
):
    ds = mz.simulate(process, 5, 3, seed=SEED, **options)
    assert recipe(ds)["sampler"] == kind
    assert mz.plan(ds).sampler == INTERFACES[kind].text
    name = getattr(process, "__name__", type(process).__name__)
    assert recipe(ds)["process"]["name"] == name
    assert ds.x.data.name.startswith(f"simulate-{name}-")


def test_the_parameter_name_of_a_function_decides_and_its_type_errors_do_not():
    def seed_by_name(seed):
        assert type(seed) is int
        assert seed.bit_length() > 64
        return [float(seed % 2**32)]

    assert recipe(mz.simulate(seed_by_name, 2, seed=SEED))["sampler"] == "seed"


def test_a_sample_path_that_swallows_any_keyword_gets_an_rng():
    class Swallows:
        def sample_path(self, T, x0=None, **kwargs):
            return kwargs["rng"].standard_normal(T + 1)

    ds = compute(mz.simulate(Swallows(), 3, 4, seed=SEED))
    np.testing.assert_array_equal(ds.x[2], child(2).standard_normal(5))


# --- what a function gets --------------------------------------------------------------------


def test_a_function_gets_t_and_x0_where_it_asks_for_them():
    def walk(T, rng, x0):
        return np.concatenate([[x0], x0 + rng.standard_normal(T)])

    ds = compute(mz.simulate(walk, 4, 6, x0=3.0, seed=SEED))
    np.testing.assert_array_equal(ds.x[1, 1:], 3.0 + child(1).standard_normal(6))
    assert (ds.x[:, 0] == 3.0).all()


def test_a_function_without_t_tells_the_length_by_its_first_path():
    ds = mz.simulate(of_rng, 10, seed=SEED, dt=0.5)
    assert ds.x.shape == (10, 4)
    np.testing.assert_array_equal(ds.time, [0.0, 0.5, 1.0, 1.5])
    assert recipe(ds)["grid"] == {"T": 3, "dt": 0.5}


def test_a_function_that_asks_for_t_must_be_given_one():
    for default in (lambda rng, T: [0.0] * (T + 1), lambda rng, T=5: [0.0] * (T + 1)):
        with pytest.raises(mz.ArgumentValueError, match=r"^T: expected a number of steps"):
            mz.simulate(default, 3, seed=1)


def test_the_default_x0_of_a_function_counts_where_simulate_is_given_none():
    def start(rng, x0=7.0):
        return [x0, x0 + rng.random()]

    assert compute(mz.simulate(start, 2, seed=1)).x[:, 0].values.tolist() == [7.0, 7.0]
    assert compute(mz.simulate(start, 2, x0=1.0, seed=1)).x[:, 0].values.tolist() == [1.0, 1.0]


def test_options_reach_the_sampler_of_every_kind():
    def function(rng, scale=1.0):
        return scale * rng.standard_normal(3)

    class Methods:
        def sample_path(self, T, x0, rng, scale=1.0):
            return scale * rng.standard_normal(T + 1)

    class Blocks:
        def sample_paths(self, n, T, x0, rng, scale=1.0):
            return scale * rng.standard_normal((n, T + 1))

    class Counters:
        def sample(self, draws, grid, x0, scale=1.0):
            return scale * draws.normal(range(grid.T + 1))

    for process in (function, Methods(), Blocks(), Counters()):
        plain = mz.simulate(process, 5, 2, seed=1)
        scaled = mz.simulate(process, 5, 2, seed=1, scale=4.0)
        doubled = mz.simulate(process, 5, 2, seed=1, scale=2.0)
        np.testing.assert_array_equal(compute(scaled).x, 4.0 * compute(plain).x)
        assert recipe(scaled) != recipe(plain)
        assert recipe(scaled) != recipe(doubled)


def test_keyword_only_and_positional_only_functions_are_called_as_they_ask():
    def keyword_only(*, rng, T):
        return rng.standard_normal(T + 1)

    def positional_only(rng, T, /):
        return rng.standard_normal(T + 1)

    def with_more(rng, T, sigma=2.0, *rest, **others):
        return rng.standard_normal(T + 1)

    expected = child(1).standard_normal(3)
    for function in (keyword_only, positional_only, with_more):
        np.testing.assert_array_equal(mz.simulate(function, 2, 2, seed=SEED).x[1], expected)


def test_partials_bound_methods_and_lambdas_are_functions_like_any_other():
    def scaled(scale, rng):
        return scale * rng.standard_normal(3)

    class Model:
        scale = 2.0

        def draw(self, rng):
            return self.scale * rng.standard_normal(3)

    expected = 2.0 * child(1).standard_normal(3)
    for function in (
        partial(scaled, 2.0),
        Model().draw,
        lambda rng: 2.0 * rng.standard_normal(3),
    ):
        np.testing.assert_array_equal(mz.simulate(function, 2, seed=SEED).x[1], expected)


@njit
def compiled_walk(rng, T, x0):
    out = np.empty(T + 1)
    out[0] = x0
    for k in range(T):
        out[k + 1] = out[k] + rng.standard_normal()
    return out


@njit
def compiled_number(rng):
    return rng.random()


class CompiledMethod:
    sample_path = staticmethod(njit(lambda T, x0, rng: x0 + rng.standard_normal(T + 1)))


def test_functions_compiled_with_numba_get_a_generator():
    ds = compute(mz.simulate(compiled_walk, 5, 4, x0=1.0, seed=SEED))
    steps = child(3).standard_normal(4)
    np.testing.assert_allclose(ds.x[3], 1.0 + np.concatenate([[0.0], np.cumsum(steps)]))
    numbers = compute(mz.simulate(compiled_number, 5, seed=SEED))
    assert numbers.x[4, 0] == child(4).random()
    methods = compute(mz.simulate(CompiledMethod(), 5, 3, x0=2.0, seed=SEED))
    np.testing.assert_array_equal(methods.x[2], 2.0 + child(2).standard_normal(4))


# --- what a path may be ----------------------------------------------------------------------


class Path:
    def __init__(self, times, states):
        self.times, self.states = times, states


@pytest.mark.parametrize(
    ("returned", "expected", "dtype"),
    [
        (1.5, [1.5], "float64"),
        (3, [3], "float64"),
        (True, [1], "float64"),
        (np.int64(3), [3], "int64"),
        (np.bool_(True), [1], "int64"),
        (np.float32(0.25), [0.25], "float32"),
        ([1.0, 2.0], [1.0, 2.0], "float64"),
        ((1, 2, 3), [1, 2, 3], "int64"),
        (range(3), [0, 1, 2], "int64"),
        (np.array([1, 2], "int8"), [1, 2], "int8"),
        (np.array([1, 2], "uint64"), [1, 2], "int64"),
        (np.array([1, 2], "float16"), [1.0, 2.0], "float64"),
        (np.array([1, 2.5], object), [1.0, 2.5], "float64"),
        (np.array([True, False]), [1, 0], "int64"),
        (xr.DataArray([1.0, 2.0]), [1.0, 2.0], "float64"),
        (np.arange(4)[::2], [0, 2], "int64"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_function_returns_a_number_or_a_sequence_of_them(returned, expected, dtype):
    ds = compute(mz.simulate(lambda rng: returned, 3, seed=1))
    assert ds.x.dtype == np.dtype(dtype)
    assert ds.x.values.tolist() == [expected] * 3


def test_a_mapping_has_a_variable_for_each_name():
    def both(rng):
        s = rng.standard_normal(3)
        return {"s": s, "count": np.arange(3)}

    ds = compute(mz.simulate(both, 5, seed=SEED))
    assert list(ds.data_vars) == ["s", "count"]
    assert (ds.s.dtype, ds["count"].dtype) == (np.dtype("float64"), np.dtype("int64"))
    np.testing.assert_array_equal(ds.s[4], child(4).standard_normal(3))
    assert (ds["count"] == np.arange(3)).all()


def test_blocks_may_have_several_variables_too():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return {"a": rng.random((n, T + 1)), "b": np.ones((n, T + 1), "int8")}

    ds = compute(mz.simulate(Blocks(), 2000, 3, seed=1))
    assert (ds.a.dtype, ds.b.dtype) == (np.dtype("float64"), np.dtype("int8"))
    assert ds.a.shape == (2000, 4)
    assert (ds.b == 1).all()


@pytest.mark.parametrize("name", ["time", "path"])
def test_a_variable_may_not_bear_the_name_of_a_dimension(name):
    with pytest.raises(mz.ArgumentValueError, match=r"process: .*'path' and 'time'"):
        mz.simulate(lambda rng: {name: [1.0], "x": [1.0]}, 3, seed=1)


def test_an_object_with_times_and_states_on_the_grid_is_a_path():
    class Process:
        def sample_path(self, T, x0, rng):
            return Path(np.arange(T + 1), rng.standard_normal(T + 1))

    ds = mz.simulate(Process(), 4, 3, seed=SEED)
    assert list(ds.data_vars) == ["x"]
    assert recipe(ds)["grid"] == {"T": 3, "dt": 1.0}
    np.testing.assert_array_equal(compute(ds).x[3], child(3).standard_normal(4))


def test_times_that_all_paths_share_become_the_grid():
    class Process:
        def sample_path(self, T, x0, rng):
            return Path(np.arange(T + 1) ** 2 / 4, rng.standard_normal(T + 1))

    ds = mz.simulate(Process(), 4, 3, seed=1)
    np.testing.assert_array_equal(ds.time, [0.0, 0.25, 1.0, 2.25])
    assert recipe(ds)["grid"] == {"times": [0.0, 0.25, 1.0, 2.25]}


def test_times_of_each_path_become_a_variable():
    class Process:
        def sample_path(self, T, x0, rng):
            return Path(np.cumsum(rng.random(T + 1)), np.arange(T + 1))

    ds = compute(mz.simulate(Process(), 4, 3, seed=SEED))
    assert list(ds.data_vars) == ["x", "event_time"]
    assert ds.x.dtype == np.dtype("int64")
    np.testing.assert_array_equal(ds.event_time[2], np.cumsum(child(2).random(4)))
    assert ds.event_time.attrs == {"long_name": "time of the event"}


def test_a_given_grid_overrides_the_times_of_the_paths():
    class Process:
        def sample_path(self, T, x0, rng):
            return Path(np.arange(T + 1) * 7.0, rng.standard_normal(T + 1))

    np.testing.assert_array_equal(mz.simulate(Process(), 2, 2, dt=0.5, seed=1).time, [0, 0.5, 1])
    given = mz.simulate(Process(), 2, times=[0.0, 3.0, 4.0], seed=1)
    np.testing.assert_array_equal(given.time, [0.0, 3.0, 4.0])


def test_a_later_path_with_times_of_its_own_is_an_error_and_not_a_wrong_coordinate():
    class Process:
        def sample_path(self, T, x0, rng):
            late = rng.bit_generator.seed_seq.spawn_key[0] >= 5
            return Path(np.arange(T + 1) + 0.5 * late, np.zeros(T + 1))

    ds = mz.simulate(Process(), 10, 2, seed=1)
    error = failure_of(compute, ds)
    assert error.path == 5
    assert "returned times array([0.5, 1.5, 2.5]), other ones than the first path" in error.message


def test_a_failure_of_the_second_path_at_the_call_names_it():
    class Process:
        def sample_path(self, T, x0, rng):
            if rng.bit_generator.seed_seq.spawn_key == (1,):
                raise KeyError("second")
            return Path(np.arange(T + 1) / 3, np.zeros(T + 1))

    error = failure_of(mz.simulate, Process(), 10, 2, seed=1)
    assert error.path == 1
    assert "KeyError: 'second'" in error.message


# --- dtypes ----------------------------------------------------------------------------------


def test_integers_that_a_dtype_cannot_hold_are_an_error_and_never_wrap_around():
    def growing(rng):
        return [rng.bit_generator.seed_seq.spawn_key[0] * 50]

    ds = mz.simulate(growing, 10, seed=1, dtype="int8")
    error = failure_of(compute, ds)
    assert error.path == 3
    assert "expected int8 as in the first path, got int64 from 150 to 150" in error.message

    class Counters:
        def sample(self, draws, grid, x0):
            return np.full((grid.T + 1, draws.n), 300)

    assert "sample returned dtype int64, expected int8" in str(
        failure_of(mz.simulate, Counters(), 2, 1, seed=1, dtype="int8")
    )


def test_uint64_beyond_int64_is_an_error():
    def large(rng):
        return np.array([2**63 + 5], "uint64")

    assert "got uint64 from 9223372036854775813" in str(failure_of(mz.simulate, large, 2, seed=1))


def test_integers_next_to_real_variables_stay_exact():
    def pair(rng, big):
        return {"n": np.array([big]), "y": [0.5]}

    for big in (2**53, 2**53 + 1, 2**63 - 1):
        exact = compute(mz.simulate(pair, 2, seed=1, big=big))
        assert exact.n.dtype == np.int64
        assert exact.n.values.tolist() == [[big]] * 2


def test_real_values_beyond_float32_are_infinite_and_so_a_matter_of_policy():
    def large(rng):
        return [1e300]

    assert "x is inf" in str(failure_of(mz.simulate, large, 2, seed=1, dtype="float32"))
    kept = compute(mz.simulate(large, 2, seed=1, dtype="float32", on_nonfinite="keep"))
    assert np.isinf(kept.x).all()


def test_real_states_after_integer_ones_are_an_error_that_says_what_to_pass():
    def sometimes(rng):
        return [0.5] if rng.bit_generator.seed_seq.spawn_key[0] == 3 else [1]

    error = failure_of(compute, mz.simulate(sometimes, 5, seed=1))
    assert error.path == 3
    assert "expected int64 as in the first path, got float64" in error.message
    assert "dtype=" in error.message
    assert compute(mz.simulate(sometimes, 5, seed=1, dtype="float64")).x[3, 0] == 0.5


# --- labels ----------------------------------------------------------------------------------


def weather(rng):
    return ["sun", "rain"] if rng.random() < 0.5 else ["rain", "snow"]


class Space:
    def __init__(self, states):
        self.states = states


class Weather:
    state_space = Space(["rain", "snow", "sun"])

    def sample_path(self, T, x0, rng):
        return rng.choice(self.state_space.states, T + 1)


def test_labels_are_stored_as_codes_with_cf_flags():
    ds = compute(mz.simulate(weather, 40, labels=["sun", "rain", "snow"], seed=SEED))
    assert ds.x.dtype == np.dtype("int32")
    assert ds.x.attrs["flag_values"].tolist() == [0, 1, 2]
    assert ds.x.attrs["flag_values"].dtype == np.dtype("int32")
    assert ds.x.attrs["flag_meanings"] == "sun rain snow"
    assert recipe(ds)["variables"] == [
        {"name": "x", "dtype": "int32", "labels": ["sun", "rain", "snow"]}
    ]
    words = np.array(["sun", "rain", "snow"])[ds.x]
    for path in range(40):
        assert words[path].tolist() == weather(child(path))


def test_labels_come_from_the_state_space_where_none_are_given():
    ds = compute(mz.simulate(Weather(), 5, 3, seed=SEED))
    assert ds.x.attrs["flag_meanings"] == "rain snow sun"
    words = np.array(["rain", "snow", "sun"])[ds.x[4]]
    assert words.tolist() == child(4).choice(["rain", "snow", "sun"], 4).tolist()
    reordered = compute(mz.simulate(Weather(), 5, 3, labels=["sun", "snow", "rain"], seed=SEED))
    np.testing.assert_array_equal(2 - reordered.x, ds.x)


def test_labels_may_be_held_by_a_smaller_integer_type_if_it_holds_all():
    ds = mz.simulate(weather, 3, labels=["sun", "rain", "snow"], seed=1, dtype="int8")
    assert (ds.x.dtype, ds.x.attrs["flag_values"].dtype) == (np.dtype("int8"), np.dtype("int8"))
    many = ["sun", "rain", "snow", *range(200)]
    with pytest.raises(mz.ArgumentValueError, match=r"dtype: expected one that holds 203 codes"):
        mz.simulate(weather, 3, labels=many, seed=1, dtype="int8")


def test_integer_states_become_codes_where_labels_name_them():
    def dice(rng):
        return rng.integers(1, 7, 4)

    codes = compute(mz.simulate(dice, 20, labels=[1, 2, 3, 4, 5, 6], seed=SEED))
    np.testing.assert_array_equal(codes.x + 1, compute(mz.simulate(dice, 20, seed=SEED)).x)
    assert codes.x.attrs["flag_meanings"] == "1 2 3 4 5 6"
    assert failure_of(mz.simulate, dice, 20, labels=[1, 2], seed=SEED).path == 0


def test_labels_of_several_types_are_told_apart():
    def either(rng):
        return np.array(["a", 1] if rng.random() < 0.5 else [1, "a"], object)

    ds = compute(mz.simulate(either, 10, labels=[1, "a"], seed=1))
    assert set(map(tuple, ds.x.values.tolist())) == {(0, 1), (1, 0)}


def test_labels_next_to_numbers_concern_the_labelled_variable_alone():
    def both(rng):
        return {"sky": ["sun", "rain"], "rain": [0.0, rng.random()], "day": [1, 2]}

    ds = compute(mz.simulate(both, 4, labels=["sun", "rain"], seed=SEED))
    assert ds.sky.values.tolist() == [[0, 1]] * 4
    assert ds.rain[3, 1] == child(3).random()
    assert ds.day.values.tolist() == [[1, 2]] * 4
    assert ds.rain.attrs == ds.day.attrs == {}


def test_label_states_without_labels_are_refused_with_the_remedy():
    with pytest.raises(mz.ArgumentValueError, match=r"labels: .*\['sun'.*Pass labels="):
        mz.simulate(lambda rng: ["sun", "rain"], 3, seed=1)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_an_unknown_label_is_an_error_that_names_path_and_step(scheduler):
    def rarely(rng):
        late = rng.bit_generator.seed_seq.spawn_key[0] == 1500
        return ["sun", "rain", "frogs" if late else "sun"]

    ds = mz.simulate(rarely, 3000, labels=["sun", "rain"], seed=1, chunks=1024)
    error = failure_of(compute, ds, scheduler)
    assert error.path == 1500
    assert "path 1500: label 'frogs' at step 2 is none of ('sun', 'rain')" in error.message


def test_an_unknown_label_in_a_block_is_an_error_that_names_path_and_step():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            out = np.full((n, T + 1), "a", object)
            if rng.bit_generator.seed_seq.spawn_key[-1] == 1:
                out[7, 2] = {}
            return out

    error = failure_of(compute, mz.simulate(Blocks(), 3000, 3, labels=["a"], seed=1))
    assert error.path == 1024 + 7
    assert "path 1031: label {} at step 2 is none of ('a',)" in error.message


# --- initial states --------------------------------------------------------------------------


CHAIN = mz.MarkovChain(transition=[[1.0, 0.0], [0.0, 1.0]], states=["a", "b"])


@pytest.mark.parametrize(
    "x0",
    [
        ["a", "b", "b"],
        np.array(["a", "b", "b"]),
        np.array(["a", "b", "b"], object),
        da.from_array(np.array(["a", "b", "b"], object), chunks=2),
        xr.DataArray(["a", "b", "b"], dims="path"),
    ],
    ids=["list", "text", "object", "dask", "xarray"],
)
def test_every_path_may_start_at_a_label_of_its_own(x0):
    ds = mz.simulate(CHAIN, 3, 2, x0=x0, seed=1)
    assert compute(ds).x.values.tolist() == [[0] * 3, [1] * 3, [1] * 3]
    assert mz.replay(ds, 2).x.values.tolist() == [1] * 3


def test_labels_of_several_types_may_be_the_x0_of_each_path():
    chain = mz.MarkovChain(transition=[[1.0, 0.0], [0.0, 1.0]], states=[1, "a"])
    ds = compute(mz.simulate(chain, 2, 1, x0=["a", 1], seed=1))
    assert ds.x.values.tolist() == [[1, 1], [0, 0]]


def test_a_label_is_an_x0_of_all_paths():
    class Echo:
        state_space = Space(["a", "b"])

        def sample_path(self, T, x0, rng):
            return [x0] * (T + 1)

    ds = mz.simulate(Echo(), 3, 1, x0="b", seed=1)
    assert compute(ds).x.values.tolist() == [[1, 1]] * 3
    assert recipe(ds)["x0"] == "b"
    each = mz.simulate(Echo(), 3, 1, x0=["a", "b", "a"], seed=1)
    assert compute(each).x[:, 1].values.tolist() == [0, 1, 0]


def test_components_may_have_an_x0_for_each_path_or_one_for_all():
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.2, rho=0.0)
    v = np.array([0.01, 0.04, 0.09])
    for x0 in (
        {"s": 100.0, "v": v},
        (100.0, v),
        {"v": da.from_array(v, chunks=2), "s": np.float64(100.0)},
        {"s": da.ones((), dtype=float) * 100, "v": xr.DataArray(v, dims="path")},
    ):
        ds = mz.simulate(heston, 3, 2, x0=x0, seed=1)
        computed = compute(ds)
        assert (computed.s[:, 0] == 100.0).all()
        np.testing.assert_array_equal(computed.v[:, 0], v)
        np.testing.assert_array_equal(mz.replay(ds, 1).s, computed.s[1])


def test_a_lazy_scalar_is_an_x0_of_all_paths():
    for x0 in (da.ones(()) * 2.0, xr.DataArray(2.0), np.array(2.0), np.float32(2.0)):
        ds = mz.simulate(mz.BrownianMotion(sigma=0.0), 3, 1, x0=x0, seed=1)
        assert compute(ds).x.values.tolist() == [[2.0, 2.0]] * 3
        assert recipe(ds)["x0"] == 2.0


def test_an_x0_for_each_path_is_checked_at_the_call_where_it_is_in_memory():
    with pytest.raises(mz.ArgumentValueError, match="x0"):
        mz.simulate(mz.BrownianMotion(), 3, 1, x0=[1.0, np.nan, 2.0], seed=1)
    with pytest.raises(mz.ArgumentValueError, match=r"x0: expected a state .*'c'"):
        mz.simulate(CHAIN, 3, 1, x0=["a", "b", "c"], seed=1)
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.2, rho=0.0)
    with pytest.raises(mz.ArgumentValueError, match=r"x0\['s'\]"):
        mz.simulate(heston, 2, 1, x0=(np.array([1.0, -1.0]), 0.04), seed=1)


def test_a_wrong_x0_in_a_lazy_array_names_its_path():
    x0 = da.from_array(np.array([1.0] * 1500 + [np.inf] + [1.0] * 499), chunks=700)
    ds = mz.simulate(mz.GeometricBrownianMotion(mu=0.0, sigma=0.1), 2000, 2, x0=x0, seed=1)
    error = failure_of(compute, ds)
    assert error.path == 1500
    assert error.context["x0"] == "inf"


def test_several_variables_may_start_from_one_x0_for_each_path():
    def pair(rng, x0):
        return {"a": [x0, 0.0], "b": [-x0, 1.0]}

    ds = mz.simulate(pair, 3, x0=[1.0, 2.0, 3.0], seed=1)
    assert compute(ds).b[:, 0].values.tolist() == [-1.0, -2.0, -3.0]
    assert mz.replay(ds, 2).a[0] == 3.0


def test_fewer_paths_than_a_block_may_have_an_x0_each():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return x0[:, None] + np.zeros((n, T + 1))

    ds = compute(mz.simulate(Blocks(), 3, 1, x0=[1.0, 2.0, 3.0], seed=1))
    assert ds.x[:, 1].values.tolist() == [1.0, 2.0, 3.0]


# --- returns that are not what was declared --------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None, expected a path"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous"),
        ({"a": [1.0], "b": [1.0, 2.0]}, r"returned shapes \[\(1,\), \(2,\)\]"),
        ({}, "returned no variables"),
        ([1j, 2j], "x: expected numbers"),
        (object(), "x: expected numbers"),
        ((k for k in range(3)), "x: expected numbers"),
        ([None, 1.0], "x: expected numbers"),
        (Path([0.0, 1.0], [1.0]), r"returned times \(2,\) for states \(1,\)"),
        (Path("later", [1.0]), "could not convert string"),
    ],
    ids=lambda value: repr(value)[:16],
)
def test_a_first_path_that_is_none_names_path_0(returned, message):
    error = failure_of(mz.simulate, lambda rng: returned, 3, seed=1)
    assert error.path == 0
    assert re.search(message, error.message)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None, expected a path"),
        ([1.0], r"returned 1 states, expected T\+1 = 2"),
        ([1.0, 2.0, 3.0], r"returned 3 states, expected T\+1 = 2"),
        ([[1.0, 2.0]], r"x: returned shape \(1, 2\), expected \(2,\)"),
        ([1.0, [2.0]], "inhomogeneous"),
        (["a", "b"], "x: expected numbers as in the first path"),
        ({"y": [1.0, 2.0]}, r"returned \['y'\], expected \['x'\]"),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0]}, r"returned \['x', 'y'\], expected \['x'\]"),
        ([1j, 2.0], "x: expected numbers"),
        (1.0, "returned 1 states"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_later_path_of_another_kind_than_the_first_names_itself(returned, message):
    def sampler(rng):
        late = rng.bit_generator.seed_seq.spawn_key[0] == 1234
        return returned if late else [1.0, 2.0]

    ds = mz.simulate(sampler, 2000, seed=1)
    error = failure_of(compute, ds)
    assert error.path == 1234
    assert re.search(message, error.message)
    again = failure_of(mz.replay, ds, 1234)
    assert again.message == error.message


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1024, 3), r"sample_paths returned shape \(1024, 3\), expected \(1024, 5\)"),
        ((1000, 5), r"sample_paths returned shape \(1000, 5\)"),
        ((5,), r"sample_paths returned shape \(5,\)"),
    ],
)
def test_a_block_of_another_shape_is_an_error(shape, message):
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return np.zeros(shape)

    error = failure_of(mz.simulate, Blocks(), 10, 4, seed=1)
    assert re.search(message, error.message)
    assert error.path == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda n, T: np.zeros((n, T + 1)), r"sample returned shape \(2, 5\), expected \(5, 2\)"),
        (lambda n, T: np.zeros((T + 1, n), complex), "sample returned dtype complex128"),
        (lambda n, T: None, r"sample returned shape \(\)"),
        (lambda n, T: np.full((T + 1, n), "a"), "sample returned dtype <U1"),
    ],
    ids=["transposed", "complex", "None", "labels"],
)
def test_vectorised_rows_of_another_shape_or_dtype_are_an_error(value, message):
    class Counters:
        def sample(self, draws, grid, x0):
            return value(draws.n, grid.T)

    error = failure_of(mz.simulate, Counters(), 10, 4, seed=1)
    assert re.search(message, error.message)


def test_variables_of_a_vectorised_sampler_must_be_names():
    class Counters:
        variables = "xy"

        def sample(self, draws, grid, x0):
            return draws.normal(range(grid.T + 1))

    with pytest.raises(mz.ArgumentTypeError, match=r"process: expected variables"):
        mz.simulate(Counters(), 3, 2, seed=1)
    Counters.variables = ("time",)
    with pytest.raises(mz.ArgumentValueError, match=r"process: .*'time'"):
        mz.simulate(Counters(), 3, 2, seed=1)


# --- exceptions ------------------------------------------------------------------------------


class Unpicklable(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


RAISES = {
    "value": lambda path: ValueError(f"path {path} is not possible"),
    "key": lambda path: KeyError("missing"),
    "type": lambda path: TypeError("unsupported operand"),
    "memory": lambda path: MemoryError(),
    "unpicklable": lambda path: Unpicklable("holds a lock"),
    "mute": lambda path: Mute(),
    "exit": lambda path: SystemExit(0),
    "stop": lambda path: StopIteration(),
    "montezarr": lambda path: mz.ArgumentValueError("dt: something about montezarr"),
}

BAD = 1100


class FragilePath:
    """Fails on one path, by its stream."""

    def __init__(self, how, sigma=0.5):
        self.how, self.sigma = how, sigma

    def sample_path(self, T, x0, rng):
        path = rng.bit_generator.seed_seq.spawn_key[0]
        if path == BAD:
            raise RAISES[self.how](path)
        return self.sigma * rng.standard_normal(T + 1)


class FragileBlock(FragilePath):
    """Fails in the block of that path."""

    sample_path = None

    def sample_paths(self, n, T, x0, rng):
        if rng.bit_generator.seed_seq.spawn_key[-1] == BAD // 1024:
            raise RAISES[self.how](BAD)
        return rng.standard_normal((n, T + 1))


class FragileRange(FragilePath):
    """Fails on each range that holds one of three paths."""

    sample_path = None

    def sample(self, draws, grid, x0):
        for path in (BAD, BAD + 1, BAD + 250):
            if draws.start <= path < draws.start + draws.n:
                raise RAISES[self.how](path)
        return draws.normal(range(grid.T + 1))


FRAGILE = {FragilePath: BAD, FragileBlock: 1024, FragileRange: BAD}
each_fragile = pytest.mark.parametrize("fragile", FRAGILE, ids=lambda kind: kind.__name__)


def assert_tells_all(error, fragile, how):
    """Assert that an error has what is needed to see the failure again."""
    path = FRAGILE[fragile]
    text = str(error)
    assert isinstance(error, mz.SamplerError)
    assert error.path == path
    assert f"{fragile.__name__}: path {path}:" in text
    assert type(RAISES[how](BAD)).__name__ in text
    assert error.context["T"] == "4"
    assert error.context["x0"] == "2.5"
    assert "'sigma': 0.5" in error.context["parameters"]
    assert error.context["replay"] == f"mz.replay(ds, {path})"
    for line in ("T: 4", "x0: 2.5", "seed key: np.random.SeedSequence(", "replay: mz.replay(ds,"):
        assert line in text
    assert "original traceback:" in text
    assert "raise RAISES[self.how]" in text


@each_fragile
@pytest.mark.parametrize("how", RAISES)
def test_an_exception_on_threads_carries_all_that_is_needed_to_see_it_again(fragile, how):
    ds = mz.simulate(fragile(how), 2000, 4, x0=2.5, seed=SEED, chunks=1024)
    error = failure_of(compute, ds, "threads")
    assert_tells_all(error, fragile, how)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.context) == (str(error), error.path, error.context)


def test_exceptions_in_other_processes_carry_the_same():
    pairs = [(FragilePath, how) for how in ("value", "unpicklable", "exit", "mute")]
    pairs += [(FragileBlock, "exit"), (FragileRange, "unpicklable")]
    # As values, so that one pool of processes serves them all.
    errors = [dask.delayed(error_in_a_worker)(*pair) for pair in pairs]
    errors = dask.compute(*errors, scheduler="processes", num_workers=1)
    for (fragile, how), error in zip(pairs, errors, strict=True):
        assert_tells_all(error, fragile, how)


def error_in_a_worker(fragile, how):
    return failure_of(compute, mz.simulate(fragile(how), 2000, 4, x0=2.5, seed=SEED, chunks=4096))


def test_an_error_raised_by_the_processes_scheduler_tells_all():
    ds = mz.simulate(FragilePath("unpicklable"), 2000, 4, x0=2.5, seed=SEED, chunks=4096)
    with pytest.raises(mz.SamplerError) as raised, dask.config.set(num_workers=1):
        ds.compute(scheduler="processes")
    assert raised.value.path == BAD
    for text in ("path 1100: Unpicklable: holds a lock", "T: 4", "x0: 2.5", "'sigma': 0.5"):
        assert text in str(raised.value)
    assert "raise RAISES[self.how]" in str(raised.value)


def test_an_error_from_a_cluster_worker_tells_all():
    from distributed import Client

    ds = mz.simulate(FragilePath("unpicklable"), 2000, 4, x0=2.5, seed=SEED, chunks=4096)
    with (
        Client(n_workers=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50),
        pytest.raises(mz.SamplerError) as raised,
    ):
        ds.compute()
    assert_tells_all(raised.value, FragilePath, "unpicklable")


@each_fragile
@pytest.mark.parametrize("how", RAISES)
def test_replay_raises_the_very_same_exception_in_the_foreground(fragile, how):
    ds = mz.simulate(fragile(how), 2000, 4, x0=2.5, seed=SEED)
    kind = type(RAISES[how](BAD))
    with pytest.raises(kind) as raised:
        mz.replay(ds, FRAGILE[fragile])
    assert type(raised.value) is kind
    assert f"replay: mz.replay(ds, {FRAGILE[fragile]})" in raised.value.__notes__[0]
    mz.replay(ds, 0)


def test_the_seed_key_of_an_error_makes_the_stream_of_the_path():
    def key_of(process):
        ds = mz.simulate(process, 2000, 4, seed=SEED, x0=2.5)
        return eval(failure_of(compute, ds).context["seed key"], {"np": np})

    expected = child(BAD).bit_generator.seed_seq
    assert key_of(FragilePath("value")).generate_state(4).tolist() == (
        expected.generate_state(4).tolist()
    )
    assert key_of(FragileBlock("value")).spawn_key[-1] == BAD // 1024
    assert key_of(FragileRange("value")).spawn_key == ()


def test_of_several_failing_paths_of_a_range_the_lowest_is_found():
    class Fails:
        def __init__(self, bad):
            self.bad = bad

        def sample(self, draws, grid, x0):
            rows = draws.normal(range(grid.T + 1))
            if np.isin(np.arange(draws.n) + draws.start, self.bad).any():
                raise ZeroDivisionError(f"among {draws.n} paths")
            return rows

    for bad in ([2], [1023], [1024, 1500], [2999, 77, 2000], list(range(5, 3000, 7))):
        ds = mz.simulate(Fails(bad), 3000, 2, seed=1, chunks=4096)
        error = failure_of(compute, ds)
        assert error.path == min(bad)
        assert "ZeroDivisionError: among 1 paths" in error.message


def test_a_failure_that_no_path_has_alone_is_reported_for_the_range():
    class OnlyTogether:
        def sample(self, draws, grid, x0):
            if draws.n > 100:
                raise RuntimeError("too many at once")
            return draws.normal(range(grid.T + 1))

    error = failure_of(compute, mz.simulate(OnlyTogether(), 3000, 2, seed=1))
    assert error.path is None
    assert "OnlyTogether: a range of paths: RuntimeError: too many at once" in error.message


def test_a_genuine_type_error_inside_a_sampler_is_not_taken_for_a_wrong_signature():
    def faulty(rng, T):
        return rng.standard_normal(T + 1) + "one"

    error = failure_of(mz.simulate, faulty, 3, 2, seed=1)
    assert error.path == 0
    assert "TypeError" in error.message or "UFuncTypeError" in error.message
    assert '+ "one"' in error.traceback

    class Faulty:
        def sample_path(self, T, x0, rng):
            return len(5)

    error = failure_of(mz.simulate, Faulty(), 3, 2, seed=1)
    assert "TypeError: object of type 'int' has no len()" in error.message


def test_an_unknown_option_is_refused_at_the_call():
    with pytest.raises(mz.ArgumentTypeError, match="colour: expected an argument of simulate"):
        mz.simulate(of_rng, 5, 3, seed=SEED, colour="red")


def test_parameters_without_a_text_do_not_hide_the_failure():
    class Shy:
        def __repr__(self):
            raise RuntimeError("no text")

        def sample_path(self, T, x0, rng):
            raise ValueError("the cause")

    assert "ValueError: the cause" in failure_of(mz.simulate, Shy(), 3, 2, seed=1).message


def test_keyboard_interrupt_is_not_taken_for_a_failure_of_the_sampler():
    def interrupted(rng):
        raise KeyboardInterrupt

    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            raise KeyboardInterrupt

    class Counters:
        def sample(self, draws, grid, x0):
            raise KeyboardInterrupt

    for process in (interrupted, Blocks(), Counters()):
        with pytest.raises(KeyboardInterrupt):
            mz.simulate(process, 3, 2 if process is not interrupted else None, seed=1)


# --- NaN and infinities ----------------------------------------------------------------------


class GoesWrong:
    """Is NaN at step 2 of path 1100 and infinite at step 1 of path 1200, drawn any way."""

    @staticmethod
    def spoil(paths, rows):
        rows[np.asarray(paths) == 1100, 2] = np.nan
        rows[np.asarray(paths) == 1200, 1] = np.inf
        return rows


class WrongPath(GoesWrong):
    def sample_path(self, T, x0, rng):
        path = rng.bit_generator.seed_seq.spawn_key[0]
        return self.spoil([path], rng.standard_normal((1, T + 1)))[0]


class WrongBlock(GoesWrong):
    def sample_paths(self, n, T, x0, rng):
        first = rng.bit_generator.seed_seq.spawn_key[-1] * n
        return self.spoil(np.arange(first, first + n), rng.standard_normal((n, T + 1)))


class WrongRange(GoesWrong):
    def sample(self, draws, grid, x0):
        rows = draws.normal(range(grid.T + 1))
        return self.spoil(np.arange(draws.start, draws.start + draws.n), rows.T).T


@pytest.mark.parametrize("wrong", [WrongPath, WrongBlock, WrongRange])
def test_values_that_are_not_finite_are_errors_unless_they_are_kept(wrong):
    ds = mz.simulate(wrong(), 3000, 4, seed=1, dt=0.5, chunks=4096)
    error = failure_of(compute, ds)
    assert error.path == 1100
    assert "x is nan at time 1; 2 of 3000 paths in this chunk are not finite" in error.message
    kept = mz.simulate(wrong(), 3000, 4, seed=1, dt=0.5, on_nonfinite="keep", chunks=4096)
    values = compute(kept).x
    assert np.isnan(values[1100, 2])
    assert np.isinf(values[1200, 1])
    assert np.isfinite(values).sum() == 3000 * 5 - 2
    assert recipe(kept) == recipe(ds)


def test_replay_shows_a_path_that_is_not_finite_under_either_policy():
    ds = mz.simulate(WrongPath(), 3000, 4, seed=1)
    assert np.isnan(mz.replay(ds, 1100).x[2])


def test_both_policies_computed_together_keep_to_themselves():
    kept = mz.simulate(WrongPath(), 3000, 4, seed=1, on_nonfinite="keep")
    strict = mz.simulate(WrongPath(), 1000, 4, seed=1)
    assert kept.x.data.name != mz.simulate(WrongPath(), 3000, 4, seed=1).x.data.name
    with dask.config.set(scheduler="synchronous"):
        a, b = dask.compute(kept.x, strict.x)
    np.testing.assert_array_equal(a[:1000], b)


def test_a_first_path_that_is_not_finite_passes_where_it_is_kept():
    ds = mz.simulate(lambda rng: [np.nan, 1.0], 3, seed=1, on_nonfinite="keep")
    assert np.isnan(compute(ds).x[:, 0]).all()
    assert failure_of(mz.simulate, lambda rng: [np.nan, 1.0], 3, seed=1).path == 0


def test_a_built_in_process_that_overflows_names_its_path_and_warns_of_nothing():
    gbm = mz.GeometricBrownianMotion(mu=800.0, sigma=30.0)
    ds = mz.simulate(gbm, 2000, 3, seed=1)
    assert failure_of(compute, ds).path == 0
    kept = compute(mz.simulate(gbm, 2000, 3, seed=1, on_nonfinite="keep"))
    assert np.isinf(kept.x).any()
    single = mz.simulate(mz.GeometricBrownianMotion(mu=20.0, sigma=1.0), 9, 9, dtype="float32")
    assert failure_of(compute, single).path == 0


# --- samplers that no seed reaches -----------------------------------------------------------


def test_a_sampler_on_the_global_state_is_refused_unless_it_is_asked_for():
    def on_numpy(rng):
        return [np.random.random()]

    def on_python(rng):
        return [random.random()]

    class Ignores:
        def sample_path(self, T, x0, **kwargs):
            return np.random.standard_normal(T + 1)

    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return np.random.standard_normal((n, T + 1))

    class Counters:
        def sample(self, draws, grid, x0):
            return np.random.standard_normal((grid.T + 1, draws.n))

    for process in (on_numpy, on_python, Ignores(), Blocks(), Counters()):
        T = None if process in (on_numpy, on_python) else 3
        error = failure_of(mz.simulate, process, 3, T, seed=1)
        assert error.path == 0
        assert "global state" in error.message or "two different paths" in error.message
    np.testing.assert_array_equal(
        *(compute(mz.simulate(Ignores(), 9, 3, seed=1, legacy_global_rng=True)).x for _ in "ab")
    )


def test_a_sampler_that_keeps_state_from_call_to_call_is_refused():
    class Keeps:
        def __init__(self):
            self.rng = np.random.default_rng(5)

        def sample_path(self, T, x0, rng):
            return self.rng.standard_normal(T + 1)

    def fresh(rng):
        return np.random.default_rng().standard_normal(3)

    for process, T in ((Keeps(), 3), (fresh, None)):
        error = failure_of(mz.simulate, process, 3, T, seed=1)
        assert "returned two different paths from one and the same stream" in error.message


def test_a_sampler_that_counts_its_calls_is_not_taken_for_one_that_keeps_state():
    class Counts:
        calls = 0

        def sample_path(self, T, x0, rng):
            self.calls += 1
            return rng.standard_normal(T + 1)

    process = Counts()
    ds = mz.simulate(process, 5, 3, seed=SEED)
    np.testing.assert_array_equal(compute(ds).x[3], child(3).standard_normal(4))
    assert process.calls == 0  # a run has a copy of its own


def test_a_process_that_holds_a_lock_is_refused_with_the_remedy():
    class Locked:
        def __init__(self):
            self.lock = threading.Lock()

        def sample_path(self, T, x0, rng):
            return rng.standard_normal(T + 1)

    with pytest.raises(mz.ArgumentTypeError, match=r"process: .*lock.*__getstate__"):
        mz.simulate(Locked(), 3, 2, seed=1)

    class LeavesItOut(Locked):
        def __getstate__(self):
            return {}

    assert compute(mz.simulate(LeavesItOut(), 3, 2, seed=1)).x.shape == (3, 3)


# --- code on the global state ----------------------------------------------------------------


class Legacy:
    def sample_path(self, T, x0=None):
        return (x0 or 0.0) + np.cumsum(np.random.standard_normal(T + 1))


def test_legacy_code_leaves_the_global_state_as_it_was():
    np.random.seed(99)
    expected = np.random.random(3)
    np.random.seed(99)
    ds = mz.simulate(Legacy(), 100, 5, seed=SEED, legacy_global_rng=True)
    drawn = [np.random.random()]
    compute(ds, "threads")
    drawn.append(np.random.random())
    mz.replay(ds, 7)
    drawn.append(np.random.random())
    assert drawn == expected.tolist()


def test_legacy_code_leaves_the_global_state_as_it_was_also_where_it_fails():
    class Fails:
        def sample_path(self, T, x0):
            np.random.random()
            raise ValueError("after a draw")

    np.random.seed(3)
    before = pickle.dumps(np.random.get_state(legacy=False))
    failure_of(mz.simulate, Fails(), 3, 2, seed=1, legacy_global_rng=True)
    assert pickle.dumps(np.random.get_state(legacy=False)) == before


def test_legacy_code_draws_the_same_numbers_on_any_number_of_threads():
    ds = mz.simulate(Legacy(), 3000, 5, seed=SEED, legacy_global_rng=True, chunks=1024)
    expected = compute(ds)
    for workers in (1, 2, 4):
        with dask.config.set(num_workers=workers):
            np.testing.assert_array_equal(compute(ds, "threads").x, expected.x)
    np.random.seed(np.random.SeedSequence(SEED, spawn_key=(2500,)).generate_state(624))
    np.testing.assert_array_equal(expected.x[2500], np.cumsum(np.random.standard_normal(6)))


def test_legacy_code_is_not_run_unless_asked_for():
    with pytest.raises(mz.ArgumentTypeError, match=r"process: .*legacy_global_rng=True"):
        mz.simulate(Legacy(), 3, 2, seed=1)
