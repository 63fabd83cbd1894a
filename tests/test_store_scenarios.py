"""Stores of grids of scenarios: each can be read alone, and is stored as its separate run is."""

import asyncio
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import cases
from scenario_stores import GRID, SIGMAS, STORAGES, TOGETHER, gbm_of, grid, parts_of, wide
from stores import files
from zarr.abc.store import RangeByteRequest

import montezarr as mz
from montezarr.run import chunk_policy
from montezarr.samplers.varied import VariedSampler
from montezarr.store.export import export
from montezarr.store.format import StoredArray, decode, encode_chunk

# --- the law -----------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", STORAGES)
def test_an_inner_chunk_is_the_chunk_of_the_separate_run(tmp_path, storage):
    ds = grid()
    mz.write(ds, tmp_path / "all.zarr", storage=storage)
    count = len(SIGMAS) * (2048 // (storage.inner_chunk or 2048))
    for i, sigma in enumerate(SIGMAS):
        one = mz.simulate(gbm_of(sigma), 4700, 3, 100.0, dt=0.1, seed=7, chunks=2048)
        mz.write(one, tmp_path / f"{i}.zarr", storage=storage)
        for chunk in range(3):
            parts = parts_of((tmp_path / f"all.zarr/x/c/0/{chunk}/0").read_bytes(), count)
            alone = (tmp_path / f"{i}.zarr/x/c/{chunk}/0").read_bytes()
            each = count // len(SIGMAS)
            expected = [alone] if storage.inner_chunk is None else parts_of(alone, each)
            assert parts[i * each : (i + 1) * each] == expected


@pytest.mark.parametrize("storage", [*STORAGES, TOGETHER])
def test_what_is_read_is_what_was_simulated_also_by_a_virtual_store(tmp_path, storage):
    ds = wide()
    stored = mz.write(ds, tmp_path / "a.zarr", storage=storage)
    assert mz.verify(tmp_path / "a.zarr", 3, ds=ds).ok
    plain = xr.open_zarr(tmp_path / "a.zarr").compute()
    if storage.dtype is None:
        xr.testing.assert_equal(stored.compute(), ds.compute())
        xr.testing.assert_equal(plain, ds.compute())
    said = mz.plan(ds, storage=storage)
    if storage.compression is None:
        found = [f for f in (tmp_path / "a.zarr").rglob("*") if f.is_file()]
        counted = [f for f in found if f.name != "journal" and f.parent.name != "parameters"]
        sizes = sum(f.stat().st_size for f in counted)
        assert said.store_bytes == pytest.approx(sizes, abs=64)
    is_whole = storage.scenario_chunk == "all"
    assert said.scenario_chunk_bytes == (0 if is_whole else 2048 * 4 * (4 if storage.dtype else 8))
    assert ("each scenario in chunks of its own" in " ".join(str(said).split())) != is_whole
    virtual = mz.VirtualStore(ds, storage=storage)
    on_disk = {
        str(f.relative_to(tmp_path / "a.zarr")): f.read_bytes()
        for f in (tmp_path / "a.zarr").rglob("*")
        if f.is_file() and f.name != "journal"
    }
    assert set(asyncio.run(_keys(virtual))) == set(on_disk)
    rng = np.random.default_rng(3)
    for key, data in on_disk.items():
        assert virtual.get_sync(key).to_bytes() == data
        low, high = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        part = virtual.get_sync(key, byte_range=RangeByteRequest(low, high)).to_bytes()
        assert part == data[low:high]
    xr.testing.assert_equal(xr.open_zarr(virtual).compute(), plain)


async def _keys(store):
    return [key async for key in store.list()]


@pytest.fixture
def drawn(monkeypatch):
    """The scenario and the range of each draw of a sampler."""
    noted = []
    part = VariedSampler._part

    def noting(self, scenario, start, stop, *others):
        noted.append((tuple(scenario.position.values()), start, stop))
        return part(self, scenario, start, stop, *others)

    whole = VariedSampler._in_one_pass

    def noting_all(self, recursions, start, stop):
        noted.extend((tuple(s.position.values()), start, stop) for s in self.scenarios)
        return whole(self, recursions, start, stop)

    monkeypatch.setattr(VariedSampler, "_part", noting)
    monkeypatch.setattr(VariedSampler, "_in_one_pass", noting_all)
    return noted


def test_a_virtual_store_draws_the_scenarios_alone_that_are_read(drawn):
    ds = grid()
    store = mz.VirtualStore(ds)
    array = zarr.open_array(store, path="x", mode="r")
    for i in (1, 0):
        drawn.clear()
        found = array[i]
        assert {scenario for scenario, *_ in drawn} == {(i,)}
        assert sum(stop - start for _, start, stop in drawn) == 4700
        np.testing.assert_array_equal(found, ds.x.isel(sigma=i))
    assert store._chunks._draws.bytes == 0  # nothing waits any more
    drawn.clear()
    np.testing.assert_array_equal(array[:], ds.x)
    # Both reads of all scenarios draw them together.
    assert sum(stop - start for _, start, stop in drawn) == 2 * 3 * 4700


def test_what_a_virtual_store_holds_of_a_wide_grid_is_drawn_by_scenario(drawn):
    varied = {"mu": xr.DataArray(np.linspace(0, 1, 5200).reshape(2, -1), dims=("case", "path"))}
    ds = grid(2600, vary=GRID | varied | {"x0": mz.Uniform(90.0, 110.0)})
    wanted = ds.compute()
    for storage in STORAGES[0], mz.Storage(inner_chunk=1024):
        store = mz.VirtualStore(ds, storage=storage)
        for place in ((2, 1), (0, 1), (slice(None), 1), (2, slice(None)), (slice(1, 3), 0)):
            drawn.clear()
            found = zarr.open_array(store, path="x", mode="r")[place]
            np.testing.assert_array_equal(found, wanted.x.values[place])
            read = {scenario for scenario, *_ in drawn}
            assert read == {tuple(i) for i in np.argwhere(_chosen((3, 2), place))}
        drawn.clear()
        for name in ("mu", "x0"):
            found = zarr.open_array(store, path=name, mode="r")[:]
            np.testing.assert_array_equal(found, wanted[name])
        assert drawn == []  # the parameters of paths are known without the paths


def _chosen(shape, place):
    mask = np.zeros(shape, bool)
    mask[place] = True
    return mask


@st.composite
def stored_grids(draw, kinds):
    """Draw a run of a random schema on a grid of initial states, a storage, and paths per chunk."""
    case = draw(cases(kinds), "case")
    dims = draw(st.sampled_from([("s",), ("s", "u")]), "scenarios")
    sizes = [draw(st.integers(1, 2), "size") for _ in dims]
    starts = np.arange(1.0, 1.0 + np.prod(sizes)).reshape(sizes)
    # What counts has whole numbers as states.
    starts = xr.DataArray(starts if case.kind == "counter" else starts / 16, dims=dims)
    storage = mz.Storage(
        compression=draw(st.sampled_from([None, "zstd", "gzip"]), "compression"),
        inner_chunk=draw(st.sampled_from([None, 1024]), "inner"),
        scenario_chunk=draw(st.sampled_from(["each", "each", "all"]), "scenario chunk"),
    )
    return case, starts, storage, draw(st.sampled_from([1024, 2048]), "chunk")


@settings(max_examples=4, deadline=None)
@given(run=stored_grids(("block", "counter")))
def test_stores_of_random_schemas_and_grids_are_those_of_the_run(tmp_path_factory, run):
    check_stored(tmp_path_factory, run)


def check_stored(tmp_path_factory, run):
    """Check that a store holds its run, and is told again from its files."""
    case, starts, storage, chunk = run
    ds = case.simulate(1100, vary={"x0": starts}, chunks=chunk)
    path = tmp_path_factory.mktemp("random") / "a.zarr"
    stored = mz.write(ds, path, storage=storage)
    for name, variable in ds.compute().data_vars.items():
        assert stored[name].dims == variable.dims
        np.testing.assert_array_equal(stored[name].values, variable.values)
    assert mz.verify(path, 1).ok
    before = files(path)
    for name in ("journal", "manifest.json"):
        (path / "montezarr" / name).unlink()
    mz.repair(path, ds=ds)
    assert files(path) == before


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(run=stored_grids(("path", "method")))
def test_stores_of_random_schemas_and_grids_drawn_path_by_path(tmp_path_factory, run):
    check_stored(tmp_path_factory, run)


# --- a store that grows, is killed, merged and rebuilt -----------------------------------------

DRIVER = """
import os, sys
path, fault = sys.argv[1:3]
if fault != "none":
    os.environ["MONTEZARR_FAULT"] = f"{fault}={os.getpid()}"
import montezarr as mz
if __name__ == "__main__":
    mz.extend(path, 4700)
"""


@pytest.mark.parametrize("storage", STORAGES)
def test_growth_in_steps_merged_ranges_and_a_lost_log_end_with_the_same_bytes(tmp_path, storage):
    options = {"storage": storage, "statistics": ["mean"]}
    mz.write(grid(), tmp_path / "fresh", **options)
    fresh = files(tmp_path / "fresh")
    mz.write(grid(1000), tmp_path / "grown", **options)
    mz.extend(tmp_path / "grown", 3000)
    with pytest.raises(ZeroDivisionError):
        mz.extend(tmp_path / "grown", 4700, on_progress=lambda n, *_: 1 / 0 if n > 4096 else 0)
    mz.extend(tmp_path / "grown", 4700)
    assert files(tmp_path / "grown") == fresh
    for part in (range(0, 2048), range(2048, 4700)):
        mz.write(grid(), tmp_path / str(part.start), paths=part, **options)
    mz.merge([tmp_path / "0", tmp_path / "2048"], tmp_path / "merged")
    assert files(tmp_path / "merged") == fresh
    for name in ("journal", "manifest.json"):
        (tmp_path / "grown/montezarr" / name).unlink()
    mz.repair(tmp_path / "grown", statistics=["mean"])
    assert mz.verify(tmp_path / "grown", 3).ok
    assert files(tmp_path / "grown")["x/c/0/1/0"] == fresh["x/c/0/1/0"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["chunk.after_rename@1", "commit.torn@2", "publish.arrays@*"])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, fault):
    mz.write(grid(), tmp_path / "fresh")
    mz.write(grid(1500), tmp_path / "grown")
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)

    def run(fault):
        command = [sys.executable, str(driver), str(tmp_path / "grown"), fault]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)

    killed = run(fault)
    assert killed.returncode == -9, killed.stderr
    shown = mz.open(tmp_path / "grown").x
    np.testing.assert_array_equal(shown, grid().x.isel(path=slice(shown.sizes["path"])))
    done = run("none")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "grown") == files(tmp_path / "fresh")


@pytest.mark.parametrize(
    "storage",
    [*STORAGES, TOGETHER, mz.Storage(scenario_chunk="all", inner_chunk=1024)],
)
@pytest.mark.parametrize("count", [1, 3])
def test_the_storage_is_told_from_the_files_alone(tmp_path, storage, count):
    ds = grid(3000, chunks=2048 if count > 1 else 1024, vary={"sigma": GRID["sigma"][:count]})
    mz.write(ds, tmp_path / "a.zarr", storage=storage)
    before = files(tmp_path / "a.zarr")
    for name in ("journal", "manifest.json"):
        (tmp_path / "a.zarr/montezarr" / name).unlink()
    mz.repair(tmp_path / "a.zarr")
    assert files(tmp_path / "a.zarr") == before


# --- choices -----------------------------------------------------------------------------------


def test_scenarios_together_are_one_chunk_and_another_store(tmp_path):
    whole = mz.Storage(scenario_chunk="all")
    mz.write(grid(), tmp_path / "a.zarr", storage=whole)
    array = zarr.open_array(tmp_path / "a.zarr/x", mode="r")
    assert (array.shards, array.chunks) == (None, (3, 2048, 4))
    with pytest.raises(mz.StoreMismatchError, match="scenario_chunk"):
        mz.write(grid(), tmp_path / "a.zarr")
    mz.write(grid(), tmp_path / "b.zarr")
    array = zarr.open_array(tmp_path / "b.zarr/x", mode="r")
    assert (array.shards, array.chunks) == ((3, 2048, 4), (1, 2048, 4))
    with pytest.raises(mz.ArgumentValueError, match=r"^scenario_chunk: expected"):
        mz.Storage(scenario_chunk="some")
    assert "scenario_chunk" not in mz.Storage().to_dict()
    assert mz.Storage.from_dict(whole.to_dict()) == whole


def test_the_choice_says_nothing_of_a_run_without_scenarios(tmp_path):
    ds = grid(vary={"x0": np.linspace(90, 110, 4700)})
    mz.write(ds, tmp_path / "a.zarr")
    mz.write(ds, tmp_path / "b.zarr", storage=mz.Storage(scenario_chunk="all"))
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert json.loads((tmp_path / "a.zarr/montezarr/manifest.json").read_text())["format"] < 4


def test_a_manifest_with_scenarios_that_are_none_is_refused(tmp_path):
    mz.write(grid(), tmp_path / "a.zarr")
    (tmp_path / "a.zarr/montezarr/journal").unlink()
    file = tmp_path / "a.zarr/montezarr/manifest.json"
    manifest = json.loads(file.read_text())
    assert manifest["format"] == 4
    for wrong in (["path"], ["nothing"], 3):
        manifest["arrays"][0]["scenarios"] = wrong
        file.write_text(json.dumps(manifest))
        with pytest.raises(mz.StoreError, match="manifest"):
            mz.extend(tmp_path / "a.zarr", 6000)


@pytest.mark.filterwarnings("ignore::montezarr.MaskedPathsWarning")
def test_masked_paths_and_integers_of_scenarios_come_back(tmp_path):
    def failing(rng, T, rate=3.0):
        counts = rng.poisson(rate, T + 1)
        if counts[0] > 8:
            raise RuntimeError("too many")
        return counts

    rates = {"rate": xr.DataArray([2.0, 4.0], dims="rate", coords={"rate": [2.0, 4.0]})}
    ds = mz.simulate(failing, 1030, 2, seed=1, vary=rates, on_error="mask", chunks=1024)
    with mz.backend("synchronous"):
        stored = mz.write(ds, tmp_path / "a.zarr", storage=mz.Storage(compression="zstd"))
        expected = ds.compute()
    assert (expected.x == expected.x.attrs["masked_value"]).any()
    xr.testing.assert_equal(stored.compute(), expected)
    assert stored.x.attrs == expected.x.attrs


def test_exports_have_the_scenarios(tmp_path):
    ds = grid(1500, chunks=1024)
    mz.write(ds, tmp_path / "a.zarr")
    export(tmp_path / "a.zarr", tmp_path / "a.nc", start=100)
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as there:
        np.testing.assert_array_equal(there.x, ds.x.isel(path=slice(100, None)))
        assert there.x.dims == ("sigma", "path", "time")
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    export(tmp_path / "a.zarr", tmp_path / "a.parquet", stop=50)
    table = pandas.read_parquet(tmp_path / "a.parquet").set_index(["sigma", "path", "time"]).x
    expected = ds.x.isel(path=slice(50)).compute()
    for sigma, path, k in ((0.1, 3, 1), (0.35, 49, 3)):
        at = {"sigma": sigma, "time": expected.time[k].item()}
        assert table[sigma, path, at["time"]] == expected.sel(at).isel(path=path)


# --- memory ------------------------------------------------------------------------------------


def test_a_chunk_is_encoded_without_a_copy_of_the_whole():
    array = StoredArray(
        name="x", dims=("s", "path", "time"), shape=(64, 8), dtype="float64", fill=0.0,
        attributes={}, scenarios=("s",),
    )  # fmt: skip
    values = np.random.default_rng(1).random((64, 8, 4096))
    room = {None: 0.05, "float32": 0.6, "zstd": 1.15}
    for choice, share in room.items():
        single = array if choice != "float32" else _in_single(array)
        storage = mz.Storage(compression="zstd", level=1) if choice == "zstd" else mz.Storage()
        encode_chunk(single, 4096, storage, values[:, :, :4096])  # what is imported once
        tracemalloc.start()
        pieces, size, _ = encode_chunk(single, 4096, storage, values)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < share * values.nbytes
        data = b"".join(map(memoryview, pieces))
        assert len(data) == size
        there = decode(single, 4096, storage, data)
        np.testing.assert_array_equal(there, values.astype(single.dtype))


def _in_single(array):
    return StoredArray(
        name="x", dims=array.dims, shape=array.shape, dtype="float32", fill=0.0, attributes={},
        scenarios=array.scenarios,
    )  # fmt: skip


def test_a_grid_that_does_not_fit_says_what_a_scenario_takes_and_all(monkeypatch):
    monkeypatch.setattr(chunk_policy, "memory_limit", lambda: 2**25)
    many = {"sigma": xr.DataArray(np.linspace(0.1, 0.5, 1000), dims="sigma")}
    message = (
        r"1,024 paths of 1,000 scenarios \(424.0 KiB each\) = 414.1 MiB, 3 times at once, with 32"
    )
    with pytest.raises(mz.MemoryBudgetError, match=message):
        grid(10**5, T=52, chunks=1, vary=many)
    grid(10**5, T=52, chunks=1, vary={"sigma": many["sigma"][:10]})
