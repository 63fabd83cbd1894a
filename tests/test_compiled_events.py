"""Events of a compiled function, drawn in the one compiled loop: same bits as from Python."""

from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from looped_paths import check_same, compile_at_once
from numba import njit

import montezarr as mz

N = 300
EVENTS = {"dims": {"t": ("event",), "kind": ("event",)}, "max_events": 40}


@pytest.fixture
def at_once(monkeypatch):
    """The ranges that loops draw, which are compiled at their first one."""
    return compile_at_once(monkeypatch)


class Marked(NamedTuple):
    t: np.ndarray
    kind: np.ndarray
    size: float


class Buffered(NamedTuple):
    t: np.ndarray
    kind: np.ndarray
    n_events: int


class History(NamedTuple):
    times: np.ndarray
    states: np.ndarray


class Streams(NamedTuple):
    t: np.ndarray
    place: np.ndarray


@njit
def marked(rng, rate=6.0):
    n = rng.poisson(rate)
    return Marked(rng.random(n).cumsum(), rng.poisson(2.0, n).astype(np.int32), n / rate)


@njit
def buffered(rng):
    t, kind, n = np.zeros(99), np.zeros(99, np.int8), rng.poisson(6.0)
    for k in range(n):
        t[k], kind[k] = rng.random(), rng.poisson(1.0)
    return Buffered(t, kind, n)


@njit
def history(rng, T):
    n = rng.poisson(T)
    return History(rng.random(n).cumsum(), rng.standard_normal(n).cumsum())


@njit
def alone(rng):
    return rng.random(rng.poisson(3.0)).cumsum()


@njit
def streams(rng):
    return Streams(rng.random(rng.poisson(3.0)), rng.random((rng.poisson(5.0), 2)))


TWO = {"dims": {"t": ("arrival",), "place": ("departure", "leg")}}
CASES = {
    "with a number": (marked, EVENTS),
    "with its length": (buffered, EVENTS),
    "times and states": (history, {"T": 5}),
    "one array": (alone, {"dims": {"x": ("event",)}}),
    "single precision": (alone, {"dims": {"x": ("event",)}, "dtype": "float32"}),
    "two streams": (streams, {**TWO, "max_events": {"arrival": None, "departure": None}}),
    "cut": (marked, {**EVENTS, "max_events": 5, "on_overflow": "truncate"}),
    "buffers cut": (buffered, {**EVENTS, "max_events": 5, "on_overflow": "truncate"}),
}


QUICK = ("with its length", "cut")
SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in QUICK]


@pytest.mark.parametrize("case", [*QUICK, *SLOWER])
def test_events_are_those_that_the_function_returns_to_python(case, at_once):
    process, arguments = CASES[case]
    check_same(mz.simulate(process, N, seed=5, **arguments), at_once)


@pytest.mark.slow
def test_scenarios_and_parameters_by_path_are_the_separate_runs(at_once):
    rates = {"rate": xr.DataArray([1.0, 7.0], dims="rate")}
    found = mz.simulate(marked, N, seed=5, **EVENTS, vary=rates).compute(scheduler="sync")
    prior = {"rate": mz.Uniform(low=1.0, high=9.0)}
    drawn = mz.simulate(marked, N, seed=5, **EVENTS, vary=prior).compute(scheduler="sync")
    assert at_once
    for path in range(0, N, 37):
        for rate, one in ((7.0, found.sel(rate=7.0)), (float(drawn.rate[path]), drawn)):
            rng = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(path,)))
            right, number = marked(rng, rate), int(one.n_events[path])
            np.testing.assert_array_equal(one.t[path, :number], right.t)
            np.testing.assert_array_equal(one.kind[path, :number], right.kind)
            assert one.t[path, number:].isnull().all()


def test_cut_paths_stay_in_the_loop(at_once):
    ds = mz.simulate(marked, N, seed=5, **CASES["cut"][1])
    cut = ds.compute(scheduler="sync").truncated
    assert 0.4 < cut.mean() < 0.8
    assert max(high - low for low, high in at_once) > N // 2


def test_a_path_that_python_has_to_look_at_is_named(at_once):
    with pytest.raises(mz.SamplerError, match="max_events = 9") as caught:
        mz.simulate(marked, N, seed=5, **{**EVENTS, "max_events": 9}).compute(scheduler="sync")
    numbers = mz.simulate(marked, N, seed=5, **EVENTS).compute(scheduler="sync").n_events
    assert caught.value.path == int((numbers.values > 9).argmax())
    assert f"returned {int(numbers[caught.value.path])} events" in str(caught.value)
    assert at_once


@njit
def uneven(rng):
    n = rng.poisson(6.0)
    return Marked(rng.random(n), np.zeros(n + (rng.random() < 0.02), np.int32), 1.0)


@njit
def beyond(rng):
    n = rng.poisson(6.0)
    return Buffered(np.zeros(12), np.zeros(12, np.int32), n)


@njit
def reserved(rng):
    n, low = rng.poisson(6.0), np.int32(-(2**31))
    kind = np.zeros(n, np.int32)
    kind[n // 2 : n // 2 + (rng.random() < 0.02)] = low
    return Marked(rng.random(n), kind, 1.0)


@njit
def infinite(rng):
    t = rng.random(rng.poisson(6.0))
    if len(t) > 11:
        t[2] = np.inf
    return Marked(t, np.zeros(len(t), np.int32), 1.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        pytest.param(uneven, "values along 'event'", marks=pytest.mark.slow),
        pytest.param(beyond, "n_events: expected a number from 0", marks=pytest.mark.slow),
        pytest.param(reserved, "which stands for no event", marks=pytest.mark.slow),
        (infinite, "t is inf at event 2"),
    ],
)
def test_what_is_wrong_with_a_path_is_said_by_python(function, message, at_once):
    ds = mz.simulate(function, 2000, seed=5, **EVENTS)
    with pytest.raises(mz.SamplerError, match=message):
        ds.compute(scheduler="sync")
    assert at_once
