"""Boundaries of a Diffusion, against the laws of absorbed and reflected Brownian motion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError

N = 20_000


def still(t: float, x: Any) -> Any:
    return np.zeros_like(x)


def falls(t: float, x: Any) -> Any:
    return np.full_like(x, -1.0)


def one(t: float, x: Any) -> Any:
    return np.ones_like(x)


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def brownian(drift: Any = still, **ends: Any) -> mz.Diffusion:
    return mz.Diffusion(drift=drift, diffusion=one, **ends)


def assert_follows(values: Any, law: Any) -> None:
    """Assert that values are of a law, within the 1 % point of Kolmogorov's statistic."""
    values = np.sort(np.asarray(values))
    ranks = np.arange(len(values) + 1) / len(values)
    exact = np.array([law(float(x)) for x in values])
    distance = max(abs(ranks[1:] - exact).max(), abs(ranks[:-1] - exact).max())
    assert distance < 1.63 / math.sqrt(len(values))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("steps", [2, 16])
def test_absorption_with_a_bridge_is_exact_on_any_grid(side: int, steps: int) -> None:
    end = {"lower" if side > 0 else "upper": mz.Absorbing(0.0, bridge=True)}
    ds = mz.simulate(brownian(**end), N, T=steps, dt=1 / steps, x0=side * 0.7, seed=1)
    x = ds.x.values * side
    assert (x >= 0).all()
    gone = x[:, -1] == 0
    p = 2 * cdf(-0.7)
    assert abs(gone.mean() - p) < 4 * math.sqrt(p * (1 - p) / N)
    assert ((x[:, :-1] == 0) <= (x[:, 1:] == 0)).all()  # for good
    # The density of the others, by reflection (Karatzas and Shreve 1998, section 2.8).
    assert_follows(
        x[~gone, -1], lambda y: (cdf(y - 0.7) - cdf(-0.7) - (cdf(y + 0.7) - cdf(0.7))) / (1 - p)
    )


@pytest.mark.parametrize("bridge", [False, True])
def test_reflected_brownian_motion_is_an_absolute_value(bridge: bool) -> None:
    process = brownian(lower=mz.Reflecting(0.0, bridge=bridge))
    ds = mz.simulate(process, N, T=3, dt=1 / 3, x0=0.0, seed=2)
    assert_follows(ds.x.isel(time=-1), lambda y: 2 * cdf(y) - 1)


def test_reflection_with_a_bridge_has_the_exponential_law_on_a_coarse_grid() -> None:
    process = brownian(falls, lower=mz.Reflecting(1.0, bridge=True))
    ds = mz.simulate(process, N, T=24, dt=0.5, x0=1.2, seed=3)
    assert_follows(ds.x.isel(time=-1), lambda y: 1 - math.exp(-2 * (y - 1.0)))
    coarse = mz.simulate(brownian(falls, lower=mz.Reflecting(1.0)), N, T=24, dt=0.5, x0=1.2, seed=3)
    assert abs(float(coarse.x.isel(time=-1).mean()) - 1.5) > 0.02  # what the bridge removes


def test_without_a_bridge_absorption_is_a_stopped_path() -> None:
    ends = brownian(lower=mz.Absorbing(-1.0), upper=mz.Absorbing(1.5))
    ds = mz.simulate(ends, 500, T=600, dt=0.01, x0=0.0, seed=4).compute()
    stopped = mz.simulate(
        brownian(), 500, T=600, dt=0.01, x0=0.0, seed=4, until=mz.Outside(-1.0, 1.5)
    ).compute()  # fmt: skip
    np.testing.assert_array_equal(ds.x, np.clip(stopped.x, -1.0, 1.5))
    both = mz.simulate(
        ends, 500, T=600, dt=0.01, x0=0.0, seed=4, until=mz.Reaches(-1.0) | mz.Reaches(1.5)
    ).compute()  # fmt: skip
    np.testing.assert_array_equal(both.stop_time, stopped.stop_time)
    np.testing.assert_array_equal(both.x, ds.x)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_paths_stay_between_and_do_not_depend_on_others(dtype: str) -> None:
    process = brownian(lower=mz.Reflecting(-0.5, bridge=True), upper=mz.Absorbing(1.0, bridge=True))
    run = {"T": 530, "dt": 0.01, "x0": 0.0, "seed": 5, "dtype": dtype}
    whole = mz.simulate(process, 150, **run).x.values
    assert whole.min() >= -0.5
    assert whole.max() <= 1.0
    np.testing.assert_array_equal(mz.replay(mz.simulate(process, 150, **run), 134).x, whole[134])
    stopped = mz.simulate(process, 150, **run, until=mz.Reaches(1.0)).compute()
    np.testing.assert_array_equal(stopped.x, whole)  # absorbed paths stay


@pytest.mark.parametrize("bridges", [(True, True), (True, False), (False, False)])
def test_a_path_that_is_absorbed_stays_between_two_boundaries(bridges: tuple[bool, bool]) -> None:
    lower, upper = (mz.Absorbing(float(i), bridge=b) for i, b in enumerate(bridges))
    for ends in ({"lower": lower, "upper": upper}, {"lower": lower, "upper": mz.Reflecting(1.0)}):
        x = mz.simulate(brownian(**ends), 4000, T=16, dt=0.5, x0=0.5, seed=1).x.values
        for level in [end.level for end in ends.values() if end.absorbs]:
            before, after = x[:, :-1], x[:, 1:]
            assert (before == level).any()
            assert (after[before == level] == level).all()


@pytest.mark.parametrize("dt", [0.02, 0.5, 8.0])
def test_neither_of_two_boundaries_comes_first(dt: float) -> None:
    for kind in (mz.Absorbing, mz.Reflecting):
        ends = {"lower": kind(0.0, bridge=True), "upper": kind(1.0, bridge=True)}
        x = mz.simulate(brownian(**ends), N, T=8, dt=dt, x0=0.5, seed=6).x.isel(time=-1).values
        below, above = (x < 0.5).sum(), (x > 0.5).sum()
        assert abs(below - above) < 4 * math.sqrt(below + above)


def test_ruin_on_a_fine_grid_is_that_of_brownian_motion() -> None:
    # P(1 before 0 from x) = x, and the mean time is x (1 - x).
    ends = {"lower": mz.Absorbing(0.0, bridge=True), "upper": mz.Absorbing(1.0, bridge=True)}
    rule, n = mz.Reaches(0.0) | mz.Reaches(1.0), 4000
    ds = mz.simulate(brownian(**ends), n, T=400, dt=0.01, x0=0.3, seed=7, until=rule).compute()
    assert bool(ds.stopped.all())
    assert abs(float((ds.stopped_x == 1).mean()) - 0.3) < 4 * math.sqrt(0.21 / n)
    assert abs(float(ds.stop_time.mean()) - 0.21 - 0.005) < 4 * float(ds.stop_time.std()) / n**0.5


def test_bad_boundaries_are_typed_errors() -> None:
    for bad in (
        {"lower": 0.0}, {"upper": mz.Above(1)},
    ):  # fmt: skip
        with pytest.raises(ArgumentTypeError):
            brownian(**bad)
    with pytest.raises(ArgumentTypeError, match="bridge"):
        mz.Absorbing(0.0, bridge=1)
    with pytest.raises(ArgumentValueError, match="level"):
        mz.Reflecting(float("inf"))
    with pytest.raises(ArgumentValueError, match="upper"):
        brownian(lower=mz.Absorbing(1.0), upper=mz.Reflecting(1.0))
    with pytest.raises(ArgumentValueError, match="one variable"):
        mz.Diffusion(drift=still, diffusion=one, names=("x", "y"), lower=mz.Absorbing(0.0))
    with pytest.raises(ArgumentValueError, match="x0"):
        mz.simulate(brownian(lower=mz.Absorbing(0.0)), 3, T=2, x0=-0.1)


def test_an_equation_without_boundaries_has_its_recipe() -> None:
    assert "lower" not in brownian().to_dict()
    found = brownian(lower=mz.Absorbing(0.0)).to_dict()["lower"]
    assert found == {"name": "Absorbing", "level": 0.0, "bridge": False}
