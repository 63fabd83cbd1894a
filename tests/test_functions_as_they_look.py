"""Functions and initial states by name do what they look like, on every route."""

import inspect

import numpy as np
import pytest
import xarray as xr

import montezarr as mz


def generator_of(path):
    """Return the Generator of a path as anybody makes it."""
    return np.random.default_rng(np.random.SeedSequence(7, spawn_key=(path,)))


COUNT = 1030
STARTS = np.arange(COUNT) / 8
STEPS = {"T": 4, "dt": 0.5}
SHAPES = {
    "a walk with its step": (
        lambda rng, T, dt: np.sqrt(dt) * rng.standard_normal(T + 1).cumsum(),
        STEPS,
        {"x": (("path", "time"), "float64")},
    ),
    "a vector over time": (
        lambda rng, T: rng.random((T + 1, 3)),
        STEPS,
        {"x": (("path", "time", "x_dim_0"), "float64")},
    ),
    "counts and a scalar": (
        lambda rng: {"I": rng.poisson(3.0, 6), "final": 3.0},
        {},
        {"I": (("path", "time"), "int64"), "final": (("path",), "float64")},
    ),
    "a start of each path by name": (
        lambda rng, T, x0: x0["a"] + rng.random(T + 1),
        STEPS | {"x0": {"a": STARTS}},
        {"x": (("path", "time"), "float64")},
    ),
    "starts of two kinds, and an integer of the path": (
        lambda rng, T, x0: {"a": x0["a"] + rng.random(T + 1), "k": np.int16(x0["b"])},
        STEPS | {"x0": {"a": STARTS, "b": np.arange(COUNT)}},
        {"a": (("path", "time"), "float64"), "k": (("path",), "int16")},
    ),
    "a start beside one of all": (
        lambda rng, T, x0: {"a": x0["a"] * x0["scale"] + rng.random(T + 1), "start": x0["a"]},
        STEPS | {"x0": {"a": STARTS, "scale": 2.0}},
        {"a": (("path", "time"), "float64"), "start": (("path",), "float64")},
    ),
}


def by_hand(function, path, arguments):
    """Return the variables of a path as the function gives them to anybody."""
    given = {name: arguments[name] for name in ("T", "dt") if name in arguments}
    if "x0" in arguments:
        x0 = arguments["x0"].items()
        given["x0"] = {k: v[path].item() if isinstance(v, np.ndarray) else v for k, v in x0}
    asked = inspect.signature(function).parameters
    value = function(generator_of(path), **{k: v for k, v in given.items() if k in asked})
    return value if isinstance(value, dict) else {"x": value}


@pytest.mark.parametrize(("function", "arguments", "schema"), SHAPES.values(), ids=SHAPES)
def test_a_function_does_what_it_looks_like_on_every_route(function, arguments, schema, tmp_path):
    ds = mz.simulate(function, COUNT, seed=7, **arguments)
    assert {name: (v.dims, str(v.dtype)) for name, v in ds.data_vars.items()} == schema
    computed = ds.compute(scheduler="synchronous")
    stored = mz.write(ds, tmp_path / "a.zarr")
    found = mz.reduce(ds, "mean")
    for path in (0, 1, 1023, COUNT - 1):
        again = mz.replay(stored, path, process=function)
        for name, value in by_hand(function, path, arguments).items():
            assert np.array_equal(computed[name][path], value)
            assert np.array_equal(stored[name][path], value)
            assert np.array_equal(again[name], value)
    for name in schema:
        assert np.allclose(found[f"{name}_mean"], computed[name].mean("path"))


def test_a_function_of_n_does_what_it_looks_like():
    ds = mz.simulate(lambda n, T, rng: rng.random((n, T + 1)), COUNT, T=4, seed=7)
    assert ds.x.dims == ("path", "time")
    first = ds.x.compute()[:3]
    few = mz.simulate(lambda n, T, rng: rng.random((n, T + 1)), 3, T=4, seed=7)
    assert np.array_equal(few.x, first)
    started = mz.simulate(
        lambda n, T, x0, rng: x0["a"][:, np.newaxis] + 0 * rng.random((n, T + 1)),
        COUNT, T=4, seed=7, x0={"a": STARTS},
    )  # fmt: skip
    assert np.array_equal(started.x[:, -1], STARTS)


def test_starts_by_name_are_those_of_arrays_in_order_for_a_process():
    heston = mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
    by_name = mz.simulate(heston, COUNT, T=4, dt=0.1, x0={"s": 50 + STARTS, "v": 0.04}, seed=7)
    in_order = mz.simulate(heston, COUNT, T=4, dt=0.1, x0=(50 + STARTS, 0.04), seed=7)
    xr.testing.assert_equal(by_name.compute(), in_order.compute())
    assert np.array_equal(by_name.s[:, 0], 50 + STARTS)
