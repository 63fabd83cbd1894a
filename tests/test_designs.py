"""Designs: parameters by path index, the same for every range, in the recipe and in stores."""

import hashlib
import json

import numpy as np
import pytest
import xarray as xr
from designs import STANDARD, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random.designs._built_in import DESIGNS, design_from_dict, grouping_in
from montezarr.random.seeding import as_root_seed
from montezarr.run._run import Run

PARAMETERS = {"a": mz.Normal(1.0, 2.0), "b": mz.Normal(-3.0, 0.5), "d": STANDARD}
MADE = {
    "saltelli": mz.saltelli(PARAMETERS, None),
    "nested": mz.nested(PARAMETERS, None, replicates=3),
}


def noisy(rng, n, a, b, d):
    return {"out": a * b + d * rng.normal(size=n)}


def simulated(name, n_paths, **options):
    given = {"dims": {"out": ()}, "seed": 7, "vary": MADE[name]}
    return mz.simulate(noisy, n_paths, **{**given, **options})


def by_hand(distribution, name, n):
    """Return the values of n indices from the uniform numbers alone."""
    word = int(np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")[0])
    u = mz.Draws.of(7, n=n).uniform(0, 2**31 + word % 2**31) + 2.0**-54
    return distribution.mean + distribution.sd * ndtri(u)


def test_every_design_is_tested_here():
    assert set(MADE) == set(DESIGNS)


def test_a_base_point_has_a_then_b_then_a_with_each_parameter_of_b():
    ds = simulated("saltelli", 50).compute()
    for k, (name, distribution) in enumerate(PARAMETERS.items()):
        values = ds[name].values.reshape(10, 5)
        a, b = by_hand(distribution, name, 10), by_hand(distribution, f"{name} B", 10)
        for role in range(5):
            wanted = b if role in (1, 2 + k) else a
            np.testing.assert_allclose(values[:, role], wanted, rtol=1e-12)


def test_replicates_share_their_parameters_and_differ_in_noise():
    ds = simulated("nested", 30).compute()
    for name, distribution in PARAMETERS.items():
        wanted = np.repeat(by_hand(distribution, name, 10), 3)
        np.testing.assert_allclose(ds[name].values, wanted, rtol=1e-12)
    assert len(np.unique(ds.out)) == 30


@pytest.mark.parametrize("name", MADE)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(start=st.integers(0, 3000), n=st.integers(0, 40), far=st.sampled_from([0, 2**40]))
def test_any_range_has_the_parameters_of_the_same_paths(name, start, n, far):
    design, seed = MADE[name], as_root_seed(7)
    found = design.by_name(design.names, seed, far + start, n)
    assert list(found) == ["a", "b", "d"]
    for k in (0, n // 2, n - 1) if n else ():
        one = design.by_name(design.names, seed, far + start + k, 1)
        assert all(one[key][0] == found[key][k] for key in found)
    assert all(len(values) == n for values in found.values())


@pytest.mark.parametrize("name", MADE)
def test_the_recipe_brings_a_design_back_with_its_order(name):
    ds = simulated(name, 2100, chunks=1024)
    recipe = json.loads(ds.attrs["montezarr"])
    assert [entry["names"] for entry in recipe["design"]["parameters"]] == [["a"], ["b"], ["d"]]
    text = json.dumps(recipe["design"], sort_keys=True)
    again = design_from_dict(json.loads(text))
    assert again.to_dict() == MADE[name].to_dict()
    assert again == MADE[name]
    assert grouping_in(recipe) == MADE[name].grouping
    run = Run.from_recipe(json.loads(json.dumps(recipe, sort_keys=True)), noisy, 2100)
    assert run.fingerprint == Run.behind(ds).fingerprint
    for path in (0, 1029, 2099):
        xr.testing.assert_identical(
            mz.replay(ds, path).drop_attrs(deep=False),
            ds.isel(path=path).compute().drop_attrs(deep=False),
        )


@pytest.mark.parametrize("name", MADE)
def test_a_store_grows_beyond_the_design_as_a_fresh_one(name, tmp_path):
    ds = simulated(name, 2100, chunks=1024)
    mz.write(ds, tmp_path / "grown.zarr")
    mz.extend(tmp_path / "grown.zarr", 4500, process=noisy)  # also to a part of a group
    grown = mz.open(tmp_path / "grown.zarr")
    whole = simulated(name, 4500)
    for key in ("out", "a", "b", "d"):
        np.testing.assert_array_equal(grown[key], whole[key])
    assert mz.verify(tmp_path / "grown.zarr").ok


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"design": 3},
        {"design": {"name": "x", "parameters": []}},
        {"design": {"name": "nested", "parameters": []}},
        {"design": {"name": "nested", "parameters": [], "replicates": 1}},
    ],
)
def test_no_grouping_is_found_in_other_recipes(data):
    assert grouping_in(data) is None


def test_recipes_and_plans_say_which_draws_a_path_gets():
    for name, more in {"saltelli": "", "nested": ", for 3 paths each"}.items():
        ds = simulated(name, 15)
        for text in (str(ds.mz.recipe), str(mz.plan(ds))):
            plain = " ".join(text.split())
            wanted = f"b by path: Normal(mean=-3, sd=0.5), on the design '{name}'{more}"
            assert wanted in plain, plain


def test_scenarios_vary_beside_a_design():
    def f(rng, n, a, b, d, scale):
        return {"out": scale * a + b + d}

    design = MADE["saltelli"]
    vary = {design.names: design, "scale": xr.DataArray([1.0, 2.0], dims="scale")}
    ds = mz.simulate(f, 20, vary=vary, dims={"out": ()}, seed=7)
    assert ds.out.dims == ("scale", "path")
    np.testing.assert_array_equal(ds.a, simulated("saltelli", 20).a)
    wanted = (ds.scale * ds.a + ds.b + ds.d).transpose("scale", "path")
    np.testing.assert_allclose(ds.out, wanted, rtol=1e-12)


def test_code_that_draws_one_path_gets_its_own_parameters():
    def one(rng, a, b, d):
        return {"out": a * b + d}

    ds = mz.simulate(one, 25, vary=MADE["saltelli"], dims={"out": ()}, seed=7).compute()
    np.testing.assert_allclose(ds.out, ds.a * ds.b + ds.d, rtol=1e-12)


def test_a_process_gets_the_parameters_of_its_path():
    """Each path is that of the separate run with its parameters."""
    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    design = mz.saltelli({"mu": mz.Normal(0.05, 0.01), "sigma": mz.Uniform(0.1, 0.4)}, 3)
    grid = {"T": 4, "dt": 0.25, "x0": 1.0, "seed": 7}
    ds = mz.simulate(gbm, design.n_paths, vary=design, **grid).compute()
    for path in (0, 1, 2, 3, 11):
        own = {name: ds[name].values[path] for name in design.names}
        alone = mz.simulate(mz.GeometricBrownianMotion(**own), 12, **grid)
        np.testing.assert_array_equal(ds.x[path], alone.x[path])
    assert np.unique(ds.mu).size == np.unique(ds.sigma).size == 6


def test_replicates_share_parameters_that_are_drawn_together():
    joint = mz.JointNormal({"a": 0.0, "b": 1.0}, sd=[1.0, 2.0], correlation=[[1, 0.5], [0.5, 1]])
    design = mz.nested({("a", "b"): joint, "d": STANDARD}, None, replicates=3)
    ds = simulated("nested", 3000, vary=design).compute()
    wanted = joint.draw(7, n=1000)
    for name in ("a", "b"):
        np.testing.assert_array_equal(ds[name], np.repeat(wanted[name], 3))
    assert design_from_dict(json.loads(json.dumps(design.to_dict()))) == design
    with pytest.raises(ArgumentValueError, match="independent"):
        mz.saltelli({("a", "b"): joint}, 5)
    with pytest.raises(ArgumentValueError, match="the names of the distribution"):
        mz.nested({"a": joint}, 5, replicates=2)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: mz.saltelli([1], 5), ArgumentTypeError, "mapping of names"),
        (lambda: mz.saltelli({}, 5), ArgumentValueError, "not empty"),
        (lambda: mz.saltelli({"a": 1.0}, 5), ArgumentTypeError, r"parameters\['a'\].*distribution"),
        (lambda: mz.saltelli({"a b": STANDARD}, 5), ArgumentValueError, "names of parameters"),
        (lambda: mz.saltelli({("a", "b"): STANDARD}, 5), ArgumentValueError, "one name"),
        (lambda: mz.saltelli({"a": STANDARD}, 0), ArgumentValueError, "n: expected"),
        (lambda: mz.saltelli({f"p{k}": STANDARD for k in range(1023)}, 1), ArgumentValueError,
         "at most 1022"),
        (lambda: mz.nested({"a": STANDARD}, 5, replicates=1), ArgumentValueError, "replicates"),
        (lambda: run_of("g", None, n_paths=100), ArgumentValueError, "multiple of 6.*such as 102"),
        (lambda: run_of("g", 10, n_paths=66), ArgumentValueError, "expected 60.*got 66"),
        (lambda: mz.simulate(noisy, 10, vary={"a": MADE["nested"]}), ArgumentValueError,
         "names of the design"),
        (lambda: design_from_dict({"name": "cube"}), ArgumentValueError, "saltelli, nested"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_the_call(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_a_run_without_end_takes_a_design_of_any_number():
    assert run_of("g", None).sizes["path"] > 2**30
    assert run_of("g", 10, n_paths=None).sizes["path"] > 2**30
