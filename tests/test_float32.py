"""Paths in float32: states are float64 and rounded once; what an earlier version drew stays."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import float32_stores as old
import numpy as np
import pytest

import montezarr as mz
from montezarr.processes._built_in import built_in_processes
from montezarr.run._attributes import ATTRIBUTE
from montezarr.store._info import info

SCALAR = {
    "BrownianMotion": (mz.BrownianMotion(mu=1.0, sigma=0.3), 10.1),
    "GeometricBrownianMotion": (mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), 100.1),
    "decay": (mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=0.0), 1.0),
    "OrnsteinUhlenbeck": (mz.OrnsteinUhlenbeck(theta=0.7, mu=0.1, sigma=0.3), 2.3),
}
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)


def ends(process, T, dt, x0, n, format=2):
    """Return the states of n paths after T steps in float32, as an array of float64."""
    draws = replace(mz.Draws.of(0, n=n, dtype="float32"), format=format)
    rows = process.sample(draws, mz.TimeGrid.of(T, dt), process.check_x0(x0, "float32"))
    assert rows.dtype == np.float32
    return rows[-1].astype(float)


# --- the mathematics ----------------------------------------------------------------------------


def test_the_drift_of_a_hundred_thousand_steps_is_whole():
    # The last steps of 1e-3 are 131 units in the last place of 100: rounded each, they lose 0.04 %.
    found = ends(mz.BrownianMotion(mu=1.0, sigma=0.01), 10**5, 1e-3, 0.0, 64)
    assert found.mean() == pytest.approx(100.0, abs=4 * 0.1 / 8)
    assert found.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * 64))
    before = ends(mz.BrownianMotion(mu=1.0, sigma=0.01), 10**5, 1e-3, 0.0, 64, format=1)
    assert (before - found).mean() == pytest.approx(-0.043, abs=0.001)  # on the same normal numbers


def test_steps_below_half_a_unit_in_the_last_place_add_up():
    process = mz.BrownianMotion(mu=0.0, sigma=1e-4)  # numbers near 10,000 lie 0.00098 apart
    found = ends(process, 10**4, 1.0, 1e4, 4096)
    assert found.mean() == pytest.approx(1e4, abs=4 * 0.01 / 64)
    assert found.std() == pytest.approx(0.01, rel=0.01 + 4 / np.sqrt(2 * 4096))
    assert ends(process, 10**4, 1.0, 1e4, 64, format=1).std() == 0  # frozen


def test_decay_by_less_than_a_unit_in_the_last_place_is_that_of_theta():
    process, T, dt = SCALAR["decay"][0], 10**5, 5e-8
    assert -np.log(ends(process, T, dt, 1.0, 1)) / (T * dt) == pytest.approx(1.0, abs=1e-5)
    before = -np.log(ends(process, T, dt, 1.0, 1, format=1)) / (T * dt)
    assert before == pytest.approx(1.196, abs=0.001)


def test_growth_of_a_hundred_thousand_steps_is_whole():
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=0.001)
    found = ends(process, 10**5, 1e-4, 100.0, 64)
    mean, deviation = process.mean(10.0, 100.0), np.sqrt(process.variance(10.0, 100.0))
    assert found.mean() == pytest.approx(mean, abs=4 * deviation / 8)
    assert found.std() == pytest.approx(deviation, rel=4 / np.sqrt(2 * 64))
    quiet = mz.GeometricBrownianMotion(mu=0.05, sigma=0.0)
    assert ends(quiet, 10**5, 1e-4, 100.0, 1) == pytest.approx(quiet.mean(10.0, 100.0), rel=1e-7)


def test_the_table_in_the_documentation_is_true():
    table = (Path(__file__).parent.parent / "docs/explanation/randomness.md").read_text()
    drift, decay = mz.BrownianMotion(mu=1.0, sigma=0.01), SCALAR["decay"][0]
    frozen = mz.BrownianMotion(mu=0.0, sigma=1e-4)
    growth, x0 = SCALAR["GeometricBrownianMotion"]
    rows = {
        "100.000": [f"{ends(drift, 10**5, 1e-3, 0.0, 64, f).mean():.3f}" for f in (1, 2)],
        "0.0100": [f"{ends(frozen, 10**4, 1.0, 1e4, 4096, f).std():.4f}" for f in (1, 2)],
        "1.000": [f"{-np.log(ends(decay, 10**5, 5e-8, 1.0, 1, f)[0]) / 5e-3:.3f}" for f in (1, 2)],
        "0.5": [f"{units_from_exact(growth, x0, f).max():.1f}" for f in (1, 2)],
    }
    for exact, (before, now) in rows.items():
        assert f"| {exact} | {before} | {now} |" in table


def units_from_exact(process, x0, format=2):
    """Return how far 1500 paths of 252 steps are from float64 ones of the same normal numbers."""
    grid, start = mz.TimeGrid.of(252, 1 / 252), np.float32(x0)
    draws = replace(mz.Draws.of(3, n=1500, dtype="float32"), format=format)
    z = draws.normal(range(252)).astype(float)
    is_logarithm = isinstance(process, mz.GeometricBrownianMotion)
    y = np.full(1500, 0.0 if is_logarithm else start, float)
    expected = [np.full(1500, start, float)]
    for a, b, c, row in zip(*process._coefficients(grid.steps), z, strict=True):
        y = (a * y + b) + c * row
        expected.append(start.astype(float) * np.exp(y) if is_logarithm else y)
    found = process.sample(draws, grid, start)
    return np.abs(found - np.array(expected)) / np.spacing(np.abs(expected).astype(np.float32))


@pytest.mark.parametrize("scheme", [mz.EulerMaruyama(), mz.Milstein()])
def test_a_scheme_keeps_its_state_in_float64(scheme):
    process = mz.Diffusion(
        drift=lambda t, x: 1e-4 + 0 * x, diffusion=lambda t, x: 1e-4 + 0 * x, scheme=scheme
    )
    found = ends(process, 5000, 1.0, 1e4, 256)
    assert found.mean() == pytest.approx(1e4 + 0.5, abs=4 * 1e-4 * np.sqrt(5000 / 256) + 1e-4)
    assert ends(process, 5000, 1.0, 1e4, 256, format=1).max() == 1e4  # frozen


def test_coefficients_get_float64_states_of_float32_paths():
    seen = set()

    def drift(t, x):
        seen.add(x.dtype.name)
        return -x

    process = mz.Diffusion(drift=drift, diffusion=lambda t, x: 0.1)
    ds = mz.simulate(process, 20, 3, 1.0, seed=1, dtype="float32").compute()
    assert ds.x.dtype == np.float32
    assert seen == {"float64"}


@pytest.mark.parametrize(("process", "x0"), SCALAR.values(), ids=SCALAR)
def test_a_path_is_the_one_of_float64_arithmetic_rounded(process, x0):
    is_logarithm = isinstance(process, mz.GeometricBrownianMotion)
    assert units_from_exact(process, x0).max() <= (1.5 if is_logarithm else 0.5)
    assert units_from_exact(process, x0, format=1).max() > 5


# --- refused where the noise is lost ------------------------------------------------------------


LOST = {
    "small steps far from zero": (mz.BrownianMotion(sigma=1e-4), 1e4, 100),
    "a relative noise of 1e-7": (mz.GeometricBrownianMotion(mu=0.0, sigma=1e-8), 100.0, 100),
    "a mean that float32 does not resolve": (
        mz.OrnsteinUhlenbeck(theta=1.0, mu=1e6, sigma=0.01), None, 100,
    ),
    "a mean far from the start": (mz.BrownianMotion(mu=1e4, sigma=1e-4), 0.0, 100),
    "one path of many": (mz.BrownianMotion(sigma=1e-4), np.array([0.0] * 49 + [1e4]), 100),
    "a variance that hardly moves": (
        mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=1e-8, rho=0.0), None, 100,
    ),
    "a price that hardly moves": (
        mz.Heston(mu=0.0, kappa=1.0, theta=1e-16, xi=1e-8, rho=0.0), None, 100,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("process", "x0", "T"), LOST.values(), ids=LOST)
def test_noise_that_float32_cannot_hold_is_refused_at_the_call(process, x0, T):
    with pytest.raises(mz.ArgumentValueError, match=r"^dtype: .*float32 cannot hold.*float64"):
        mz.simulate(process, 50, T, x0, dt=0.01, seed=1, dtype="float32")
    mz.simulate(process, 50, T, x0, dt=0.01, seed=1)  # in float64


HELD = {
    "no noise": (mz.BrownianMotion(mu=1.0, sigma=0.0), 1e4, 100),
    "no step": (mz.BrownianMotion(sigma=1e-4), 1e4, 0),
    "the same noise over a longer time": (mz.BrownianMotion(sigma=1e-4), 1e4, 200_000),
    "the difference from the start": (mz.BrownianMotion(sigma=1e-4), 0.0, 100),
    "prices": (mz.GeometricBrownianMotion(mu=0.0, sigma=0.2), 1e-30, 1),
    "Heston": (HESTON, None, 1),
    "a variance that starts at zero": (HESTON, (1.0, 0.0), 1),
    "unknown coefficients": (old.PROCESSES["diffusion"][0], 1e9, 1),
}


@pytest.mark.parametrize(("process", "x0", "T"), HELD.values(), ids=HELD)
def test_what_float32_holds_is_not_refused(process, x0, T):
    mz.simulate(process, 50, T, x0, dt=0.01, seed=1, dtype="float32")


def test_the_limit_is_four_units_in_the_last_place_of_the_start():
    unit = float(np.spacing(np.float32(1e4)))
    for units, refused in ((3.99, True), (4.01, False)):
        process = mz.BrownianMotion(sigma=units * unit)
        if refused:
            with pytest.raises(mz.ArgumentValueError, match="dtype"):
                mz.simulate(process, 10, 100, 1e4, dt=0.01, seed=1, dtype="float32")
        else:
            ds = mz.simulate(process, 40_000, 1, 1e4, dt=1.0, seed=1, dtype="float32")
            variance = float(ds.x[:, -1].astype(float).var())
            assert variance == pytest.approx(process.sigma**2, rel=0.005 + 4 * np.sqrt(2 / 40_000))


# --- recipes ------------------------------------------------------------------------------------


def formats(dtype, **options):
    """Return the formats of the recipes of all built-in processes."""
    out = set()
    for kind in built_in_processes().values():
        for process in kind.examples():
            if dtype in process.dtypes:
                x0 = 0.5 if process.runs_user_code and len(process.variables) == 1 else None
                x0 = [0.5, 0.5] if process.runs_user_code and x0 is None else x0
                ds = mz.simulate(process, 10, 3, x0, seed=1, dtype=dtype, **options)
                out.add(ds.mz.recipe["format"])
    return out


def test_recipes_of_float32_alone_are_of_format_2():
    assert formats("float32") == {2}
    assert formats("float64") == formats("int64") == formats("int32") == {1}

    class Batch:
        def sample_paths(self, n, T, x0, rng):
            return rng.random((n, T + 1))

    # What a Generator draws is float64 and rounded in the end, now as before.
    for sampler in (lambda rng: rng.random(4), Batch()):
        assert mz.simulate(sampler, 10, 3, seed=1, dtype="float32").mz.recipe["format"] == 1


@pytest.mark.parametrize("kind", ["distribution", "array", "joint", "design", "x0"])
def test_paths_in_float32_with_parameters_of_their_own_are_read_again(kind, tmp_path):
    mean = {"mu": 0.1, "sigma": 5.0}
    n, vary = 1500, {
        "distribution": {"sigma": mz.Uniform(0.1, 0.3)},
        "array": {"sigma": np.linspace(0.1, 0.3, 1500)},
        "joint": {("mu", "sigma"): mz.JointNormal(mean, sd=[0.1, 0.1])},
        "design": mz.nested({"sigma": mz.Uniform(0.1, 0.3)}, 750, replicates=2),
        "x0": {"x0": mz.Uniform(1.0, 2.0)},
    }[kind]  # fmt: skip
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    x0 = None if kind == "x0" else 1.0
    ds = mz.simulate(process, n, 3, x0, seed=1, dtype="float32", vary=vary)
    assert ds.mz.recipe["format"] == 2
    assert np.array_equal(mz.replay(ds.compute(), 1490).x, ds.x[1490])
    mz.write(ds, tmp_path / "a.zarr")
    assert np.array_equal(mz.open(tmp_path / "a.zarr").x, ds.x)
    assert mz.verify(tmp_path / "a.zarr", level=3, ds=ds).ok


def test_a_sample_of_ones_own_in_float32_gets_the_recursion_of_its_recipe():
    class Walk:
        def sample(self, draws, grid, x0):
            steps = np.ones(grid.T)
            return draws.gaussian_recursion(np.array([steps, 1e-4 * steps, 0 * steps]), 1e4)

    walk = Walk()
    ds = mz.simulate(walk, 10, 1000, seed=1, dtype="float32")
    assert ds.mz.recipe["format"] == 2
    assert ds.x[0, -1] == np.float32(1e4 + 0.1)
    before = ds.assign_attrs({ATTRIBUTE: json.dumps({**ds.mz.recipe.to_dict(), "format": 1})})
    assert mz.replay(before, 0, process=walk).x[-1] == np.float32(1e4)


def test_a_format_that_a_recipe_cannot_have_is_refused():
    for dtype, format in (("float32", 3), ("float32", 0), ("float64", 2), ("float32", "2")):
        ds = mz.simulate(mz.BrownianMotion(), 10, 3, seed=1, dtype=dtype)
        ds.attrs[ATTRIBUTE] = json.dumps({**ds.mz.recipe.to_dict(), "format": format})
        with pytest.raises(mz.ArgumentValueError, match=r"recipe of format 1.*another version"):
            mz.replay(ds, 0)


# --- stores of an earlier version ---------------------------------------------------------------


@pytest.fixture(params=old.PROCESSES)
def name(request):
    if request.param == "diffusion" and sys.version_info[:2] != (3, 11):
        pytest.skip("the digest of code is that of the syntax tree of one version of Python")
    return request.param


@pytest.fixture
def store(name, tmp_path):
    """A copy of a store that holds the first FEW paths, as that version drew and wrote them."""
    return shutil.copytree(old.PLACE / name, tmp_path / name)


def code(name):
    """Return what is to be given as process=: code of one's own."""
    return {"process": old.PROCESSES[name][0]} if name == "diffusion" else {}


def test_an_old_store_opens_and_verifies_to_the_bit(name, store):
    assert mz.open(store).sizes["path"] == old.FEW
    for level in (1, 3):
        report = mz.verify(store, level, **code(name))
        assert report.ok, report
    path = mz.replay(mz.open(store), 7, **code(name))
    for variable, values in mz.open(store).isel(path=7).items():
        assert np.array_equal(path[variable], values)


def test_an_old_store_grows_to_what_it_would_have_been(name, store):
    grown = mz.extend(store, old.MANY, **code(name))
    assert old.digest(grown) == old.DIGESTS[name]
    assert json.loads(grown.attrs[ATTRIBUTE])["format"] == 1
    assert mz.verify(store, 3, **code(name)).ok


def test_an_old_store_is_repaired_to_the_bit(name, store):
    files = [file for file in store.rglob("c/0/*") if file.is_file()]
    assert files
    whole = {file: file.read_bytes() for file in files}
    for file in files:
        file.write_bytes(bytes(len(whole[file])))
    assert not mz.verify(store).ok
    mz.repair(store, **code(name))
    assert {file: file.read_bytes() for file in files} == whole


def test_an_old_recipe_without_a_disk_gives_the_same_bits(name, store):
    recipe = mz.open(store).attrs[ATTRIBUTE]
    virtual = mz.VirtualStore(recipe, n_paths=old.MANY, **code(name))
    ds = mz.open(virtual)
    assert old.digest(ds) == old.DIGESTS[name]
    if name != "diffusion":  # which a file cannot name
        virtual.save(store.parent / "virtual.json")
        assert old.digest(mz.open(store.parent / "virtual.json")) == old.DIGESTS[name]


def test_new_runs_differ_from_old_ones_and_do_not_go_into_their_stores(name, store):
    new = old.run(name)
    assert new.mz.recipe["format"] == 2
    # The states of Heston were float64 all along.
    assert (old.digest(new) == old.DIGESTS[name]) == (name == "heston")
    with pytest.raises(mz.StoreMismatchError, match=r"format: 1 there, 2 here\n.*extend"):
        mz.write(new, store)
    for variable, values in mz.open(store).items():
        np.testing.assert_allclose(new[variable][: old.FEW], values, rtol=1e-4, atol=1e-6)


def test_plan_info_and_recipe_say_that_an_old_format_is_slow():
    for ds, said in ((mz.open(old.PLACE / "geometric"), True), (old.run("geometric"), False)):
        assert ("drawn by NumPy: slow" in str(ds.mz.recipe)) == said
        assert ("drawn by NumPy: slow" in str(mz.plan(ds))) == said
    assert "drawn by NumPy: slow" in str(info(old.PLACE / "geometric"))
