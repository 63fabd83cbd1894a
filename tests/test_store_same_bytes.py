"""The same bytes at the end of every way to a store: compression, names, chunks, repairs."""

import gzip
import io
import time

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import files, gbm_paths
from zarr.storage import LocalStore

import montezarr as mz

# Compression.

SHARDS = [None, 1024]


@pytest.mark.parametrize("inner", SHARDS, ids=["chunks", "shards"])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "blosc"])
def test_compressed_chunks_know_no_time_of_day(tmp_path, monkeypatch, compression, inner):
    storage = mz.Storage(compression=compression, inner_chunk=inner)
    ds = gbm_paths(n_paths=4000, chunks=2048)
    mz.write(ds, tmp_path / "a", storage=storage)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100_000.0)
    mz.write(ds, tmp_path / "b", storage=storage)
    monkeypatch.undo()
    assert files(tmp_path / "a") == files(tmp_path / "b")
    virtual = mz.VirtualStore(ds, storage=storage)
    for chunk in range(2):
        key = f"x/c/{chunk}/0"
        assert virtual.get_sync(key).to_bytes() == (tmp_path / "a" / key).read_bytes()
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "a").x, ds.x)
    assert mz.verify(tmp_path / "a", 3).ok


@pytest.mark.parametrize("level", [1, 5, 9])
def test_but_for_the_time_gzip_is_as_zarr_makes_it(tmp_path, level):
    ds = gbm_paths(n_paths=1024, chunks=1024)
    mz.write(ds, tmp_path / "a", storage=mz.Storage(compression="gzip", level=level))
    mine = (tmp_path / "a/x/c/0/0").read_bytes()
    zarr.open_array(tmp_path / "a/x", mode="r+")[...] = ds.x.values
    theirs = (tmp_path / "a/x/c/0/0").read_bytes()
    assert (mine[:4], mine[8:-4]) == (theirs[:4], theirs[8:-4])
    assert mine[4:8] == bytes(4)
    assert gzip.GzipFile(fileobj=io.BytesIO(mine[:-4])).read() == ds.x.values.T.tobytes()


def test_chunks_of_gzip_with_a_time_of_day_are_as_good_as_ever(tmp_path):
    storage = mz.Storage(compression="gzip")
    ds = gbm_paths(n_paths=1024, chunks=1024)
    mz.write(ds, tmp_path / "a", storage=storage)
    with LocalStore(tmp_path / "a") as store:
        zarr.open_array(store, path="x", mode="r+")[...] = ds.x.values
    data = (tmp_path / "a/x/c/0/0").read_bytes()
    assert data[4:8] != bytes(4)
    (tmp_path / "a/montezarr/journal").unlink()
    (tmp_path / "a/montezarr/manifest.json").unlink()
    mz.repair(tmp_path / "a")  # which takes up what is whole
    assert mz.verify(tmp_path / "a", 3).ok
    assert (tmp_path / "a/x/c/0/0").read_bytes() == data


# Names.

NAMES = [
    ("x", "X"),
    ("x", "x."),
    ("k", "\u212a"),  # the sign of Kelvin
    ("stra\u00dfe", "STRASSE"),
    ("x", "Time"),
    ("x", "Statistics"),
    ("x", "MonteZarr"),
    ("x", "zarr.JSON"),
]


@pytest.mark.parametrize(("first", "second"), NAMES)
def test_names_that_are_one_to_some_file_system_are_refused(tmp_path, first, second):
    ds = gbm_paths().rename(x=first)
    ds[second] = ds[first] + 1
    with pytest.raises(mz.errors.ArgumentValueError, match=r"more than case.*rename it"):
        mz.write(ds, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    mz.write(ds, tmp_path / "a", variables=[first])  # the other one is in no file


def test_results_of_statistics_are_refused_likewise(tmp_path):
    ds = gbm_paths()
    ds["X"] = ds.x + 1
    with pytest.raises(mz.errors.ArgumentValueError, match="x_mean"):
        mz.write(ds, tmp_path / "a", variables=["x"], statistics="mean")
    mz.write(ds, tmp_path / "a", variables=["x"], statistics={"X": "mean"})


def test_what_has_such_names_already_goes_on(tmp_path, monkeypatch):
    ds = gbm_paths(n_paths=2000)
    ds["X"] = ds.x + 1
    with monkeypatch.context() as patch:
        patch.setattr("montezarr.store._source.check_distinct", lambda *_: None)
        mz.write(ds, tmp_path / "a")
    mz.write(ds, tmp_path / "a")
    (tmp_path / "a/X/c/0/0").unlink()
    mz.repair(tmp_path / "a", ds=ds)
    xr.testing.assert_equal(mz.open(tmp_path / "a").compute(), ds.compute())
    with pytest.raises(mz.errors.ArgumentValueError, match="stores: expected names"):
        mz.merge([tmp_path / "a"], tmp_path / "b")


@pytest.mark.parametrize("name", ["C", "c1", "Path_", "x_X"])
def test_other_names_are_names(tmp_path, name):
    ds = gbm_paths(n_paths=1000).rename(x=name)
    assert list(mz.write(ds, tmp_path / "a").data_vars) == [name]
