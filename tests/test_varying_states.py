"""Scenarios of initial states of several variables: each is the separate run with that x0."""

import json

import numpy as np
import pytest
import xarray as xr
from test_varying_stores import MODELS, check_store, recipe_of

import montezarr as mz
from montezarr.run import Run
from montezarr.run._scenarios import scenario_stream

HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
S, V = (99.0, 100.0, 101.0), (0.04, 0.09)
GRID = {"s": xr.DataArray(list(S), dims="s0"), "v": xr.DataArray(list(V), dims="v0")}
OF_S = {"s": GRID["s"], "v": 0.04}
RUN = {"n_paths": 50, "T": 3, "dt": 0.1, "seed": 5}


def pair(rng, T, x0):
    steps = rng.normal(size=(2, T + 1)).cumsum(axis=1)
    return {"s": x0["s"] + steps[0], "v": x0["v"] + steps[1]}


@pytest.mark.parametrize("noise", ["common", "independent"])
@pytest.mark.parametrize("process", [HESTON, pair], ids=["Heston", "a function"])
def test_a_scenario_is_the_separate_run_with_its_initial_states(process, noise):
    ds = mz.simulate(process, **RUN, vary={"x0": GRID}, noise=noise)
    assert ds.s.dims == ("s0", "v0", "path", "time")
    assert ds.coords["x0_s"].dims == ("s0",)
    assert list(ds.x0_v.values) == list(V)
    for i, j in np.ndindex(3, 2):
        x0 = {"s": S[i], "v": V[j]}
        stream = scenario_stream({"x0": x0}) if noise == "independent" else None
        alone = mz.simulate(process, **RUN, x0=x0, stream=stream)
        for name in ("s", "v"):
            np.testing.assert_array_equal(ds[name][i, j], alone[name])
    one = mz.replay(ds, 7, s0=2, v0=1)
    np.testing.assert_array_equal(one.v, ds.v[2, 1, 7])


def test_initial_states_are_a_grid_with_other_parameters():
    vary = {"x0": OF_S, "xi": xr.DataArray([0.1, 0.3], dims="xi")}
    ds = mz.simulate(HESTON, **RUN, vary=vary)
    other = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.1, rho=-0.7)
    alone = mz.simulate(other, **RUN, x0={"s": 101.0, "v": 0.04})
    np.testing.assert_array_equal(ds.s.sel(xi=0.1).isel(s0=2), alone.s)


def test_the_stream_of_initial_states_is_canonical():
    told = scenario_stream({"x0": {"v": -0.0, "s": 1}})
    assert told == '{"x0": {"s": 1.0, "v": 0.0}}'


def test_a_recipe_and_a_store_have_the_initial_states(tmp_path):
    ds = mz.simulate(HESTON, **RUN, vary={"x0": OF_S})
    recipe, right = recipe_of(ds), ds.compute()
    assert [entry["variable"] for entry in recipe["vary"]] == ["s", "v"]
    assert Run.from_recipe(recipe, HESTON, 50).recipe == recipe
    again = Run.from_recipe(recipe, n_paths=50)
    np.testing.assert_array_equal(mz.replay(right, 3).s, right.s.isel(path=3))
    assert again.recipe == recipe
    check_store(MODELS["Heston"], {"x0": OF_S}, 1030, 1500, tmp_path)


def test_plan_and_card_tell_each_variable():
    ds = mz.simulate(HESTON, **RUN, vary={"x0": OF_S})
    told = " ".join(str(mz.plan(ds)).split())
    assert "x0 s by scenario, along s0 (3): 99, 100, 101; v in all scenarios: 0.04" in told


def test_a_recipe_of_mixed_initial_states_is_refused():
    recipe = recipe_of(mz.simulate(HESTON, **RUN, vary={"x0": OF_S}))
    recipe["vary"].append({"names": ["x0"], "dims": [], "values": 1.0})
    with pytest.raises(mz.MontezarrError):
        mz.replay(xr.Dataset(attrs={"montezarr": json.dumps(recipe)}), 3)


BY_X0 = "from path to path by x0= alone"
REFUSED = {
    "by path": ({"s": np.ones(50), "v": 0.04}, rf"vary\['x0'\]\['s'\]: .*{BY_X0}"),
    "on paths": ({"s": xr.DataArray(np.ones(50), dims="path"), "v": 0.04}, BY_X0),
    "drawn": ({"s": mz.Normal(100.0, 1.0), "v": 0.04}, rf"\['s'\]: .*got Normal.*{BY_X0}"),
    "one missing": ({"s": 1.0}, "an initial state for each of s, v, got 's'"),
    "another": ({"s": 1.0, "w": 1.0}, "an initial state for each of s, v, got 's, w'"),
    "none": ({}, r"vary\['x0'\]: expected an initial state for each variable"),
    "NaN": ({"s": np.nan, "v": 0.04}, r"vary\['x0'\]\['s'\]: expected finite numbers, got nan"),
    "NaN in a grid": (
        {"s": xr.DataArray([1.0, np.inf], dims="q"), "v": 0.04}, r"got inf at the position q=1",
    ),
    "out of range": (
        {"s": xr.DataArray([1.0, -1.0], dims="q"), "v": 0.04}, r"scenario \{'q': 1\}: x0\['s'\]",
    ),
    "name of a variable": ({"s": xr.DataArray([1.0], dims="v"), "v": 0.04}, "got 'v'. 'v' is a"),
    "names": ({1: 1.0}, "names of variables as keys, got 1"),
}  # fmt: skip


@pytest.mark.parametrize(("x0", "match"), REFUSED.values(), ids=REFUSED)
def test_initial_states_that_cannot_vary_are_refused(x0, match):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        mz.simulate(HESTON, **RUN, vary={"x0": x0})
    assert isinstance(caught.value, mz.MontezarrError)


def test_a_process_of_one_variable_takes_no_mapping():
    with pytest.raises(ValueError, match="one initial state, since a BrownianMotion has one"):
        mz.simulate(mz.BrownianMotion(), **RUN, vary={"x0": {"x": 1.0}})
