"""Stores of runs with varying parameters: they grow, resume and are mended as any other."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import (
    BUILT_IN,
    DT,
    GBM,
    SEED,
    USERS,
    T,
    arrays_by_path,
    check_same,
    computed,
    grids,
)
from stores import files

import montezarr as mz
from montezarr.random.distributions import Normal

MODELS = {model.name: model for model in (*BUILT_IN, *USERS)}
repeatable = settings(max_examples=2, deadline=None, derandomize=True)
GRID = {
    "sigma": xr.DataArray([0.1, 0.2], dims="sigma"),
    "mu": xr.DataArray([0.0, 0.05, 0.1], dims="j", coords={"j": ["low", "middle", "high"]}),
}


def some_models(*names):
    return pytest.mark.parametrize("model", [MODELS[name] for name in names], ids=names)


def check_store(model, vary, n, m, folder, *, grows=True, lost=(0, 5), **more):
    """Check that a store that grew, resumed or was mended has the bytes of a fresh one."""
    fresh, grown = Path(folder) / "fresh.zarr", Path(folder) / "grown.zarr"
    ds, ones = (model.simulate(k, vary if grows else vary[k], chunks=1024, **more) for k in (n, m))
    right = computed(ones)
    with mz.backend("synchronous"):
        check_same(computed(mz.write(ones, fresh)), right)
        whole = files(fresh)
        if grows:
            check_same(computed(mz.write(ds, grown)), right.isel(path=slice(n)))
        else:
            mz.write(ones, grown, paths=range(1024))
        check_same(computed(mz.extend(grown, m, process=model.process)), right)
        assert files(grown) == whole
        opened = mz.open(fresh)
        check_same(mz.replay(opened, m - 1, process=model.process), right.isel(path=m - 1))
        for level in (1, 3):
            assert mz.verify(fresh, level, process=model.process).ok
        chunks = chunks_in(fresh, right)
        for k in lost:
            chunks[k % len(chunks)].unlink(missing_ok=True)
        assert not mz.verify(fresh, 1, process=model.process).ok
        mz.repair(fresh, process=model.process)
        assert files(fresh) == whole
        if model.name != "legacy":
            virtual = mz.VirtualStore(ones)
            check_same(computed(virtual.to_dataset()), right)
            raw = computed(xr.open_zarr(virtual, consolidated=False))
            xr.testing.assert_equal(raw, computed(xr.open_zarr(fresh, consolidated=False)))


def chunks_in(path, ds):
    return sorted(f for v in ds.data_vars for f in path.glob(f"{v}/c/**/*") if f.is_file())


@some_models("GeometricBrownianMotion", "Heston", "MarkovChain", "block function", "seed")
@repeatable
@given(data=st.data())
def test_a_store_that_grew_or_was_mended_has_the_bytes_of_a_fresh_one(model, data):
    vary = {**model.fixed, **data.draw(grids(model), "vary")}
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    few = model.many // 2
    with tempfile.TemporaryDirectory() as folder:
        check_store(model, vary, few, model.many, folder, noise=noise)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@settings(repeatable, max_examples=3)
@given(data=st.data())
def test_any_store_that_grew_or_was_mended_has_the_bytes_of_a_fresh_one(model, data):
    vary = {**model.fixed, **data.draw(grids(model), "vary")}
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    n = data.draw(st.integers(1, model.many), "n")
    m = data.draw(st.integers(n, 2 * model.many), "m")
    with tempfile.TemporaryDirectory() as folder:
        check_store(model, vary, n, m, folder, noise=noise)


@some_models("rng", "counter")
def test_drawn_parameters_are_stored_with_the_paths_and_grow(model, tmp_path):
    vary = {"a": Normal(0.5, 0.1), "b": xr.DataArray([1.0, 0.5], dims="b")}
    check_store(model, vary, 700, 1100, tmp_path)


@some_models("rng", "block function")
def test_parameters_by_path_are_stored_and_found_again(model, tmp_path):
    own = arrays_by_path(["a", "b"], model, 1100, {"b": {"b1": 2}})
    vary = {"x0": xr.DataArray([0.0, 1.0], dims="x0"), **own}
    fewer = {**vary, **{name: array[..., :700] for name, array in own.items()}}
    check_store(model, {700: fewer, 1100: vary}, 700, 1100, tmp_path, grows=False)


def test_flags_by_path_are_stored_and_found_again(tmp_path):
    flags = np.arange(1500) % 3 == 0
    vary = {"up": flags, "x0": xr.DataArray(np.ones((2, 1500)), dims=("j", "path"))}
    ds = mz.simulate(flagged, 1500, T, seed=SEED, chunks=1024, vary=vary)
    right = computed(ds)
    del ds
    with mz.backend("synchronous"):
        mz.write(mz.simulate(flagged, 1500, T, seed=SEED, chunks=1024, vary=vary),
                 tmp_path / "a.zarr", paths=range(1024))  # fmt: skip
        check_same(computed(mz.extend(tmp_path / "a.zarr", 1500, process=flagged)), right)


def flagged(rng, T, x0, up):
    assert up is True or up is False
    return x0 + rng.random(T + 1) * (1 if up else -1)


def test_ranges_that_were_written_apart_are_merged(tmp_path):
    ds = mz.simulate(GBM, 3000, T, 1.0, dt=DT, seed=SEED, chunks=1024, vary=GRID)
    with mz.backend("synchronous"):
        mz.write(ds, tmp_path / "whole.zarr")
        for k, paths in enumerate((range(1024), range(1024, 3000))):
            mz.write(ds, tmp_path / f"{k}.zarr", paths=paths)
        mz.merge([tmp_path / "0.zarr", tmp_path / "1.zarr"], tmp_path / "merged.zarr")
    check_same(computed(mz.open(tmp_path / "merged.zarr")), computed(ds))


def test_a_write_that_was_interrupted_goes_on(tmp_path):
    ds = mz.simulate(stopped, 3000, T, seed=SEED, chunks=1024, vary={"a": GRID["sigma"]})
    path = tmp_path / "a.zarr"
    with mz.backend("synchronous"):
        STOP.append(True)
        try:
            with pytest.raises(KeyboardInterrupt):
                mz.write(ds, path)
        finally:
            STOP.clear()
        mz.write(ds, path)
        mz.write(ds, tmp_path / "b.zarr")
    assert files(path) == files(tmp_path / "b.zarr")


STOP = []


def stopped(rng, T, a):
    if STOP and len(STOP) > 3000:
        raise KeyboardInterrupt
    if STOP:
        STOP.append(True)
    return a * rng.random(T + 1)


def test_a_damaged_chunk_is_found_and_mended(tmp_path):
    ds = mz.simulate(GBM, 2500, T, 1.0, dt=DT, seed=SEED, chunks=1024, vary=GRID)
    path = tmp_path / "a.zarr"
    with mz.backend("synchronous"):
        mz.write(ds, path)
        whole = files(path)
        chunk = chunks_in(path, ds)[1]
        data = bytearray(chunk.read_bytes())
        data[100] ^= 1
        chunk.write_bytes(bytes(data))
        assert not mz.verify(path, 2).ok
        mz.repair(path)
        assert files(path) == whole


# --- recipes -----------------------------------------------------------------------------------


ANOTHER = """
import sys, json
import numpy as np
import montezarr as mz

path, m = sys.argv[1], int(sys.argv[2])
with mz.backend("synchronous"):
    ds = mz.open(path)
    one = mz.replay(ds, 1000)
    grown = mz.extend(path, m) if m > ds.sizes["path"] else ds
    assert mz.verify(path, 3).ok
    np.savez(sys.argv[3], one=one.x.values, last=grown.x.isel(path=-1).values)
"""


def in_another_process(path, m, out):
    subprocess.run(
        [sys.executable, "-c", ANOTHER, str(path), str(m), str(out)],
        check=True, env=os.environ | {"PYTHONWARNINGS": "error"},
    )  # fmt: skip
    return np.load(out)


def test_another_process_draws_and_extends_a_store_of_scenarios(tmp_path):
    more = {"dt": DT, "seed": SEED, "chunks": 1024, "vary": GRID, "noise": "independent"}
    path = tmp_path / "a.zarr"
    mz.write(mz.simulate(GBM, 1100, T, 1.0, **more), path)
    right = computed(mz.simulate(GBM, 1500, T, 1.0, **more)).x
    found = in_another_process(path, 1500, tmp_path / "out.npz")
    np.testing.assert_array_equal(found["one"], right.isel(path=1000))
    np.testing.assert_array_equal(found["last"], right.isel(path=-1))


def test_another_process_draws_a_store_of_parameters_by_path(tmp_path):
    starts = xr.DataArray(np.random.default_rng(1).random((2, 1100)), dims=("j", "path"))
    vary = {"x0": starts, "sigma": GRID["sigma"]}
    path = tmp_path / "a.zarr"
    mz.write(mz.simulate(GBM, 1100, T, dt=DT, seed=SEED, vary=vary), path)
    right = computed(mz.simulate(GBM, 1100, T, dt=DT, seed=SEED, vary=vary)).x
    found = in_another_process(path, 1100, tmp_path / "out.npz")
    np.testing.assert_array_equal(found["one"], right.isel(path=1000))


def recipe_of(ds):
    return json.loads(ds.attrs["montezarr"])


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@repeatable
@given(data=st.data())
def test_a_recipe_makes_the_run_again(model, data):
    from montezarr.run import Run

    vary = data.draw(grids(model), "vary")
    if model.name in ("rng", "counter") and data.draw(st.booleans(), "by path"):
        vary = {**vary, "a": Normal(0.5, 0.1)}
    vary = {**model.fixed, **vary}  # options would be in no recipe
    noise = data.draw(st.sampled_from(("common", "independent")), "noise")
    ds = model.simulate(30, vary, noise=noise)
    recipe = recipe_of(ds)
    run = Run.from_recipe(recipe, model.process, 30)
    assert run.recipe == recipe
    from montezarr.run._dataset import to_dataset

    check_same(computed(to_dataset(run)), computed(ds))
    for name in ds.coords:
        xr.testing.assert_identical(to_dataset(run)[name], ds[name])


def test_a_recipe_with_arrays_by_path_before_and_after_scenarios_keeps_their_order():
    from montezarr.run import Run

    own = xr.DataArray(np.random.default_rng(1).random((2, 30)), dims=("j", "path"))
    vary = {"a": own, "b": xr.DataArray([0.5, 1.0, 2.0], dims="b")}
    ds = MODELS["rng"].simulate(30, vary)
    assert ds.x.dims == ("j", "b", "path", "time")
    given_ = {"vary:a": own.values}
    run = Run.from_recipe(recipe_of(ds), MODELS["rng"].process, 30, x0=given_)
    assert run.recipe == recipe_of(ds)


def test_recipes_of_runs_whose_parameters_do_not_vary_are_as_before():
    ds = mz.simulate(GBM, 30, T, 1.0, dt=DT, seed=SEED)
    assert recipe_of(ds) == {
        "format": 1, "sampler": "sample",
        "process": {"name": "GeometricBrownianMotion", "mu": 0.05, "sigma": 0.2},
        "grid": {"T": T, "dt": DT}, "x0": 1.0, "seed": {"entropy": str(SEED)},
        "variables": [{"name": "x", "dtype": "float64"}],
    }  # fmt: skip
    same = mz.simulate(GBM, 30, T, 1.0, dt=DT, seed=SEED, vary={}, noise="common")
    assert same.attrs == ds.attrs


@pytest.mark.parametrize(
    "entry",
    [
        {"vary": 3},
        {"vary": [3]},
        {"vary": [{"names": ["mu"]}]},
        {"vary": [{"names": ["mu"], "dims": ["mu"], "values": [[1.0, 2.0]]}]},
        {"vary": [{"names": ["mu"], "distribution": {"name": "os.system"}}]},
        {"scenario_coords": 3},
        {"noise": "loud"},
    ],
)
def test_a_recipe_that_montezarr_did_not_write_is_refused(entry):
    ds = mz.simulate(GBM, 30, T, 1.0, dt=DT, seed=SEED, vary={"mu": xr.DataArray([0.1], dims="mu")})
    strange = xr.Dataset(attrs={"montezarr": json.dumps(recipe_of(ds) | entry)})
    del ds
    with pytest.raises(mz.MontezarrError):
        mz.replay(strange, 3)


def test_coordinates_of_scenarios_are_stored():
    coords = {
        "p": ["föhn"], "q": [1.5, 2.5], "lab": (("p", "q"), [["x y", "z"]]),
        "num": (("p", "q"), [[1, 2]]), "on": ("q", [True, False]),
    }  # fmt: skip
    sigma = xr.DataArray([[0.1, 0.2]], dims=("p", "q"), coords=coords)
    vary = {"sigma": sigma, "dt": xr.DataArray([0.1, 0.2], dims="q")}
    ds = mz.simulate(GBM, 1100, T, 1.0, seed=SEED, chunks=1024, vary=vary)
    with tempfile.TemporaryDirectory() as folder:
        with mz.backend("synchronous"):
            mz.write(ds, Path(folder) / "a.zarr")
            opened = [mz.open(Path(folder) / "a.zarr"), mz.VirtualStore(ds).to_dataset()]
            opened.append(mz.extend(Path(folder) / "a.zarr", 1500))
        for found in opened:
            assert set(found.coords) == set(ds.coords)
            for name in ds.coords:
                assert found[name].dims == ds[name].dims
                assert found[name].values.tolist() == ds[name].values.tolist()
