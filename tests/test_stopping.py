"""Paths that stop: those of the run without the rule until then, in every way to draw them."""

from __future__ import annotations

import math
import pickle
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, ReplayError, SamplerError
from montezarr.processes._built_in import built_in_processes
from montezarr.processes.networks._network import NetworkProcess
from montezarr.random.draws import Draws
from montezarr.random.draws.scattered import ScatteredDraws
from montezarr.run._run import Run
from montezarr.run._task import BlockOnDemand, RunTask, chunk_of
from montezarr.samplers import sample_range


def drift_up(t: float, x: Any) -> Any:
    return 0.1 + 0.0 * x


def spread_one(t: float, x: Any) -> Any:
    return 1.0 + 0.0 * x


def walk_of_paths(rng: Any, T: int) -> Any:
    return rng.standard_normal(T + 1).cumsum()


def stops_late(t: Any, x: Any) -> Any:
    return (t > 20) | (x > 3)


N, T, DT = 300, 700, 0.01

LONG = {"n_paths": N, "T": T, "dt": DT, "seed": 5}


def stopped_by_hand(ds: xr.Dataset, holds: Any, after: str = "hold") -> dict[str, Any]:
    """Return the variables of a stopped run, made of those of the run without a rule."""
    arrays = {name: variable.values for name, variable in ds.data_vars.items()}
    times = ds.time.values
    hits = np.asarray(holds(times, arrays))
    at = np.where(hits.any(axis=1), hits.argmax(axis=1), -1)
    is_stopped = at >= 0
    out: dict[str, Any] = {
        "stop_time": np.where(is_stopped, times[at], np.nan), "stopped": is_stopped,
    }  # fmt: skip
    for name, array in arrays.items():
        value = array[np.arange(len(array)), at]
        beyond = (np.arange(len(times)) > at[:, None]) & is_stopped[:, None]
        held = value[:, None] if after == "hold" else np.nan
        out[name], out[f"stopped_{name}"] = np.where(beyond, held, array), value
    return out


def assert_same(found: xr.Dataset, wanted: dict[str, Any]) -> None:
    assert set(found.data_vars) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name].values, array, err_msg=name)


DIFFUSION = mz.Diffusion(drift=drift_up, diffusion=spread_one)
GBM = mz.GeometricBrownianMotion(mu=0.0, sigma=0.3)
CHAIN = mz.MarkovChain(transition=((0.99, 0.01), (0.02, 0.98)), states=("calm", "storm"))

RUNS: dict[str, tuple[Any, dict[str, Any], Any, Any]] = {
    "resumed": (
        mz.BrownianMotion(mu=0.3), {}, mz.Outside(-1, 1), lambda t, v: abs(v["x"]) >= 1,
    ),
    "resumed reverting": (
        mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=1.0), {}, mz.Above(1),
        lambda t, v: v["x"] >= 1,
    ),
    "resumed integers": (
        mz.RandomWalk(), {}, mz.Reaches(-20), lambda t, v: v["x"] == -20,
    ),
    "resumed counts": (
        mz.PoissonProcess(rate=5.0), {}, mz.Above(30), lambda t, v: v["x"] >= 30,
    ),
    "resumed labels": (CHAIN, {}, mz.Reaches("storm"), lambda t, v: v["x"] == 1),
    "resumed equation": (DIFFUSION, {"x0": 0.2}, mz.Below(-0.5), lambda t, v: v["x"] <= -0.5),
    "from the start": (GBM, {"x0": 1.0}, mz.Below(0.7), lambda t, v: v["x"] <= 0.7),
    "from the start float32": (
        mz.BrownianMotion(), {"dtype": "float32"}, mz.Above(1), lambda t, v: v["x"] >= 1,
    ),
    "two variables": (
        mz.Heston(mu=0.0, kappa=2.0, theta=0.09, xi=0.5, rho=-0.5), {"x0": (1.0, 0.09)},
        mz.Below(0.8, variable="s") | mz.Above(0.3, variable="v"),
        lambda t, v: (v["s"] <= 0.8) | (v["v"] >= 0.3),
    ),
    "a function of the path": (
        walk_of_paths, {}, mz.Above(8) & (lambda t, x: t > 1), lambda t, v: (v["x"] >= 8) & (t > 1),
    ),
    "a function of time": (
        mz.BrownianMotion(), {}, lambda t, x: x > 1 - t, lambda t, v: v["x"] > 1 - t,
    ),
    "times of its own": (
        mz.BrownianMotion(), {"times": np.linspace(0, 3, T + 1) ** 2, "T": None, "dt": None},
        mz.Above(1.5), lambda t, v: v["x"] >= 1.5,
    ),
    "a network": (
        mz.ReactionNetwork(species={"A": 0}, reactions=["0 -> A @ 2", "A -> 0 @ 0.1"]), {},
        mz.Above(8), lambda t, v: v["A"] >= 8,
    ),
    "a seasonal network": (
        mz.ReactionNetwork(species={"A": 0}, reactions=["0 -> A @ 2 + sin(t)"]), {},
        mz.Above(8), lambda t, v: v["A"] >= 8,
    ),
    "a path each": (
        mz.BrownianMotion(), {"x0": np.linspace(-2, 2, N)}, mz.Outside(-1, 1),
        lambda t, v: abs(v["x"]) >= 1,
    ),
}  # fmt: skip


WITH_NAN = ("resumed", "resumed integers", "from the start", "a function of the path")

QUICK = ("resumed", "from the start", "a function of the path", "a seasonal network", "a path each")


def case(name: str, *more: str) -> Any:
    """Return the parameters of a test of a run, which is slow unless the run is a quick one."""
    return pytest.param(name, *more, marks=[] if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "after"),
    [*(case(name, "hold") for name in RUNS), *(case(name, "nan") for name in WITH_NAN)],
)
def test_is_the_run_without_the_rule_until_it_stops(name: str, after: str) -> None:
    process, more, rule, holds = RUNS[name]
    arguments = {**LONG, **more}
    plain = mz.simulate(process, **arguments)
    if after == "nan" and any(v.dtype.kind != "f" for v in plain.values()):
        with pytest.raises(ArgumentValueError, match="after_stop"):
            mz.simulate(process, **arguments, until=rule, after_stop=after)
        return
    ds = mz.simulate(process, **arguments, until=rule, after_stop=after)
    wanted = stopped_by_hand(plain.compute(), holds, after)
    assert wanted["stopped"].sum() > 0
    assert_same(ds.compute(), wanted)
    assert_same(
        ds[["stop_time", "stopped"]].compute(),
        {key: wanted[key] for key in ("stop_time", "stopped")},
    )


class LooksAtTheEnd(mz.Process):
    """A bridge of a walk to 0 at the last time: its first times depend on the whole grid."""

    def default_x0(self) -> float:
        return 0.0

    def sample(self, draws: Any, grid: Any, x0: Any) -> Any:
        steps = draws.normal(range(grid.T))
        walk = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
        return walk - np.linspace(0, 1, grid.T + 1)[:, None] * walk[-1]


def test_a_process_of_a_user_is_given_the_whole_grid() -> None:
    plain = mz.simulate(LooksAtTheEnd(), **LONG).compute()
    found = mz.simulate(LooksAtTheEnd(), **LONG, until=mz.Above(8)).compute()
    assert_same(found, stopped_by_hand(plain, lambda t, v: v["x"] >= 8))


INTERVENTIONS = [
    mz.ReactionNetwork(
        species={"A": 3, "B": 0}, reactions=[f"0 -> A @ {rate}", "A -> B @ 0.3"], method=method,
        interventions=["when t >= 1.5 + 0.1 * B after 2 set A = A + 5", "when A > 9 set A = 0"],
    )
    for rate, method in (("2 + sin(t)", "direct"), ("2", "direct"), ("2", "next_reaction"))
]  # fmt: skip

EXAMPLES = [
    one for kind in built_in_processes().values() for one in kind.examples()
    if not isinstance(one, NetworkProcess)  # one loop for all, which the above stand for
]  # fmt: skip


@pytest.mark.parametrize("process", [
    pytest.param(one, marks=pytest.mark.slow, id=f"{type(one).__name__}{i}")
    for i, one in enumerate([*EXAMPLES, *INTERVENTIONS])
])  # fmt: skip
def test_a_part_of_the_grid_has_the_first_times_of_the_whole(process: Any) -> None:
    try:
        x0 = process.default_x0()
    except ArgumentValueError:
        x0 = 1.0 if len(process.variables) == 1 else np.ones(len(process.variables))
    ds = mz.simulate(process, 40, T=600, dt=DT, x0=x0, seed=8)
    sampler = Run.behind(ds).sampler
    if sampler.in_times == "whole":
        pytest.skip("always drawn whole")
    whole = sample_range(sampler, 0, 40, None)
    for last in (0, 17, 256):
        for name, rows in sampler.first_times(0, 40, None, last).items():
            np.testing.assert_array_equal(rows, whole[name][: last + 1])


@pytest.mark.parametrize(
    "name", [case(name) for name in ("resumed", "from the start", "two variables", "a path each")]
)
def test_any_range_kept_times_and_few_variables_have_the_same_bits(name: str) -> None:
    process, more, rule, _ = RUNS[name]
    arguments = {**LONG, **more, "until": rule}
    whole = mz.simulate(process, **arguments).compute()
    sampler = Run.behind(mz.simulate(process, **arguments, keep=[3, 256, 257, T])).sampler
    states = arguments.get("x0")
    for low, high in ((0, 1), (17, 18), (40, 290)):
        x0 = states[low:high] if isinstance(states, np.ndarray) else None
        part = sample_range(sampler, low, high, x0)
        for variable in sampler.variables:
            array = whole[variable.name].isel(path=slice(low, high)).values
            array = array[:, [3, 256, 257, T]] if array.ndim > 1 else array
            np.testing.assert_array_equal(part[variable.name], array.T)
        fewer = sampler.only(())
        assert fewer is not None
        some = sample_range(fewer, low, high, x0)
        assert all(np.array_equal(some[key], part[key], equal_nan=True) for key in some)
        assert "stop_time" in some
        assert len(some) < len(part)


@pytest.mark.parametrize("chunks", [None, 1024])
def test_scenarios_and_parameters_by_path_are_the_separate_runs(chunks: int | None) -> None:
    drifts = xr.DataArray([0.0, 1.0], dims="mu")
    sigma = np.linspace(0.5, 1.5, 1100)
    arguments = {"n_paths": 1100, "T": 600, "dt": DT, "seed": 3, "until": mz.Outside(-1, 1)}
    ds = mz.simulate(
        mz.BrownianMotion(), **arguments, chunks=chunks, vary={"mu": drifts, "sigma": sigma}
    )
    with dask.config.set(scheduler="synchronous"):
        found = ds.compute()
    for i, mu in enumerate([0.0, 1.0]):
        for path in (0, 513, 1099):
            one = mz.simulate(
                mz.BrownianMotion(mu=mu, sigma=sigma[path]), **{**arguments, "n_paths": path + 1}
            )
            assert_equal_paths(found.isel(mu=i, path=path), one.isel(path=path).compute())
            assert_equal_paths(found.isel(mu=i, path=path), mz.replay(ds, path).isel(mu=i))
    short = mz.simulate(
        mz.BrownianMotion(), **{**arguments, "T": 99}, vary={"mu": drifts}
    ).compute()
    one = mz.simulate(mz.BrownianMotion(mu=1.0), **{**arguments, "T": 99}).compute()
    assert_equal_paths(short.isel(mu=1), one)


def assert_equal_paths(a: xr.Dataset, b: xr.Dataset) -> None:
    for name in ("x", "stop_time", "stopped", "stopped_x"):
        np.testing.assert_array_equal(a[name].values, b[name].values)


def test_statistics_take_what_they_ask_for() -> None:
    ds = mz.simulate(mz.BrownianMotion(), 2000, T=700, dt=0.02, seed=1, until=mz.Outside(-1, 1))
    with dask.config.set(scheduler="synchronous"):
        whole = ds.compute()
    some = mz.reduce(ds[["stop_time", "stopped_x"]], ["mean"])
    assert float(some.stop_time_mean) == float(mz.reduce(whole.stop_time, "mean").stop_time_mean)
    both = mz.reduce(ds, ["mean"])
    assert float(some.stopped_x_mean) == float(both.stopped_x_mean)
    assert both.x_mean.sizes == {"time": 701}
    shares = mz.reduce((ds.stopped_x > 0) & (ds.stopped == 1), "mean")
    assert abs(float(next(iter(shares.values()))) - 0.5) < 0.05


def test_stores_grow_verify_and_are_drawn_again(tmp_path: Any) -> None:
    rule = mz.Outside(-1, 1) & mz.Above(-5)
    arguments = {"T": 600, "dt": DT, "seed": 9, "until": rule, "after_stop": "nan"}
    fresh = mz.simulate(mz.BrownianMotion(), 2100, **arguments)
    mz.write(fresh, tmp_path / "fresh")
    mz.write(mz.simulate(mz.BrownianMotion(), 1100, **arguments), tmp_path / "grown")
    mz.extend(tmp_path / "grown", 2100)
    opened = mz.open(tmp_path / "grown")
    xr.testing.assert_identical(opened.drop_attrs().compute(), fresh.drop_attrs().compute())
    assert mz.verify(tmp_path / "grown", level=3).ok
    xr.testing.assert_equal(mz.replay(opened, 77), mz.replay(fresh, 77))
    assert "until" in opened.mz.recipe
    assert opened.mz.recipe["until"]["after"] == "nan"
    store = mz.VirtualStore(fresh)
    virtual = xr.open_zarr(store, chunks=None)
    np.testing.assert_array_equal(virtual.stop_time[:50], fresh.stop_time[:50])
    np.testing.assert_array_equal(virtual.x[3], fresh.x[3])


def test_a_rule_that_is_a_function_is_not_loaded(tmp_path: Any) -> None:
    ds = mz.simulate(mz.BrownianMotion(), 20, T=30, seed=1, until=stops_late)
    other = mz.simulate(mz.BrownianMotion(), 20, T=30, seed=1, until=lambda t, x: t > 2)
    assert ds.mz.recipe.fingerprint != other.mz.recipe.fingerprint
    recipe = dict(ds.mz.recipe)
    assert "test_stopping.stops_late" in recipe["until"]["rule"]["function"]
    recipe["seed"] = {"entropy": "2"}  # no run that is alive
    with pytest.raises(ReplayError, match="stopping rule"):
        Run.from_recipe(recipe, n_paths=20)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a rule of stream": ({"until": mz.PathCount(3)}, ArgumentTypeError, "mz.stream"),
    "no rule": ({"until": 3.0}, ArgumentTypeError, "until"),
    "another shape": ({"until": lambda t, x: x[0] > 1}, ArgumentValueError, "shape|array of bool"),
    "one number": ({"until": lambda t, x: True}, ArgumentValueError, "array of bool"),
    "numbers": ({"until": lambda t, x: x - 1}, ArgumentValueError, "float64"),
    "it fails": ({"until": lambda t, x: 1 if x > 1 else 0}, ArgumentValueError, "works on arrays"),
    "a mean": ({"until": lambda t, x: x > x.mean()}, ArgumentValueError, "one path at one time"),
    "the past": (
        {"until": lambda t, x: np.maximum.accumulate(x, 0) > 0.5}, ArgumentValueError, "one time",
    ),
    "a name": ({"until": lambda t, y, z: y > 1}, ArgumentValueError, "y"),
    "no variable": ({"until": mz.Above(1, variable="s")}, ArgumentValueError, "variable"),
    "after": ({"until": mz.Above(1), "after_stop": "zero"}, ArgumentValueError, "after_stop"),
    "a label": ({"until": mz.Reaches("storm")}, ArgumentValueError, "labels"),
    "no until": ({"after_stop": "nan"}, ArgumentValueError, "after_stop: .* unless until"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_rules_are_errors_at_the_call(name: str) -> None:
    arguments, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        mz.simulate(mz.BrownianMotion(), 10, T=20, seed=1, **arguments)


def test_bad_levels_and_mixtures_are_typed_errors() -> None:
    for make in (
        lambda: mz.Above(float("nan")), lambda: mz.Outside(1, 1), lambda: mz.Below(float("inf")),
        lambda: mz.Reaches(float("nan")),
    ):  # fmt: skip
        with pytest.raises(ArgumentValueError):
            make()
    for make in (
        lambda: mz.Above("a"), lambda: mz.Above(1) | mz.PathCount(3),
        lambda: mz.PathCount(3) & mz.Above(1), lambda: mz.Above(1, variable=3),
        lambda: mz.simulate(CHAIN, 3, T=5, until=mz.Above(1)),
    ):  # fmt: skip
        with pytest.raises(ArgumentTypeError):
            make()
    with pytest.raises(ArgumentValueError, match="storm"):
        mz.simulate(CHAIN, 3, T=5, until=mz.Reaches("rain"))
    with pytest.raises(ArgumentTypeError, match="until"):
        mz.stream(mz.simulate(mz.BrownianMotion(), 10, T=5, seed=1), "mean", until=mz.Above(1))
    with pytest.raises(ArgumentValueError, match="stop_time"):
        mz.simulate(lambda rng: {"x": rng.random(5), "stop_time": 1.0}, 3, until=mz.Above(1, "x"))
    with pytest.raises(ArgumentValueError, match="time"):
        mz.simulate(lambda rng, T: {"size": rng.random()}, 3, T=5, until=mz.Above(1))


def test_rules_are_values() -> None:
    rule = mz.Above(1) | mz.Below(-1) | mz.Reaches(0, variable="x") & mz.Outside(-2, 2)
    assert rule == mz.Above(1.0) | mz.Below(-1.0) | mz.Reaches(0, "x") & mz.Outside(-2, 2)
    from montezarr.samplers.stopping._from_dict import rule_from_dict

    assert rule_from_dict(rule.to_dict()) == rule
    for bad in ({}, {"name": "Process"}, {"name": "AnyRule", "rules": []}, 3):
        with pytest.raises(ArgumentValueError):
            rule_from_dict(bad)


def explodes(t: float, x: Any) -> Any:
    """Return a drift that leaves the range of numbers above 1.5, and stays there."""
    return np.where(x > 1.5, np.inf, 0.0)


def flat(t: float, x: Any) -> Any:
    """Return a diffusion of one that multiplies nothing."""
    return np.ones_like(x)


@pytest.mark.parametrize("T", [pytest.param(200, marks=pytest.mark.slow), 700])
def test_policies_see_a_path_until_it_stops(T: int) -> None:
    process = mz.Diffusion(drift=explodes, diffusion=flat)
    arguments = {"n_paths": 200, "T": T, "x0": 0.0, "dt": DT, "seed": 2}
    plain = mz.simulate(process, **arguments, on_nonfinite="keep").compute()
    rises = (plain.x.values > 1.5).any(axis=1)
    calm = mz.simulate(process, **arguments, until=mz.Above(1.2)).compute()
    assert np.isfinite(calm.x).all()
    assert rises.any() or T == 200
    until = mz.Below(-1.0) | mz.Above(1e300)
    masked = mz.simulate(process, **arguments, until=until, on_nonfinite="mask")
    whole, alone = masked.compute(), masked[["stop_time", "stopped"]].compute()
    assert (Run.behind(masked).sampler.only(()) is None) == (T == 200)
    np.testing.assert_array_equal(whole.stop_time, alone.stop_time)
    np.testing.assert_array_equal(whole.stopped, alone.stopped)
    is_masked = whole.stopped.values == np.iinfo(np.int8).min
    np.testing.assert_array_equal(is_masked, np.isnan(whole.x).all("time"))
    if T == 700:
        assert is_masked.any()
        failing = mz.simulate(process, **arguments, until=until)
        for some in (failing, failing[["stop_time"]]):
            with pytest.raises(SamplerError) as caught:
                some.compute()
            assert caught.value.path == int(is_masked.argmax())


def test_a_function_that_fails_later_names_the_path() -> None:
    def fragile(t: Any, x: Any) -> Any:
        if (x > 3).any():
            raise ValueError("too far")
        return x < -3

    plain = mz.simulate(mz.BrownianMotion(), 400, T=T, dt=DT, seed=4).x.values
    ds = mz.simulate(mz.BrownianMotion(), 400, T=T, dt=DT, seed=4, until=fragile)
    with pytest.raises(SamplerError, match="too far") as caught:
        ds.compute()
    at = np.where((plain < -3).any(axis=1), (plain < -3).argmax(axis=1), T)
    fails = [(row[: k + 1] > 3).any() for row, k in zip(plain, at, strict=True)]
    path = int(np.argmax(fails))
    assert caught.value.path is not None
    assert caught.value.path <= path


def normal_cdf(x: Any) -> Any:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in np.ravel(x)])


def test_passage_of_a_level_is_inverse_gaussian() -> None:
    # Borodin and Salminen, Handbook of Brownian Motion, 2002, part II, 2.0.2; the discrete grid
    # sees the level as if it were 0.5826 sqrt(dt) further away (Broadie, Glasserman, Kou 1997).
    mu, level, dt, n = 1.0, 1.0, 1 / 500, 8000
    ds = mz.simulate(
        mz.BrownianMotion(mu=mu), n, T=3000, dt=dt, seed=1, until=mz.Above(level)
    )  # fmt: skip
    times = np.sort(ds.stop_time.fillna(np.inf).values)
    a, t = level + 0.5826 * math.sqrt(dt), np.linspace(0.2, 5.5, 40)
    law = normal_cdf((mu * t - a) / np.sqrt(t))
    law += math.exp(2 * mu * a) * normal_cdf((-mu * t - a) / np.sqrt(t))
    found = np.searchsorted(times, t, side="right") / n
    assert abs(found - law).max() < 1.63 / math.sqrt(n)  # Kolmogorov, 1 %


def test_absorbed_brownian_motion_follows_the_reflection_principle() -> None:
    # P(no passage of a, X_T <= x) = Phi(x / sqrt T) - Phi((x - 2 a) / sqrt T) (Karatzas and
    # Shreve, Brownian Motion and Stochastic Calculus, 1998, section 2.8).
    dt, T, n = 1 / 800, 800, 8000
    ds = mz.simulate(mz.BrownianMotion(), n, T=T, dt=dt, seed=2, until=mz.Above(0.8))
    ends, a = ds.stopped_x[ds.stopped.values == 0].values, 0.8 + 0.5826 * math.sqrt(dt)
    x = np.linspace(-2, 0.8, 30)
    law = normal_cdf(x) - (1 - normal_cdf(2 * a - x))
    found = np.searchsorted(np.sort(ends), x, side="right") / n
    assert abs(found - law).max() < 1.63 / math.sqrt(n)


@pytest.mark.parametrize("implementation", ["kernel", "reference"])
def test_scattered_draws_are_the_draws_of_these_paths(implementation: str) -> None:
    if implementation == "kernel":
        pytest.importorskip("numba")
    paths = np.array([3, 4, 17, 999, 2**33 + 5])
    draws = Draws.of(7, implementation=implementation)
    scattered = ScatteredDraws.over(draws, paths, 13)
    for kind, read in (
        ("uniform", Draws.uniform), ("normal", Draws.normal), ("exponential", Draws.exponential),
    ):  # fmt: skip
        found = read(scattered, range(3, 12), 2)
        part = read(scattered.part(1, 4), range(9), 0)
        for i, path in enumerate(paths.tolist()):
            one = Draws.of(7, start=path, n=1, implementation=implementation)
            np.testing.assert_array_equal(found[:, i], read(one, range(16, 25), 2)[:, 0], kind)
            if 1 <= i < 4:
                np.testing.assert_array_equal(part[:, i - 1], read(one, range(13, 22), 0)[:, 0])


def test_a_chunk_draws_what_is_asked_for_also_elsewhere() -> None:
    ds = mz.simulate(mz.BrownianMotion(), 50, T=900, dt=DT, seed=1, until=mz.Above(1))
    run = Run.behind(ds)
    block = pickle.loads(pickle.dumps(chunk_of(RunTask(run.sampler, 1024, 50), (0,))))
    assert isinstance(block, BlockOnDemand)
    whole = ds.compute()
    for name in ("stop_time", "x", "stopped_x"):
        np.testing.assert_array_equal(block[name], whole[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "threads", "dask"])
def test_every_backend_has_the_same_bits(kind: str) -> None:
    ds = mz.simulate(mz.BrownianMotion(), 3000, T=900, dt=DT, seed=1, until=mz.Outside(-1, 1))
    with dask.config.set(scheduler="synchronous"):
        whole = ds.compute()
    with mz.backend(kind, n_jobs=2):
        xr.testing.assert_identical(ds.compute().drop_attrs(), whole.drop_attrs())
        found = mz.reduce(ds[["stopped_x"]], "mean")
    assert float(found.stopped_x_mean) == float(mz.reduce(whole.stopped_x, "mean").stopped_x_mean)
