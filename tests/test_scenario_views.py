"""Scenarios and parameters by path in plans, recipes, replay, failures and the engine."""

import warnings
from functools import cache

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.random.distributions import Normal

VALUE = mz.ArgumentValueError
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
SIGMA = xr.DataArray([0.1, 0.2, 0.3], dims="sigma")
CASE = xr.DataArray([1.0, 2.0], dims="case", coords={"case": ["low", "high"]})


def walk(rng, T, rate, sd=1.0, scale=2.0):
    return {"x": sd * rng.standard_normal(T + 1).cumsum() + rate, "m": rate * scale}


def grid(n_paths=300, **options):
    """Return a run on a grid of 3 × 2 scenarios, whose rate differs from path to path."""
    vary = {"sd": xr.DataArray([0.1, 0.2, 0.3], dims="sd"), "scale": CASE, "rate": Normal(2.0, 0.3)}
    return mz.simulate(walk, n_paths, 5, seed=1, vary=vary, **options)


# --- plan and recipe -------------------------------------------------------------------------


def test_a_plan_says_scenarios_times_paths_and_how_parameters_vary():
    plan = mz.plan(grid(2000))
    assert plan.scenarios == 6
    assert dict(plan.varied) == {
        "sd": "by scenario, along sd (3): 0.1, 0.2, 0.3",
        "scale": "by scenario, along case (2): 1, 2",
        "rate": "by path: Normal(mean=2, sd=0.3)",
    }
    assert plan.scenario_bytes == 2000 * (6 + 1) * 8
    assert plan.total_bytes == 6 * plan.scenario_bytes + 2000 * 8
    text = str(plan)
    assert text.startswith("walk: 6 scenarios × 2,000 paths of 5 steps, 6 times kept")
    assert "109.4 KiB for each scenario" in text
    assert "2 of 1,024 paths in all scenarios" in text
    assert "common: all scenarios have the same draws" in text
    told = plan.to_dict()
    assert (told["scenarios"], told["varied"]) == (6, dict(plan.varied))


def test_a_plan_without_scenarios_has_the_entries_that_it_had():
    plan = mz.plan(mz.simulate(GBM, 1000, 5, 100.0, seed=1))
    assert not {"scenarios", "scenario_bytes", "varied", "noise"} & set(plan.to_dict())
    assert "scenario" not in str(plan)
    assert hash(plan) == hash(plan)


def test_a_plan_of_several_runs_names_the_scenarios_of_all():
    ds = mz.simulate(GBM, 2000, 5, 100.0, seed=1, vary={"sigma": SIGMA}, noise="independent")
    plan = mz.plan(ds.x - mz.simulate(GBM, 2000, 5, 100.0, seed=1).x)
    assert plan.scenarios == 3
    assert plan.noise.startswith("2 runs on common noise: one seed and stream; scenarios: indep")
    assert plan.scenario_bytes is None


def test_no_text_shows_a_value_of_a_parameter_that_varies(tmp_path):
    vary = {
        "sigma": xr.DataArray(np.linspace(0.1, 0.5, 9), dims="sigma"),
        "x0": xr.DataArray([90.0, 100.0], dims="x0"),
        "dt": xr.DataArray([0.5, 1.0], dims="dt"),
    }
    ds = mz.simulate(GBM, 1000, 4, seed=1, vary=vary, noise="independent")
    mz.write(ds, tmp_path / "paths.zarr")
    from montezarr.store._info import info

    about = info(tmp_path / "paths.zarr")
    recipe, plan, store = str(ds.mz.recipe), str(mz.plan(ds)), str(about)
    for text in (recipe, plan, store):
        assert "0.2" not in text.partition("varies")[0]
        assert "sigma by scenario, along sigma (9): 0.1 to 0.5" in text
    assert "σ varies" in recipe
    assert "x0           varies" in recipe
    assert "4 steps, whose length dt varies" in recipe
    assert "scenarios    36: 9 sigma × 2 x0 × 2 dt" in recipe
    assert "independent in each scenario" in recipe
    assert "x[sigma, x0, dt, path, time]" in recipe
    assert "dX = μ X dt + σ X dW, μ = 0.05, σ varies" in plan
    assert "GeometricBrownianMotion(mu=0.05, sigma varies)" in store
    assert "x0 varies" in store
    assert about.to_dict()["varied"] == dict(mz.plan(ds).varied)
    assert repr(ds.mz).startswith("ds.mz: 36 scenarios × 1,000 paths of GeometricBrownianMotion")


@pytest.mark.parametrize(
    "entry", [None, 3, {"names": 1}, {"names": ["a"]}, {"names": ["a"], "distribution": []}]
)
def test_entries_of_a_strangers_recipe_are_shown_and_do_no_harm(entry):
    recipe = dict(mz.simulate(GBM, 10, 4, 1.0, seed=1, vary={"sigma": SIGMA}).mz.recipe)
    for vary in ([entry], entry):
        assert "Recipe of" in str(mz.Recipe(recipe | {"vary": vary}))


# --- replay ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "same"),
    [
        ({"sd": 0.3}, {"sd": 0.3}),
        ({"case": "high"}, {"case": "high"}),
        ({"sd": 0.2, "case": "low"}, {"sd": 0.2, "case": "low"}),
        ({"scale": 2}, {"case": "high"}),
        ({"sd": np.float64(0.1), "scale": 1.0}, {"sd": 0.1, "case": "low"}),
        ({}, {}),
    ],
)
def test_replay_draws_the_scenarios_that_are_chosen(chosen, same):
    ds = grid()
    expected = ds.isel(path=123).sel(same).compute().drop_attrs()
    found = mz.replay(ds, 123, **chosen)
    xr.testing.assert_identical(found.drop_attrs(), expected)
    xr.testing.assert_identical(ds.mz.replay(123, **chosen), found)


def test_replay_draws_no_other_scenario():
    calls = []

    def counted(rng, sd):
        calls.append(sd)
        return sd * rng.standard_normal(3)

    ds = mz.simulate(counted, 100, seed=1, vary={"sd": xr.DataArray([1.0, 2.0, 3.0], dims="sd")})
    calls.clear()
    mz.replay(ds, 7, sd=3.0)
    assert set(calls) == {3.0}


def test_replay_selects_by_position_where_a_dimension_has_no_coordinate():
    rows = xr.DataArray([0.1, 0.2, 0.2], dims="run")
    ds = mz.simulate(GBM, 1000, 5, 100.0, seed=1, vary={"sigma": rows})
    assert mz.replay(ds, 3, run=1).x.equals(ds.x.isel(path=3, run=1))
    both = mz.replay(ds, 3, sigma=0.2)  # two rows have this value
    assert both.x.equals(ds.x.isel(path=3, run=[1, 2]).compute())


def test_replay_selects_times_of_a_scenario_and_arrays_on_both_kinds_of_dimensions():
    ds = mz.simulate(GBM, 50, 4, 100.0, seed=1, vary={"dt": xr.DataArray([0.5, 1.0], dims="dt")})
    expected = ds.isel(path=7).sel(dt=0.5).compute().drop_attrs()
    xr.testing.assert_identical(mz.replay(ds, 7, dt=0.5).drop_attrs(), expected)
    rate = xr.DataArray(np.arange(100.0).reshape(2, 50), dims=("case", "path"))
    vary = {"rate": rate, "scale": CASE, "sd": xr.DataArray([0.1, 0.2], dims="sd")}
    ds = mz.simulate(walk, 50, 5, seed=1, vary=vary)
    for chosen in ({"case": "high"}, {"sd": 0.2}, {"case": "low", "sd": 0.1}):
        expected = ds.isel(path=7).sel(chosen).compute().drop_attrs()
        xr.testing.assert_identical(mz.replay(ds, 7, **chosen).drop_attrs(), expected)


def test_replay_selects_from_a_store_and_with_arrays_by_path(tmp_path):
    start = np.linspace(90.0, 110.0, 1500)
    ds = mz.simulate(GBM, 1500, 5, seed=1, vary={"sigma": SIGMA, "x0": start})
    stored = mz.write(ds, tmp_path / "paths.zarr")
    for source in (ds, stored):
        found = mz.replay(source, 1400, sigma=0.3)
        assert found.x.equals(ds.x.isel(path=1400).sel(sigma=0.3).compute())
        assert found.x0.item() == start[1400]


@pytest.mark.parametrize(
    ("chosen", "error", "said"),
    [
        ({"sd": 0.25}, VALUE, r"sd: expected one of 0\.1, 0\.2, 0\.3.* nearest is 0\.2"),
        ({"sdd": 0.1}, VALUE, r"sdd: expected a coordinate of scenarios: sd, case.*mean sd\?"),
        ({"case": "hihg"}, VALUE, r"case: expected one of 'low', 'high'.*mean 'high'\?"),
        ({"case": "low", "scale": 2.0}, VALUE, r"scale: expected a scenario with this and case"),
        ({"sd": [0.1, 0.2]}, mz.ArgumentTypeError, r"sd: expected one value of this coord"),
        ({"rate": 2.0}, VALUE, r"rate: expected a coordinate of scenarios"),
    ],
)  # fmt: skip
def test_replay_refuses_scenarios_that_the_run_does_not_have(chosen, error, said):
    with pytest.raises(error, match=said):
        mz.replay(grid(), 3, **chosen)


def test_replay_of_a_run_without_scenarios_names_the_argument():
    ds = mz.simulate(GBM, 100, 5, 100.0, seed=1)
    with pytest.raises(mz.ArgumentValueError, match="sigma: expected no further argument"):
        mz.replay(ds, 3, sigma=0.2)


def test_replay_of_a_parameter_on_two_dimensions_says_by_what_to_select():
    both = xr.DataArray([[0.1, 0.2], [0.3, 0.4]], dims=("a", "b"))
    ds = mz.simulate(GBM, 100, 5, 100.0, seed=1, vary={"sigma": both})
    with pytest.raises(mz.ArgumentValueError, match="Select by a and b"):
        mz.replay(ds, 3, sigma=0.2)
    assert mz.replay(ds, 3, a=1, b=0).x.equals(ds.x.isel(path=3, a=1, b=0).compute())


# --- failures --------------------------------------------------------------------------------


def fragile(rng, limit):
    x = rng.standard_normal(20).cumsum()
    if x.max() > limit:
        raise ArithmeticError(f"above {limit}")
    return x


LIMITS = xr.DataArray([9.0, 12.0, 99.0], dims="limit")


@cache
def failing():
    """Return for each limit the paths that fail."""
    free = mz.simulate(fragile, 800, seed=3, limit=np.inf).x.values.max(axis=1)
    return {limit: np.flatnonzero(free > limit).tolist() for limit in LIMITS.values.tolist()}


def test_the_error_of_a_path_has_a_call_that_draws_it_in_its_scenario():
    ds = mz.simulate(fragile, 800, seed=3, vary={"limit": LIMITS[::-1]})
    with pytest.raises(mz.SamplerError) as caught:
        ds.x.mean().compute(scheduler="synchronous")
    first = caught.value.path
    assert first in failing()[9.0]
    assert caught.value.context["replay"] == f"mz.replay(ds, {first}, limit=9.0)"
    with pytest.raises(ArithmeticError, match=r"above 9\.0"):
        eval(caught.value.context["replay"], {"mz": mz, "ds": ds})
    assert mz.replay(ds, first, limit=99.0).x.max() > 9.0


@pytest.mark.parametrize("size", [100, 300, 800])
def test_the_lowest_failing_path_of_all_scenarios_is_raised_in_every_task_size(size):
    vary = {"limit": xr.DataArray([12.0, 9.0], dims="limit")}  # the second fails on lower paths
    engine = mz.MonteCarloEngine(fragile)
    with pytest.raises(mz.SamplerError) as caught:
        engine.simulate(800, seed=3, vary=vary, batch_size=size)
    first = failing()[9.0][0]
    assert first < failing()[12.0][0]
    assert caught.value.context["replay"] == f"mz.replay(engine.dataset, {first}, limit=9.0)"


def test_masked_paths_are_counted_once_and_name_their_scenarios():
    engine, known = mz.MonteCarloEngine(fragile), failing()
    with pytest.warns(mz.MaskedPathsWarning, match=f"{len(known[9.0])} of 800 paths failed"):
        result = engine.simulate(800, seed=3, vary={"limit": LIMITS}, on_error="mask")
    masked = result.metadata["masked"]
    assert list(masked) == known[9.0]
    once = next(path for path in known[9.0] if path not in known[12.0])
    assert masked[once] == f"path {once}: ArithmeticError: above 9.0 (scenario limit=9.0)"
    twice = known[12.0][0]
    assert (
        masked[twice]
        == f"path {twice}: ArithmeticError: above 9.0 (scenario limit=9.0, and in 1 more)"
    )
    for limit, paths in known.items():
        nan = np.isnan(result.dataset.x.sel(limit=limit)).all(result.dataset.x.dims[-1]).values
        assert np.flatnonzero(nan).tolist() == paths


# --- the engine ------------------------------------------------------------------------------


def test_results_of_the_engine_have_scenarios():
    ds = mz.simulate(GBM, 500, 4, 100.0, seed=1, vary={"sigma": SIGMA})
    result = mz.MonteCarloEngine(GBM).simulate(500, 4, 100.0, seed=1, vary={"sigma": SIGMA})
    xr.testing.assert_equal(result.dataset.compute(), ds.compute())
    path = result.paths[7]
    assert path.dims == {"x": ("sigma", "time")}
    assert np.array_equal(path.states, ds.x.isel(path=7).values)
    assert np.array_equal(path[2], ds.x.isel(path=7, time=2).values)
    assert "3 scenarios × 500 paths × 5 times" in str(result)
    assert "σ varies" in str(result)
    assert "3 along sigma" in str(result)
    table = result.to_dataframe()
    assert list(table.columns) == ["path_id", "t", "time", "x_0.1", "x_0.2", "x_0.3"]
    assert np.array_equal(table["x_0.2"], ds.x.sel(sigma=0.2).values.ravel())


def steps(rng, T, p):
    return (rng.random(T + 1) < p).cumsum()


def test_the_distribution_of_states_is_that_of_one_scenario():
    vary = {"p": xr.DataArray([0.2, 0.5], dims="p")}
    result = mz.MonteCarloEngine(steps).simulate(400, 3, seed=1, vary=vary)
    alone = mz.MonteCarloEngine(steps).simulate(400, 3, seed=1, p=0.5)
    assert result.state_distribution(3, p=0.5) == alone.state_distribution(3)
    with pytest.raises(mz.ArgumentValueError, match=r"one scenario, by p.*p=0\.2"):
        result.state_distribution(3)
    with pytest.raises(mz.ArgumentValueError, match=r"The nearest is 0\.5"):
        result.state_distribution(3, p=0.6)


def test_the_distribution_of_states_leaves_out_the_masked_paths_of_its_scenario():
    vary, known = {"limit": LIMITS}, failing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mz.MaskedPathsWarning)
        result = mz.MonteCarloEngine(fragile).simulate(800, seed=3, vary=vary, on_error="mask")
    for limit, paths in known.items():
        shares = list(result.state_distribution(0, limit=limit).values())
        assert len(shares) == 800 - len(paths)


def test_batches_have_the_dimensions_of_the_dataset():
    vary = {"sigma": SIGMA, "x0": np.linspace(90.0, 110.0, 2500)}
    ds = mz.simulate(GBM, 2500, 4, seed=1, vary=vary)
    for part in mz.batches(ds, 1000):
        start = part.attrs["path_offset"]
        expected = ds.isel(path=slice(start, start + 1000)).compute()
        xr.testing.assert_identical(part.drop_attrs(), expected.drop_attrs())


# --- what is shown while it runs -------------------------------------------------------------


def test_reports_and_live_views_name_scenarios(tmp_path, capsys):
    ds = mz.simulate(GBM, 4096, 4, 100.0, seed=1, vary={"sigma": SIGMA})
    last = ds.x.isel(time=-1)
    with mz.report(tmp_path / "run.html"):
        found = mz.reduce(last, "mean")
        mz.write(ds, tmp_path / "paths.zarr")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "reduce GeometricBrownianMotion × 3 scenarios, done" in page
    assert "write GeometricBrownianMotion × 3 scenarios, done" in page
    assert "x_mean[sigma=0.2]" in page
    for _ in mz.live(mz.stream(last, "mean")):
        pass
    shown = capsys.readouterr().err
    assert f"x_mean = {found.x_mean.values[0]:.6g} ± " in shown
    assert "[sigma=0.3]" in shown


def test_a_live_view_shows_the_first_few_of_many_scenarios(capsys):
    sigma = xr.DataArray(np.linspace(0.1, 0.5, 9), dims="sigma")
    ds = mz.simulate(GBM, 2048, 4, 100.0, seed=1, vary={"sigma": sigma})
    for _ in mz.live(mz.stream(ds.x.isel(time=-1), "mean")):
        pass
    assert "[sigma=0.2] and 6 more; 2,048 paths" in capsys.readouterr().err
