"""What paths are made of: scalars, vectors, integers beside reals, and what functions return."""

import json
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from numba import njit
from random_runs import check_same

import montezarr as mz
from montezarr.random.seeding import BLOCK_PREFIX

SEED = 31


def child(path, seed=SEED):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(path,)))


def block(number, seed=SEED):
    prefix = BLOCK_PREFIX
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(prefix, number)))


def recipe(ds):
    return json.loads(ds.attrs["montezarr"])


# --- what a function gets ------------------------------------------------------------------------


def test_a_function_gets_dt():
    ds = mz.simulate(lambda rng, T, dt: rng.standard_normal(T + 1) * dt, 4, T=3, dt=0.5, seed=SEED)
    np.testing.assert_array_equal(ds.x[2], child(2).standard_normal(4) * 0.5)
    assert recipe(ds)["sampler"] == "function"
    assert recipe(ds)["asks"] == ["rng", "T", "dt"]


def test_a_function_gets_the_times():
    times = [0.0, 1.0, 4.0]
    ds = mz.simulate(lambda rng, times: times * rng.random(), 4, times=times, seed=SEED)
    np.testing.assert_array_equal(ds.x[1], np.array(times) * child(1).random())


def test_a_function_of_n_draws_blocks_and_is_always_called_with_one():
    seen = set()

    def several(n, T, rng):
        seen.add(n)
        return rng.random((n, T + 1))

    ds = mz.simulate(several, 1500, T=2, seed=SEED, chunks=1024)
    np.testing.assert_array_equal(ds.x[1024:], block(1).random((1024, 3))[:476])
    assert seen == {1024}
    assert mz.plan(ds).sampler.startswith("a function of n and what else it asks for")


def test_a_name_that_is_given_as_an_option_is_that_option():
    ds = mz.simulate(lambda rng, n: rng.random(n), 5, seed=SEED, n=3)
    assert recipe(ds)["sampler"] == "rng"
    np.testing.assert_array_equal(ds.x[4], child(4).random(3))


def test_the_default_of_a_function_counts_unless_it_is_replaced():
    def walk(rng, T, dt=0.25):
        return np.full(T + 1, dt)

    assert (mz.simulate(walk, 2, T=3, seed=1).x == 0.25).all()
    assert (mz.simulate(walk, 2, T=3, dt=2.0, seed=1).x == 2.0).all()
    assert (mz.simulate(walk, 2, times=[0.0, 1.0, 3.0], seed=1).x == 0.25).all()


def test_rng_and_seed_may_both_be_asked_for():
    ds = mz.simulate(lambda seed, rng: [float(seed % 1000), rng.random()], 3, seed=SEED)
    words = np.random.SeedSequence(SEED, spawn_key=(2,)).generate_state(2, np.uint64)
    number = int(words[0]) | int(words[1]) << 64
    np.testing.assert_array_equal(ds.x[2], [float(number % 1000), child(2).random()])


def test_what_cannot_be_given_is_named_with_what_can():
    with pytest.raises(
        mz.ArgumentValueError, match=r"rng, seed, n, T, dt, times and x0.*'barrier'"
    ):
        mz.simulate(lambda rng, barrier: [barrier], 3, seed=1)
    with pytest.raises(mz.ArgumentValueError, match="no dt where times= gives the grid"):
        mz.simulate(lambda rng, dt: [dt], 3, times=[0.0, 1.0, 3.0], seed=1)


@pytest.mark.parametrize("name", ["stream", "dims", "coords"])
def test_a_parameter_that_is_an_argument_of_simulate_is_refused_with_the_remedy(name):
    made = {}
    exec(f"def f(rng, {name}=None): return rng.random(3)", made)
    with pytest.raises(mz.ArgumentValueError, match=f"{name}= is an argument of simulate.*rename"):
        mz.simulate(made["f"], 3, seed=1)


def test_a_recipe_of_before_keeps_the_rule_of_its_time():
    def walk(rng, T, dt=0.25):
        return rng.random(T + 1) * dt

    ds = mz.simulate(walk, 3, T=2, seed=SEED)  # no dt is given, so that both rules agree
    older = recipe(ds) | {"grid": {"T": 2, "dt": 7.0}}
    assert older["sampler"] == "rng"
    assert recipe(mz.simulate(walk, 3, T=2, dt=7.0, seed=SEED))["sampler"] == "function"
    again = mz.replay(xr.Dataset(attrs={"montezarr": json.dumps(older)}), 1, process=walk)
    np.testing.assert_array_equal(again.x, child(1).random(3) * 0.25)


def test_a_compiled_function_is_called_as_it_is():
    @njit
    def walk(rng, T, dt):
        out = np.zeros(T + 1)
        for i in range(T):
            out[i + 1] = out[i] + rng.standard_normal() * np.sqrt(dt)
        return out

    ds = mz.simulate(walk, 3, T=4, dt=0.25, seed=SEED)
    np.testing.assert_allclose(ds.x[1, 1:], np.cumsum(child(1).standard_normal(4)) / 2, rtol=1e-15)


# --- what it may return --------------------------------------------------------------------------


class Pair(NamedTuple):
    infected: np.ndarray
    final: int


def test_scalars_of_a_path_stand_beside_values_over_time():
    ds = mz.simulate(lambda rng: {"I": rng.integers(0, 9, 5), "final": 3.0}, 4, seed=SEED)
    assert ds.I.dims == ("path", "time")
    assert ds.I.dtype == np.int64
    assert ds.final.dims == ("path",)
    assert ds.final.values.tolist() == [3.0] * 4
    np.testing.assert_array_equal(ds.I[3], child(3).integers(0, 9, 5))


def test_an_array_of_two_axes_is_a_vector_over_time():
    ds = mz.simulate(lambda rng, T: rng.random((T + 1, 3)), 4, T=2, seed=SEED)
    assert ds.x.dims == ("path", "time", "x_dim_0")
    np.testing.assert_array_equal(ds.x[1], child(1).random((3, 3)))


def test_one_number_of_a_run_with_times_is_one_of_the_path():
    ds = mz.simulate(lambda rng, T: rng.random(), 4, T=5, seed=SEED)
    assert ds.x.dims == ("path",)
    assert "time" not in ds.coords
    assert mz.reduce(ds, "mean").x_mean.dims == ()


def test_named_tuples_are_variables_by_name():
    ds = mz.simulate(lambda rng, T: Pair(rng.random(T + 1), np.int16(4)), 3, T=2, seed=SEED)
    assert list(ds.data_vars) == ["infected", "final"]
    assert ds.final.dtype == np.int16


def test_dimensions_labels_and_attributes_of_xarray_objects_count():
    def prices(rng, T):
        values = rng.random((2, T + 1))
        price = ("asset", "time"), values, {"units": "EUR"}
        return xr.Dataset({"price": price, "rate": ((), 0.5)}, {"asset": ["A", "B"]})

    ds = mz.simulate(prices, 3, T=4, seed=SEED)
    assert ds.price.dims == ("path", "asset", "time")
    assert ds.price.attrs == {"units": "EUR"}
    assert ds.asset.values.tolist() == ["A", "B"]
    assert ds.rate.dims == ("path",)
    np.testing.assert_array_equal(ds.price[2], child(2).random((2, 5)))
    turned = mz.simulate(lambda rng, T: prices(rng, T).transpose(), 3, T=4, seed=SEED)
    np.testing.assert_array_equal(turned.price.transpose(*ds.price.dims), ds.price)


def test_a_data_array_of_a_block_has_its_paths_where_it_says():
    def several(n, T, rng):
        return xr.DataArray(rng.random((T + 1, n)), dims=("time", "path"), name="level")

    ds = mz.simulate(several, 1100, T=2, seed=SEED)
    np.testing.assert_array_equal(ds.level[:1024], block(0).random((3, 1024)).T)


def test_dims_and_coords_say_what_plain_arrays_cannot():
    ds = mz.simulate(
        lambda rng, T: {"x": rng.random((2, T + 1)), "w": rng.random(2)},
        3, T=4, seed=SEED, dims={"x": ("asset", "time"), "w": "asset"}, coords={"asset": [10, 20]},
    )  # fmt: skip
    assert ds.x.dims == ("path", "asset", "time")
    assert ds.w.dims == ("path", "asset")
    assert ds.asset.values.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("value", "more", "message"),
    [
        (np.zeros((5, 2)), {"dims": {"y": "time"}}, "dims: expected names of variables among"),
        (np.zeros((5, 2)), {"dims": {"x": "time"}}, "dims: expected one name for each axis"),
        (np.zeros((5, 2)), {"dims": {"x": ("path", "a")}}, "other than 'path'"),
        (np.zeros((5, 2)), {"dims": {"x": ("a", "a")}}, "dims: expected distinct dimensions"),
        (np.zeros((5, 2)), {"dims": ["time"]}, "dims: expected a mapping of variables"),
        (np.zeros((5, 2)), {"coords": {"b": [1, 2]}}, "coords: expected labels of dimensions"),
        (np.zeros((5, 2)), {"coords": {"x_dim_0": [1]}}, "coords: expected 2 labels"),
        (np.zeros((5, 2)), {"coords": {"time": [1, 2]}}, "T, dt and times= say"),
        (np.zeros((5, 2)), {"coords": {"x_dim_0": [None, 1]}}, "coords: expected a mapping"),
        ({"x": np.zeros((5, 2)), "y": np.zeros((5, 3))},
         {"dims": {"x": ("time", "a"), "y": ("time", "a")}}, "one size of the dimension 'a'"),
        ({"x": np.zeros(5), "y": np.zeros((5, 3))},
         {"dims": {"y": ("time", "x")}}, "bear the name of a variable"),
    ],
)  # fmt: skip
def test_dims_and_coords_that_do_not_fit_are_refused(value, more, message):
    with pytest.raises((mz.ArgumentValueError, mz.ArgumentTypeError), match=message):
        mz.simulate(lambda rng, T: value, 3, T=4, seed=1, **more)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"x": np.zeros((3, 2)), "k": 1.5}, "k: expected int64 as in the first path"),
        ({"x": np.zeros((3, 3)), "k": np.int64(1)}, r"x: returned shape \(3, 3\)"),
        ({"x": np.zeros((3, 2))}, r"returned \['x'\], expected \['x', 'k'\]"),
        ({"x": np.zeros((3, 2)), "k": np.arange(2)}, r"k: returned shape \(2,\), expected \(\)"),
    ],
)
def test_a_later_path_of_another_schema_names_itself(later, message):
    def f(rng, T):
        first = {"x": np.zeros((T + 1, 2)), "k": np.int64(1)}
        return first if rng.random() == child(0).random() else later

    ds = mz.simulate(f, 3, T=2, seed=SEED)
    with pytest.raises(mz.SamplerError, match=message) as caught:
        ds.compute(scheduler="synchronous")
    assert caught.value.path == 1


# --- policies ------------------------------------------------------------------------------------


def test_masked_paths_are_masked_in_every_variable():
    def f(rng, T):
        x = rng.random((T + 1, 2))
        if x[0, 0] > 0.5:
            raise RuntimeError("too large")
        return {"x": x, "k": np.int16(3), "y": 1.0}

    ds = mz.simulate(f, 50, T=2, seed=5, on_error="mask").compute()
    bad = np.isnan(ds.y.values)
    assert 10 < bad.sum() < 40
    assert np.isnan(ds.x.values).all(axis=(1, 2)).tolist() == bad.tolist()
    assert (ds.k.values == np.iinfo(np.int16).min).tolist() == bad.tolist()
    with pytest.warns(mz.MontezarrWarning, match="not finite, or masked"):
        assert mz.reduce(ds, "count").k_count == (~bad).sum()


def test_a_scalar_that_is_not_finite_is_found():
    ds = mz.simulate(lambda rng, T: {"a": np.zeros(T + 1), "b": np.inf}, 3, T=2, seed=1,
                     on_nonfinite="mask")  # fmt: skip
    assert np.isnan(ds.compute().a.values).all()
    with pytest.raises(mz.SamplerError, match="b is inf; "):
        mz.simulate(lambda rng, T: {"a": np.zeros(T + 1), "b": np.inf}, 3, T=2, seed=1)


# --- what a reader of the code found -----------------------------------------------------------


def test_functions_of_a_seed_by_name_share_their_noise_with_those_of_a_seed():
    a = mz.simulate(lambda seed, T: np.random.default_rng(seed).random(T + 1), 4, T=2, seed=SEED)
    b = mz.simulate(
        lambda seed, T, dt: np.random.default_rng(seed).random(T + 1), 4, T=2, seed=SEED
    )
    c = mz.simulate(lambda rng, T, dt: rng.random(T + 1), 4, T=2, seed=SEED)
    assert mz.plan(a.x - b.x).noise.startswith("2 runs on common noise")
    assert "independent" in mz.plan(a.x - c.x).noise
    np.testing.assert_array_equal(a.x, b.x)


class Single:
    """Code like a process that returns float32, and what it counts, by name."""

    def sample(self, draws, grid, x0):
        steps = draws.normal(range(grid.T + 1)).astype(np.float32)
        return {"x": steps, "up": (steps > 0).sum(axis=0)}


def test_float32_by_name_is_drawn_in_single_precision_and_says_the_format():
    ds = mz.simulate(Single(), 1500, T=3, seed=SEED, chunks=1024)
    assert ds.x.dtype == np.float32
    assert ds.up.dtype == np.int64
    assert recipe(ds)["format"] == 2
    draws = mz.Draws.of(seed=SEED, start=1200, n=3, dtype="float32")
    np.testing.assert_array_equal(ds.x[1200:1203].T, draws.normal(range(4)))
    check_same(mz.replay(ds, 1200, process=Single()), ds.isel(path=1200).compute())


@pytest.mark.parametrize(
    "change",
    [
        {"sampler": "T"}, {"sampler": ["rng"]}, {"sampler": 5}, {"asks": 5}, {"asks": ["x0", "dt"]},
        {"variables": 5}, {"variables": [{"name": 5, "dtype": "float64"}]}, {"seed": 5},
        {"grid": 5}, {"process": "f"},
    ],
)  # fmt: skip
def test_recipes_from_anywhere_are_refused_by_our_own_errors(change):
    def f(rng, T, times):
        return rng.random(T + 1)

    ds = mz.simulate(f, 3, T=2, seed=SEED).compute()
    ds.attrs["montezarr"] = json.dumps(recipe(ds) | change)
    with pytest.raises(mz.MontezarrError):
        mz.replay(ds, 0, process=f)


def test_a_run_is_found_while_one_of_its_datasets_lives():
    process = Single()
    first = mz.simulate(process, 1500, T=2, seed=SEED)
    second = mz.simulate(process, 1600, T=2, seed=SEED)
    del second
    mz.replay(first.compute(), 3)


@pytest.mark.parametrize("labels", [np.array(["2024", "2025"], "datetime64[ns]"), [None, "b"]])
def test_labels_of_xarray_objects_that_are_neither_numbers_nor_text_are_refused(labels):
    def f(rng, T):
        values = rng.random((T + 1, 2))
        return xr.DataArray(values, {"day": labels}, ("time", "day"))

    with pytest.raises(mz.SamplerError, match="expected numbers or text"):
        mz.simulate(f, 3, T=2, seed=1)


def test_dims_that_would_not_count_are_refused():
    with pytest.raises(mz.ArgumentValueError, match=r"dims: expected None"):
        mz.simulate(mz.BrownianMotion(), 3, T=2, seed=1, dims={"x": ("time",)})


def test_a_dimension_without_entries_is_refused():
    with pytest.raises(mz.ArgumentValueError, match="at least one entry"):
        mz.simulate(lambda rng, T: np.zeros((T + 1, 0)), 3, T=2, seed=1)


def test_a_block_as_an_xarray_object_says_which_dimension_is_that_of_the_paths():
    def several(n, T, rng):
        return xr.DataArray(rng.random((n, T + 1, 2)))

    with pytest.raises(mz.SamplerError, match="expected 'path' among them"):
        mz.simulate(several, 3, T=2, seed=1)


def test_a_label_with_the_code_of_masked_paths_fails():
    labels = [f"s{i}" for i in range(256)]

    def last(rng):
        return [labels[-1]]

    ds = mz.simulate(last, 3, seed=1, labels=labels, dtype="uint8", on_nonfinite="mask")
    with pytest.raises(mz.SamplerError, match="stands for a masked path"):
        ds.compute(scheduler="synchronous")


def test_parameters_by_position_alone_and_defaults_go_together():
    def f(rng, T, /, dt, k=2):
        return np.full(T + 1, k * dt)

    assert (mz.simulate(f, 3, T=2, dt=0.5, seed=1).x == 1.0).all()
    assert (mz.simulate(f, 3, T=2, dt=0.5, seed=1, k=4).x == 2.0).all()


# --- what somebody who tried to break it found ---------------------------------------------------


def labelled(rng, T):
    labels = rng.permutation(["a", "b"])
    values = np.stack([np.full(T + 1, 1.0 if label == "a" else 2.0) for label in labels], 1)
    return xr.DataArray(values, {"k": labels}, ("time", "k"))


def test_a_path_with_other_labels_than_the_first_fails():
    ds = mz.simulate(labelled, 50, T=2, seed=1)
    with pytest.raises(mz.SamplerError, match=r"returned k = \('[ab]', '[ab]'\), expected"):
        ds.compute(scheduler="synchronous")


def test_other_labels_than_the_sampler_returns_are_refused():
    with pytest.raises(mz.ArgumentValueError, match="coords: expected the labels of 'k'"):
        mz.simulate(labelled, 5, T=2, seed=1, coords={"k": ["x", "y"]})


@pytest.mark.parametrize(
    "returned",
    [
        {"a": xr.DataArray([1.0, 2.0], {"k": [1, 2]}, ("k",)),
         "b": xr.DataArray([1.0, 2.0], {"k": [3, 4]}, ("k",))},
        {"a": xr.DataArray([1.0, 2.0], {"time": [0.0, 1.0]}, ("time",)),
         "b": xr.DataArray([1.0, 2.0], {"time": [0.0, 5.0]}, ("time",))},
        {1: np.zeros(2), "1": np.ones(2)},
    ],
)  # fmt: skip
def test_a_path_that_contradicts_itself_fails(returned):
    with pytest.raises(mz.SamplerError, match=r"returned two|names that differ"):
        mz.simulate(lambda rng, T: returned, 5, T=1, seed=1)


def test_times_that_a_block_brings_along_are_those_of_the_run():
    def several(n, T, rng, step=5.0):
        values = rng.random((n, T + 1))
        return xr.DataArray(values, {"time": np.arange(T + 1) * step}, ("path", "time"))

    assert mz.simulate(several, 5, T=2, seed=1).time.values.tolist() == [0.0, 5.0, 10.0]
    assert mz.simulate(several, 5, T=2, dt=2.0, seed=1).time.values.tolist() == [0.0, 2.0, 4.0]


def test_a_block_with_an_object_of_times_and_states_is_refused():
    class Paths:
        def __init__(self, n, T):
            self.times = self.states = np.zeros((n, T + 1))

    with pytest.raises(mz.SamplerError, match="a block has arrays, the paths first"):
        mz.simulate(lambda n, T, rng: Paths(n, T), 5, T=2, seed=1)


def test_a_block_of_vectors_that_is_transposed_is_found():
    def turned(n, T, rng):
        return np.broadcast_to(np.arange(T + 1.0)[:, None, None], (T + 1, n, 2)).copy()

    with pytest.raises(mz.SamplerError, match="the paths first"):
        mz.simulate(turned, 2000, T=1023, seed=1)


def test_a_seed_with_a_default_beside_a_generator_is_the_functions_own():
    ds = mz.simulate(lambda rng, T, seed=5: np.full(T + 1, float(seed)), 3, T=2, seed=1)
    assert (ds.x == 5.0).all()
    assert recipe(ds)["sampler"] == "rng"


def test_an_integer_of_numpy_beside_plain_numbers_is_not_rounded():
    def f(rng):
        first = rng.random() == child(0).random()
        return {"s": 1 if first else np.int64(2**60 + 1), "x": np.zeros(3)}

    ds = mz.simulate(f, 2, seed=SEED)
    with pytest.raises(mz.SamplerError, match="expected a number that float64 holds"):
        ds.compute(scheduler="synchronous")


def test_an_array_of_one_name_is_drawn_again_under_the_name_of_its_recipe():
    named = xr.DataArray([1.0, 2.0], dims=("day",), name="q")
    ds = mz.simulate(lambda rng, T: named.values, 3, T=1, seed=SEED).compute()
    ds.attrs["montezarr"] = json.dumps({**recipe(ds), "code": "0" * 32})
    with pytest.raises(mz.ReplayError, match="not the sampler"):  # and no error of its names
        mz.replay(ds, 0, process=lambda rng, T: named)


def test_errors_of_a_sample_at_the_call_name_the_path():
    class Fails:
        def sample(self, draws, grid, x0):
            raise ZeroDivisionError("no")

    class Empty:
        def sample(self, draws, grid, x0):
            return {}

    for process in (Fails(), Empty()):
        with pytest.raises(mz.SamplerError, match="path 0"):
            mz.simulate(process, 3, T=2, seed=1)


def test_names_of_further_arguments_ask_for_nothing():
    assert (mz.simulate(lambda rng, **n: [1.0, 2.0], 3, seed=1).x.shape) == (3, 2)
    assert (mz.simulate(lambda rng, *n: [1.0, 2.0], 3, seed=1).x.shape) == (3, 2)


def test_one_number_by_name_at_one_time_is_a_state_for_every_class():
    class Sums:
        def sample(self, draws, grid, x0):
            return {"s": draws.normal(range(grid.T + 1)).sum(axis=0)}

    assert mz.simulate(Sums(), 3, T=0, seed=1).s.shape == (3, 1)


def test_dims_order_the_axes_of_an_xarray_object():
    def f(rng, T):
        return xr.DataArray(rng.random((T + 1, 2)), dims=("time", "k"))

    ds = mz.simulate(f, 3, T=4, seed=SEED, dims={"x": ("k", "time")})
    assert ds.x.dims == ("path", "k", "time")
    np.testing.assert_array_equal(ds.x[1], child(1).random((5, 2)).T)


# --- shapes that users write down first ----------------------------------------------------------


class Halves(NamedTuple):
    x: np.ndarray
    total: np.ndarray


def dataset_of_a_block(n, T, rng):
    x = rng.random((n, T + 1, 2))
    return xr.Dataset(
        {"x": (("path", "time", "asset"), x), "total": ("path", x.sum((1, 2)))},
        {"asset": ["A", "B"]},
    )


def named_tuple_of_a_block(n, T, rng):
    x = rng.random((n, T + 1, 2))
    return Halves(x, x.sum((1, 2)))


def mapping_of_a_block(n, T, rng):
    return named_tuple_of_a_block(n, T, rng)._asdict()


@pytest.mark.parametrize(
    "function", [dataset_of_a_block, named_tuple_of_a_block, mapping_of_a_block]
)
def test_a_block_may_hold_scalars_of_paths_beside_vectors_over_time(function):
    ds = mz.simulate(function, 1100, T=2, seed=SEED)
    x = block(0).random((1024, 3, 2))
    assert ds.x.dims[:2] == ("path", "time")
    assert ds.total.dims == ("path",)
    np.testing.assert_array_equal(ds.x[:1024], x)
    np.testing.assert_array_equal(ds.total[:1024], x.sum((1, 2)))
    np.testing.assert_array_equal(mz.replay(ds, 1050).x, block(1).random((1024, 3, 2))[26])


STARTS = np.arange(1500.0)


@pytest.mark.parametrize(
    ("function", "first"),
    [
        (lambda rng, T, x0: x0["a"] + rng.random(T + 1), lambda i: child(i).random(3)),
        (
            lambda n, T, rng, x0: x0["a"][:, None] + rng.random((n, T + 1)),
            lambda i: block(i // 1024).random((1024, 3))[i % 1024],
        ),
    ],
    ids=["path", "block"],
)
def test_a_function_gets_the_initial_state_of_its_paths_by_name(function, first):
    ds = mz.simulate(function, 1500, T=2, x0={"a": STARTS}, seed=SEED, chunks=1024)
    for path in (0, 1023, 1024, 1499):
        np.testing.assert_array_equal(ds.x[path], STARTS[path] + first(path))
        np.testing.assert_array_equal(mz.replay(ds, path).x, ds.x[path])


def test_heston_gets_the_initial_states_of_its_paths_by_name():
    heston = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)
    v = np.linspace(0.01, 0.09, 1500)
    ds = mz.simulate(heston, 1500, T=2, x0={"v": v, "s": STARTS + 1}, seed=SEED, chunks=1024)
    np.testing.assert_array_equal(ds.v[:, 0], v)
    np.testing.assert_array_equal(ds.s[:, 0], STARTS + 1)
    alone = mz.simulate(heston, 1500, T=2, x0={"v": v[1030], "s": STARTS[1030] + 1}, seed=SEED)
    check_same(mz.replay(ds, 1030), mz.replay(alone, 1030))


SHAPES = {
    "asks dt": (lambda rng, T, dt: rng.random(T + 1) * dt, {"x": ("path", "time")}),
    "asks n": (lambda n, T, rng: rng.random((n, T + 1)), {"x": ("path", "time")}),
    "of two axes": (lambda rng, T: rng.random((T + 1, 3)), {"x": ("path", "time", "x_dim_0")}),
    "of a path": (
        lambda rng: {"I": rng.integers(0, 9, 4), "final": 3.0},
        {"I": ("path", "time"), "final": ("path",)},
    ),
}


@pytest.mark.parametrize(("function", "dims"), SHAPES.values(), ids=SHAPES)
def test_what_is_written_down_first_goes_all_the_way(function, dims, tmp_path):
    T = None if dims.get("final") else 3
    ds = mz.simulate(function, 1500, T=T, dt=0.5, seed=SEED, chunks=1024)
    right = ds.compute(scheduler="synchronous")
    assert {name: variable.dims for name, variable in ds.data_vars.items()} == dims
    with mz.backend("threads", n_jobs=2):
        check_same(mz.write(ds, tmp_path / "a.zarr").compute(), right)
        found = mz.reduce(ds, ["mean", "max"])
    wanted = mz.reduce(right, ["mean", "max"])
    xr.testing.assert_identical(found.drop_attrs(), wanted.drop_attrs())
