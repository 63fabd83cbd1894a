"""The compiled loop around a Numba function: same bits as one call per path from Python."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from looped_paths import by_python, check_same, compile_at_once
from numba import njit

import montezarr as mz
from montezarr.core.compat import numpy as compat_numpy
from montezarr.run._run import Run
from montezarr.samplers import _loop_call, compiled
from montezarr.samplers.drawing import sample_range
from montezarr.samplers.path import PathSampler


@pytest.fixture
def at_once(monkeypatch):
    """The ranges that loops draw, which are compiled at their first one."""
    return compile_at_once(monkeypatch)


@njit
def walk(rng, T, x0=0.0, scale=1.0):
    x = np.empty(T + 1)
    x[0] = x0
    for k in range(T):
        # Numbers of 64 bits, of 32 bits, of which one of two is kept back, and of the normal law.
        x[k + 1] = x[k] + scale * rng.standard_normal() + rng.integers(0, 5) + rng.random()
    return x


def test_a_function_is_called_in_a_loop_and_its_paths_stay_bit_for_bit(at_once):
    check_same(mz.simulate(walk, 300, 7, seed=[5, 2**70], stream="a"), at_once)
    assert at_once[-1][1] == 300
    check_same(mz.simulate(walk, 300, 7, seed=1, x0=2.0, scale=0.5, keep=[2, 7]), at_once)
    check_same(mz.simulate(walk, 40, 7, seed=1, dtype="float32", x0=np.arange(40)), at_once)


def test_paths_far_away_have_streams_of_two_words(at_once):
    sampler = Run.behind(mz.simulate(walk, 2**33, 3, seed=4)).sampler
    low = 2**32 - 3
    found = sample_range(sampler, low, low + 6)["x"]
    assert at_once
    np.testing.assert_array_equal(found, PathSampler.draw(sampler, low, low + 6, None)["x"])


def test_scenarios_and_parameters_by_path_go_through_the_loop(at_once):
    ds = mz.simulate(
        walk, 50, 4, seed=3, x0=1.0, vary={"scale": xr.DataArray([0.5, 2.0], dims="scale")}
    )
    found = ds.compute(scheduler="sync")
    assert at_once
    for scale in (0.5, 2.0):
        alone = mz.simulate(walk, 50, 4, seed=3, x0=1.0, scale=scale)
        expected = by_python(alone)["x"].T
        np.testing.assert_array_equal(found.x.sel(scale=scale), expected)
    at_once.clear()
    ds = mz.simulate(walk, 50, 4, seed=3, vary={"scale": mz.Normal(1.0, 0.1)})
    found = ds.compute(scheduler="sync")
    assert at_once
    for path in (0, 49):
        own = mz.simulate(walk, 50, 4, seed=3, scale=float(found.scale[path]))
        np.testing.assert_array_equal(found.x[path], by_python(own, path, path + 1)["x"][:, 0])


class Outcome(NamedTuple):
    states: np.ndarray
    matrix: np.ndarray
    size: int
    share: float
    ill: bool


@njit
def outcome(rng, T, times):
    states = rng.integers(0, 9, T + 1)
    matrix = np.empty((T + 1, 2))
    for k in range(T + 1):
        matrix[k, 0], matrix[k, 1] = times[k] * rng.random(), -0.0
    return Outcome(states, matrix, states.max(), rng.random(), states[0] > 4)


@pytest.mark.slow
def test_several_variables_of_all_kinds(at_once):
    ds = mz.simulate(outcome, 40, 3, dt=0.5, seed=1, dtype={"size": "int64", "states": "int32"})
    check_same(ds, at_once)
    assert ds.matrix.dims == ("path", "time", "matrix_dim_0")


@njit
def failing(rng, T, limit):
    x = rng.standard_normal(T + 1)
    if x.max() > limit:
        raise ValueError("above the limit")
    return x


def test_an_error_names_its_path_and_a_mask_takes_that_path_alone(at_once):
    ds = mz.simulate(failing, 400, 3, seed=2, limit=2.0)
    with pytest.raises(mz.SamplerError, match="above the limit") as raised:
        ds.compute(scheduler="sync")
    assert at_once
    sampler = Run.behind(ds).sampler
    with pytest.raises(mz.SamplerError) as expected:
        PathSampler.draw(sampler, 0, 400, None)
    assert raised.value.path == expected.value.path
    assert (
        str(raised.value).partition("original")[0] == str(expected.value).partition("original")[0]
    )
    masked = mz.simulate(failing, 400, 3, seed=2, limit=2.0, on_error="mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MaskedPathsWarning)
        found = masked.x.compute(scheduler="sync").values
    bad = np.isnan(found).all(axis=1)
    assert bad.argmax() == expected.value.path
    good = int(bad.argmin() if bad[0] else 0)
    np.testing.assert_array_equal(
        found[good], PathSampler.draw(sampler, good, good + 1, None)["x"][:, 0]
    )


@njit
def lengths(rng, T):
    n = T + 1 if rng.random() < 0.99 else T
    return np.ones(n) if n > T else np.zeros(n)


def test_a_path_of_another_length_and_one_that_is_not_finite_are_found(at_once):
    ds = mz.simulate(lengths, 600, 3, seed=2)
    with pytest.raises(mz.SamplerError, match="returned 3 states, expected T"):
        ds.compute(scheduler="sync")
    assert at_once

    at_once.clear()
    ds = mz.simulate(walk, 50, 1, seed=2, x0=1.7e308, scale=1e307)
    with pytest.raises(mz.SamplerError, match="are not finite"):
        ds.compute(scheduler="sync")
    assert at_once


@pytest.mark.slow
def test_functions_that_have_no_loop_run_as_before(at_once):
    @njit(fastmath=True)
    def fast(rng, T):
        return np.cumsum(rng.standard_normal(T + 1))

    @njit
    def of_fast(rng, T):
        return fast(rng, T)

    @njit(parallel=True)
    def own_threads(rng, T):
        return rng.standard_normal(T + 1) * 2.0

    @njit
    def of_threads(rng, T):
        return own_threads(rng, T)

    @njit
    def a_list(rng, T):
        return [rng.random() for _ in range(T + 1)]

    @njit
    def mapping(rng, T, names):
        return np.full(T + 1, rng.random() + len(names))

    for function, options in (
        (fast, {}), (of_fast, {}), (own_threads, {}), (of_threads, {}),
        (a_list, {}), (mapping, {"names": ("a", 1)}),
    ):  # fmt: skip
        ds = mz.simulate(function, 20, 3, seed=1, **options)
        check_same(ds, at_once, is_looped=function is mapping)


@pytest.mark.parametrize("broken", ["layout", "words"])
def test_another_numpy_takes_the_paths_from_python(at_once, monkeypatch, broken):
    if broken == "layout":
        monkeypatch.setattr(compat_numpy, "_is_as_known", lambda: False)
        monkeypatch.setattr(_loop_call, "_of_thread", type("Local", (), {})())
    else:
        monkeypatch.setattr(_loop_call, "is_as_numpy", lambda root: False)
    check_same(mz.simulate(walk, 30, 3, seed=1), at_once, is_looped=False)


def test_the_state_of_a_bit_generator_is_found_and_another_layout_is_not(monkeypatch):
    bits = np.random.PCG64(7)
    numbers, cached = compat_numpy.state_views(bits)
    numbers[:] = [1, 2, 3, 4]
    cached[:] = [1, 9]
    assert bits.state["state"] == {"state": 1 + 2 * 2**64, "inc": 3 + 4 * 2**64}
    assert (bits.state["has_uint32"], bits.state["uinteger"]) == (1, 9)
    known = compat_numpy._is_as_known.__wrapped__
    assert known()
    monkeypatch.setattr(compat_numpy, "_equal", lambda views, shown: False)
    assert not known()
    monkeypatch.setattr(compat_numpy, "_points_near", lambda address: False)
    assert not known()
    monkeypatch.setattr(compat_numpy.np.random, "PCG64", np.random.MT19937)
    assert not known()


def test_a_loop_that_draws_other_paths_is_given_up(at_once, monkeypatch):
    @njit
    def own(rng, T):
        return rng.standard_normal(T + 1)

    monkeypatch.setattr(_loop_call, "prefix_of", lambda root: compiled_prefix(root))
    check = mz.simulate(own, 30, 3, seed=1)
    found = check.compute(scheduler="sync")
    expected = by_python(check)["x"].T
    np.testing.assert_array_equal(found.x, expected)
    assert at_once == [(0, compiled.CHECKED_PATHS)]


def compiled_prefix(root):
    from montezarr.random.path_streams import prefix_of

    known = prefix_of(root)
    return known._replace(pool=known.pool ^ np.uint64(1))


class Method:
    sample_path = staticmethod(njit(lambda T, x0, rng: x0 + rng.standard_normal(T + 1)))


class Model(NamedTuple):
    scale: float

    sample_path = njit(lambda self, T, x0, rng: x0 + self.scale * rng.standard_normal(T + 1))


@pytest.mark.slow
@pytest.mark.parametrize("process", [Method(), Model(0.5)])
def test_methods_run_in_the_loop(process, at_once):
    ds = mz.simulate(process, 30, 4, x0=1.0, seed=1)
    check_same(ds, at_once)
    check_same(mz.simulate(process, 30, 4, x0=np.arange(30.0), seed=1), at_once)
    assert Run.behind(ds).sampler.releases_gil


@njit
def with_memory(rng, T, memory):
    for k in range(T + 1):
        memory[k] = rng.standard_normal()
    return memory[: T + 1].copy()


def test_memory_that_is_an_option_belongs_to_a_range(at_once):
    memory = np.zeros(10)
    ds = mz.simulate(with_memory, 3000, 3, seed=1, memory=memory, chunks=1024)
    expected = by_python(ds)["x"].T
    assert Run.behind(ds).sampler.releases_gil
    np.testing.assert_array_equal(ds.x.data.compute(scheduler="threads"), expected)
    assert at_once
    large = mz.simulate(with_memory, 8, 3, seed=1, memory=np.zeros(2**18))
    assert not Run.behind(large).sampler.releases_gil


def test_a_loop_is_compiled_where_that_pays(monkeypatch):
    @njit
    def quick(rng, T):
        return rng.standard_normal(T + 1)

    compiled_loops = []
    monkeypatch.setattr(_loop_call.LoopCall, "compile", compiled_loops.append)
    mz.simulate(quick, 100, 3, seed=1).compute(scheduler="sync")
    assert not compiled_loops


@njit
def fill(rng, T, out, scale=1.0):
    for k in range(T + 1):
        out[k] = scale * rng.standard_normal()


def test_a_function_may_fill_an_array(at_once):
    ds = mz.simulate(fill, 40, 4, seed=1)
    check_same(ds, at_once)
    expected = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(7,))).standard_normal(5)
    np.testing.assert_array_equal(ds.x[7], expected)
    again = mz.replay(ds, 7)
    np.testing.assert_array_equal(again.x, expected)
    assert mz.simulate(fill.py_func, 40, 4, seed=1).compute().equals(ds.compute())


def test_an_array_to_fill_has_the_dims_and_dtype_that_are_asked_for(at_once):
    def assets(rng, out):
        out[:, 1] = rng.integers(0, 9, len(out))

    coords = {"asset": ["a", "b"]}
    ds = mz.simulate(
        assets, 30, 4, seed=1, dtype="int32", dims={"x": ("time", "asset")}, coords=coords
    )
    assert ds.x.dtype == np.int32
    assert ds.x.dims == ("path", "time", "asset")
    assert not ds.x.sel(asset="a").any()
    with pytest.raises(mz.ArgumentValueError, match=r"coords: expected labels .* \['asset'\]"):
        mz.simulate(assets, 30, 4, seed=1, dims={"x": ("time", "asset")})
    with pytest.raises(mz.ArgumentValueError, match="T: expected a number of steps"):
        mz.simulate(assets, 30, seed=1)


def test_what_is_not_filled_is_not_finite_and_nothing_else_is_returned():
    def half(rng, T, out):
        out[: T // 2] = 1.0

    def both(rng, T, out):
        out[:] = 1.0
        return 3.0

    with pytest.raises(mz.SamplerError, match="x is nan at time 2"):
        mz.simulate(half, 3, 4, seed=1)
    with pytest.raises(mz.SamplerError, match=r"returned 3\.0, expected to fill out alone"):
        mz.simulate(both, 3, 4, seed=1)


def test_an_option_or_a_default_called_out_stays_what_it_is():
    def own(rng, T, out=None):
        return rng.standard_normal(T + 1) + (0 if out is None else out)

    assert "asks" not in mz.simulate(own, 3, 4, seed=1).mz.recipe
    found = mz.simulate(own, 3, 4, seed=1, out=1.0).x - mz.simulate(own, 3, 4, seed=1).x
    np.testing.assert_allclose(found, 1.0)
    with pytest.raises(mz.ArgumentValueError, match="got 'out'"):
        mz.simulate(lambda rng, n, T, out: out, 3, 4, seed=1)


class OneField(NamedTuple):
    x: np.ndarray


@pytest.mark.slow
def test_all_that_a_function_may_return_is_read_as_from_python(at_once):
    @njit
    def numbers(rng):
        return 1, rng.random(), rng.random() < 0.5

    @njit
    def whole(rng):
        return rng.integers(0, 9), rng.random() < 0.5

    @njit
    def arrays(rng, T):
        return rng.standard_normal(T + 1), np.zeros(T + 1)

    @njit
    def transposed(rng, T):
        return rng.standard_normal((2, T + 1)).T

    @njit
    def strided(rng, T):
        return rng.standard_normal((T + 1, 4))[:, ::2]

    @njit
    def one_field(rng, T):
        return OneField(rng.integers(0, 9, T + 1).astype(np.uint8))

    @njit
    def truth(rng, T):
        return rng.random(T + 1) < 0.5

    @njit
    def a_number(rng, T):
        return rng.integers(0, 2**62)

    @njit
    def of_table(rng, T, table, name):
        return rng.random(T + 1) + table[1] + len(name)

    for function, T, options in (
        (numbers, None, {}),
        (whole, None, {"dtype": "float32"}),
        (arrays, 3, {"dims": {"x": ("asset", "time")}}),
        (transposed, 3, {}),
        (strided, 3, {"keep": [0, 3]}),
        (one_field, 3, {}),
        (truth, 3, {}),
        (a_number, 3, {"dtype": "int64"}),
        (a_number, 3, {"dtype": "float32"}),
        (of_table, 3, {"table": (1, 2.5, np.ones(3)), "name": "a name"}),
    ):
        check_same(mz.simulate(function, 30, T, seed=1, **options), at_once)


@pytest.mark.slow
def test_numbers_that_the_dtype_does_not_hold_are_left_to_python(at_once):
    @njit
    def large(rng, T):
        return 2**53 + 1 if rng.random() < 0.1 else 1

    @njit
    def small(rng, T):
        return np.full(T + 1, 300 if rng.random() < 0.1 else 1)

    for function, dtype, message in ((large, None, "dtype='int64'"), (small, "int8", "int8")):
        ds = mz.simulate(function, 200, 3, seed=3, dtype=dtype)
        with pytest.raises(mz.SamplerError, match=message) as found:
            ds.compute(scheduler="sync")
        assert at_once
        with pytest.raises(mz.SamplerError) as expected:
            by_python(ds)
        assert found.value.path == expected.value.path
