"""Stores of paths with initial states of their own: what was an array in memory lies in them."""

import json
import shutil

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from stores import CHAIN, GBM, HESTON, files

import montezarr as mz
from montezarr.core import parameters
from montezarr.core.parameters import _known
from montezarr.run import Run, _stored_states, _tasks_alive
from montezarr.store import _source
from montezarr.store.format import CommitState
from montezarr.store.locations import LocalLocation

N = 2500


@pytest.fixture(autouse=True)
def _here():
    """Start no processes for the few paths of a function."""
    with mz.backend("threads", n_jobs=2):
        yield


@pytest.fixture
def elsewhere(monkeypatch):
    """As if another process did what follows: no run is alive, and no array known."""

    def forget():
        for module, name in (
            (_known, "_alive"), (_known, "_places"), (_tasks_alive, "_by_name"),
            (_tasks_alive, "_by_recipe"), (_stored_states, "_loads"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, type(getattr(module, name))())

    return forget


def shifted(rng, x0, T):
    return {"a": x0["a"] + rng.random(T + 1), "b": x0["b"] * rng.random(T + 1)}


def spread(low, high, dtype="float64"):
    return np.linspace(low, high, N).astype(dtype)


def of(process, x0, **options):
    return mz.simulate(process, N, T=3, x0=x0, seed=1, chunks=1024, **options)


KINDS = {
    "numbers": lambda: of(GBM, spread(50, 150)),
    "float32": lambda: of(GBM, spread(50, 150, "float32")),
    "big-endian": lambda: of(GBM, spread(50, 150, ">f8")),
    "integers": lambda: of(mz.RandomWalk(), spread(0, 100, "int16")),
    "list": lambda: of(GBM, spread(50, 150).tolist()),
    "labels": lambda: of(CHAIN, np.resize(["calm", "storm"], N)),
    "of two variables": lambda: of(HESTON, np.stack([spread(50, 150), spread(0.01, 0.1)])),
    "of one of two": lambda: of(HESTON, {"s": spread(50, 150), "v": 0.04}),
    "with a number of NumPy": lambda: of(HESTON, {"s": spread(50, 150), "v": np.float32(0.04)}),
    "of a function": lambda: of(shifted, {"a": spread(0, 1), "b": 2.5}),
    "in xarray": lambda: of(GBM, xr.DataArray(spread(50, 150), dims="path")),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_store_is_extended_verified_and_repaired_by_itself(make, tmp_path, elsewhere):
    whole, part = tmp_path / "whole.zarr", tmp_path / "part.zarr"
    mz.write(make(), whole)
    mz.write(make(), part, paths=range(1024))
    elsewhere()
    process = {"process": shifted} if make is KINDS["of a function"] else {}
    assert mz.verify(part, 3, **process).ok
    mz.extend(part, N, **process)
    assert files(part) == files(whole)
    chunk = next(whole.glob("*/c/1/0"))
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    assert not mz.verify(whole, 3, **process).ok
    mz.repair(whole, **process)
    assert files(part) == files(whole)
    with pytest.raises(
        mz.ArgumentValueError, match=rf"at most {N:,}, for which this run has its x0"
    ):
        mz.extend(whole, N + 1, **process)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_path_of_an_opened_store_is_drawn_again_from_its_initial_state(make, tmp_path, elsewhere):
    ds = make()
    wanted = [ds.isel(path=i).compute() for i in (0, 1500, N - 1)]
    mz.write(ds, tmp_path / "a.zarr", paths=range(1024, 2048))
    del ds
    elsewhere()
    process = {"process": shifted} if make is KINDS["of a function"] else {}
    stored = mz.open(tmp_path / "a.zarr")
    for obj in (stored, stored.isel(path=slice(3)), stored.load()):
        for i, path in zip((0, 1500, N - 1), wanted, strict=True):
            again = mz.replay(obj, i, **process)
            for name in path.data_vars:
                assert np.array_equal(again[name], path[name])
        run = Run.behind(obj, **process)
        assert run.n_paths == N
        assert run.given_inputs is not None
    with pytest.raises(mz.ArgumentValueError, match="path: expected an integer"):
        mz.replay(stored, N, **process)


def test_initial_states_of_a_store_that_is_gone_are_not_at_hand(tmp_path, elsewhere):
    mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr")
    elsewhere()
    ds = mz.open(tmp_path / "a.zarr").load()
    [file] = (tmp_path / "a.zarr/montezarr/parameters").iterdir()
    file.unlink()
    with pytest.raises(mz.StoreError, match="'x0'"):
        mz.replay(ds, 3)
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(mz.ReplayError, match="x0 is an array"):
        mz.replay(ds, 3)


def test_such_a_store_is_of_format_3_and_others_are_as_they_were(tmp_path):
    mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr")
    mz.write(of(GBM, 100.0), tmp_path / "b.zarr")
    formats = [json.loads(root.read_text()) for root in sorted(tmp_path.glob("*/zarr.json"))]
    assert [found["attributes"]["montezarr_store"]["format"] for found in formats] == [3, 2]
    [file] = (tmp_path / "a.zarr/montezarr/parameters").iterdir()
    assert np.array_equal(np.fromfile(file), spread(50, 150))
    assert not (tmp_path / "b.zarr/montezarr/parameters").exists()
    assert "x0" not in json.loads((tmp_path / "b.zarr/montezarr/manifest.json").read_text())


NOT_KEPT = {
    "lazy": lambda: of(GBM, da.from_array(spread(50, 150), chunks=1000)),
    "objects": lambda: of(mz.MarkovChain(transition=[[1.0, 0.0], [0.5, 0.5]], states=["a", 1]),
                          np.resize(np.array(["a", 1], object), N)),
    "a list beside an array": lambda: of(
        lambda rng, x0: rng.random(4) + x0["a"] + x0["b"][0], {"a": spread(0, 1), "b": [1.0]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_is_lazy_or_an_object_is_not_kept(make, tmp_path, elsewhere):
    ds = make()
    mz.write(ds, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr/montezarr/parameters").exists()
    assert mz.verify(tmp_path / "a.zarr", 3, ds=ds).ok
    elsewhere()
    with pytest.raises(mz.ReplayError):
        mz.verify(tmp_path / "a.zarr", 3)


def test_what_is_larger_than_parameters_may_be_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "LARGE_PARAMETERS_MAX_BYTES", 8 * N - 1)
    mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr/montezarr/parameters").exists()


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """A store of the first paths as an earlier version wrote it: with the digest alone."""
    with monkeypatch.context() as patched:
        patched.setattr(_source, "referred", lambda *_: (None, {}))
        mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr", paths=range(1024))
    return tmp_path / "a.zarr"


def test_a_store_of_an_earlier_version_goes_on_as_it_was(earlier, tmp_path, elsewhere):
    elsewhere()
    assert mz.open(earlier).sizes["path"] == 1024
    for call in (lambda: mz.verify(earlier, 3), lambda: mz.extend(earlier, N)):
        with pytest.raises(mz.ReplayError, match="x0 is an array"):
            call()
    ds = of(GBM, spread(50, 150))
    assert mz.verify(earlier, 3, ds=ds).ok
    mz.extend(earlier, N, ds=ds)
    assert json.loads((earlier / "montezarr/manifest.json").read_text())["format"] == 2
    assert mz.open(earlier).equals(ds.compute())
    (earlier / "montezarr/journal").unlink()
    (earlier / "montezarr/manifest.json").unlink()
    mz.repair(earlier, ds=ds)
    assert mz.verify(earlier, 3, ds=ds).ok
    assert mz.write(ds, earlier).equals(ds.compute())


@pytest.mark.parametrize("damage", ["lost", "damaged"])
def test_initial_states_that_are_lost_are_told_of_and_mended(damage, tmp_path, elsewhere):
    mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr")
    before = files(tmp_path / "a.zarr")
    [file] = (tmp_path / "a.zarr/montezarr/parameters").iterdir()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(bytes(8 * N))
    elsewhere()
    found = mz.verify(tmp_path / "a.zarr", 1)
    assert [problem.key for problem in found.problems] == [f"montezarr/parameters/{file.name}"]
    with pytest.raises(mz.StoreError, match="'x0'"):
        mz.extend(tmp_path / "a.zarr", N)
    assert mz.open(tmp_path / "a.zarr").sizes["path"] == N
    mz.repair(tmp_path / "a.zarr", ds=of(GBM, spread(50, 150)))
    assert files(tmp_path / "a.zarr") == before


def test_stores_of_parts_are_merged_with_their_initial_states(tmp_path, elsewhere):
    ds = of(GBM, spread(50, 150))
    mz.write(ds, tmp_path / "whole.zarr")
    parts = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    mz.write(ds, parts[0], paths=range(1024))
    mz.write(ds, parts[1], paths=range(1024, N))
    elsewhere()
    mz.merge(parts, tmp_path / "merged.zarr")
    shutil.rmtree(parts[0])
    assert files(tmp_path / "merged.zarr") == files(tmp_path / "whole.zarr")
    assert mz.verify(tmp_path / "merged.zarr", 3).ok


def test_a_form_of_initial_states_is_made_of_them_and_they_of_it():
    x0 = {"s": spread(50, 150), "v": 0.04}
    form, held = parameters.referred(x0, 2**20)
    again = parameters.restore_initial_states(json.loads(json.dumps(form)))
    assert list(again) == ["s", "v"]
    assert np.array_equal(again["s"], x0["s"])
    assert again["v"] == 0.04
    assert [array.nbytes for array in held.values()] == [8 * N]


REFERENCE = {"name": "x0", "dtype": "<f8", "shape": [N], "sha256": "0" * 64}
HOSTILE = {
    "no mapping": 3,
    "nothing": {},
    "no array": {"fields": {"a": {"value": 1}}},
    "both": {"array": REFERENCE, "fields": {}},
    "objects": {"array": REFERENCE | {"dtype": "|O"}},
    "no dtype": {"array": REFERENCE | {"dtype": 3}},
    "a long label": {"array": REFERENCE | {"dtype": "<U99999"}},
    "no length": {"array": REFERENCE | {"shape": [-1]}},
    "two dimensions": {"array": REFERENCE | {"shape": [2, N]}},
    "a path as digest": {"array": REFERENCE | {"sha256": "../" * 22}},
    "more than may be": {"array": REFERENCE | {"shape": [2**40]}},
    "of another name": {"fields": {"a": {"array": REFERENCE}}},
    "a list": {"fields": {"a": {"value": [1]}, "x0": {"array": REFERENCE}}},
    "a list of fields": {"fields": [1]},
    "a key too few": {"array": {"name": "x0"}},
}


@pytest.mark.parametrize("form", HOSTILE.values(), ids=HOSTILE)
def test_a_form_that_montezarr_did_not_write_is_refused(form, tmp_path):
    mz.write(of(GBM, spread(50, 150)), tmp_path / "a.zarr")
    place = LocalLocation(tmp_path / "a.zarr")
    manifest = CommitState.read(place).manifest
    with pytest.raises(mz.StoreError, match="expected the manifest"):
        type(manifest).from_dict({**manifest.to_dict(), "x0": form}, "a")


def test_a_store_without_manifest_and_journal_is_made_whole_again(tmp_path, elsewhere):
    mz.write(of(HESTON, {"s": spread(50, 150), "v": 0.04}), tmp_path / "a.zarr")
    before = files(tmp_path / "a.zarr")
    for name in ("manifest.json", "journal"):
        (tmp_path / "a.zarr/montezarr" / name).unlink()
    elsewhere()
    with pytest.raises(mz.ReplayError, match="x0 is an array"):
        mz.repair(tmp_path / "a.zarr")
    mz.repair(tmp_path / "a.zarr", ds=of(HESTON, {"s": spread(50, 150), "v": 0.04}))
    assert files(tmp_path / "a.zarr") == before


def test_a_virtual_store_has_the_bytes_of_the_one_on_a_disk(tmp_path):
    ds = of(HESTON, {"s": spread(50, 150), "v": 0.04})
    mz.write(ds, tmp_path / "a.zarr")
    store = mz.VirtualStore(ds)
    for key in files(tmp_path / "a.zarr"):
        if not key.startswith("montezarr/journal"):
            data = (tmp_path / "a.zarr" / key).read_bytes()
            assert store.get_sync(key).to_bytes() == data, key
