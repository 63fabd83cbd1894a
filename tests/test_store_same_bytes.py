"""The same bytes at the end of every way to a store: compression, names, chunks, repairs."""

import contextlib
import gzip
import io
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import files, gbm_paths
from zarr.storage import LocalStore

import montezarr as mz
from montezarr.store import _faults
from montezarr.store._digest import file_digest
from montezarr.store._where import location_of
from montezarr.store.format import CommitState, _commit_log

# Compression.

SHARDS = [None, 1024]


@pytest.mark.parametrize("inner", SHARDS, ids=["chunks", "shards"])
@pytest.mark.parametrize("compression", ["zstd", "gzip", "blosc"])
def test_compressed_chunks_know_no_time_of_day(tmp_path, monkeypatch, compression, inner):
    storage = mz.Storage(compression=compression, inner_chunk=inner)
    ds = gbm_paths(n_paths=4000, chunks=2048)
    for name, now in (("a", 1.7e9), ("b", 1.8e9)):
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda now=now: now)
            mz.write(ds, tmp_path / name, storage=storage)
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
    with pytest.raises(mz.ArgumentValueError, match=r"more than case.*rename it"):
        mz.write(ds, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    mz.write(ds, tmp_path / "a", variables=[first])  # the other one is in no file


def test_results_of_statistics_are_refused_likewise(tmp_path):
    ds = gbm_paths()
    ds["X"] = ds.x + 1
    with pytest.raises(mz.ArgumentValueError, match="x_mean"):
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
    with pytest.raises(mz.ArgumentValueError, match="stores: expected names"):
        mz.merge([tmp_path / "a"], tmp_path / "b")


@pytest.mark.parametrize("name", ["C", "c1", "Path_", "x_X"])
def test_other_names_are_names(tmp_path, name):
    ds = gbm_paths(n_paths=1000).rename(x=name)
    assert list(mz.write(ds, tmp_path / "a").data_vars) == [name]


# Repairs that are killed.


def lose_a_chunk(path):
    (path / "x/c/1/0").unlink()


def damage_two_chunks(path):
    for number in (0, 2):
        file = path / f"x/c/{number}/0"
        file.write_bytes(bytes(8) + file.read_bytes()[8:])


def lose_results(path):
    (path / "statistics/x_mean/zarr.json").unlink()


def damage_states(path):
    (merged,) = (path / "montezarr/states").glob("merged-*")
    merged.write_bytes(merged.read_bytes()[:-1])
    lose_a_chunk(path)


def lose_the_journal(path):
    (path / "montezarr/journal").unlink()


LOSSES = [lose_a_chunk, damage_two_chunks, lose_results, damage_states, lose_the_journal]


def snapshots_of(monkeypatch, path, folder, act):
    """Return copies of a store as each step of `act` leaves it to one who is killed there."""

    def reach(name, number=0):
        copy = folder / f"{len(copies):02} {name}@{number}"
        copies.append(shutil.copytree(path, copy))

    copies = []
    with monkeypatch.context() as patch, mz.backend("synchronous"):
        patch.setattr(_faults, "reach", reach)
        act()
    return copies


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a"
    mz.write(gbm_paths(n_paths=2500, T=3), path, statistics="mean")
    return path


@pytest.mark.parametrize(
    ("loss", "is_long"),
    [(damage_states, False)]
    + [pytest.param(loss, True, marks=pytest.mark.slow) for loss in LOSSES],
)
def test_wherever_a_repair_is_killed_all_ways_on_end_with_the_same_bytes(
    whole, tmp_path, monkeypatch, loss, is_long
):
    path = shutil.copytree(whole, tmp_path / "a")
    wanted = files(path)
    loss(path)
    copies = snapshots_of(monkeypatch, path, tmp_path, lambda: mz.repair(path))
    assert files(path) == wanted
    assert copies[-1].name.endswith("finish.after@0")
    for copy in first_of_each(copies, " " if is_long else "@"):
        again = shutil.copytree(copy, tmp_path / "again")
        assert mz.repair(again).ok, copy.name
        assert files(again) == wanted, copy.name
        shutil.rmtree(again)
        with contextlib.suppress(mz.StoreError):  # which says that it is to be repaired
            mz.write(gbm_paths(n_paths=2500, T=3), copy, statistics="mean")
        if "commit" not in copy.name and "finish" not in copy.name:
            mz.repair(copy)  # what was not drawn again yet may be damaged, as write does not see
        assert files(copy) == wanted, copy.name


def first_of_each(copies, until):
    """Return the first copy of each step, up to a sign in their names."""
    kinds = {copy.name.split()[1].partition(until)[0]: copy for copy in reversed(copies)}
    return kinds.values()


def test_what_a_killed_repair_of_an_earlier_version_left_goes(whole, tmp_path):
    for name in ("write", "extend", "repair"):
        path = shutil.copytree(whole, tmp_path / name)
        ledger = CommitState.read(location_of(path))
        data = b"states of statistics"
        (path / "montezarr/states/1").write_bytes(data)
        record = replace(ledger.chunks[1], state=file_digest([data]))
        with (path / "montezarr/journal").open("ab") as file:
            file.write(_commit_log.record_line(record.to_dict(1)))
        assert mz.verify(path).ok
        if name == "write":
            mz.write(gbm_paths(n_paths=2500, T=3), path, statistics="mean")
        elif name == "extend":
            mz.extend(path, 2500)
        else:
            mz.repair(path)
        assert files(path) == files(whole), name


def test_files_beyond_the_end_are_found_and_taken_away(whole, tmp_path):
    path = shutil.copytree(whole, tmp_path / "a")
    shutil.copytree(path / "x/c/2", path / "x/c/3")
    (path / "montezarr/states/7").write_bytes(b"")
    (path / "x/c/notes").write_text("mine")
    assert mz.verify(path, 0).ok
    assert {(p.kind, p.key) for p in mz.verify(path).problems} == {
        ("stray", "x/c/3/0"),
        ("stray", "montezarr/states/7"),
    }
    assert mz.repair(path).ok
    assert (path / "x/c/notes").read_text() == "mine"
    (path / "x/c/notes").unlink()
    assert files(path) == files(whole)


# Chunks that were asked for.


@pytest.mark.parametrize(("n", "chunks"), [(1000, 4096), (1500, 3000), (2048, 4096), (4096, 4096)])
@pytest.mark.parametrize("how", ["simulated", "unpickled", "derived"])
def test_a_store_of_fewer_paths_has_the_chunks_that_were_asked_for(tmp_path, n, chunks, how):
    def dataset(n):
        ds = gbm_paths(n_paths=n, T=3, chunks=chunks)
        if how == "unpickled":
            ds = pickle.loads(pickle.dumps(ds))
        return ds if how != "derived" else ds.assign(y=ds.x * 2.0)

    options = {"storage": mz.Storage(inner_chunk=1024), "statistics": "mean"}
    mz.write(dataset(n), tmp_path / "a", **options)
    xr.testing.assert_equal(mz.open(tmp_path / "a").compute(), dataset(n).compute())
    mz.extend(tmp_path / "a", 9000, ds=dataset(n))
    mz.write(dataset(9000), tmp_path / "fresh", **options)
    assert files(tmp_path / "a") == files(tmp_path / "fresh")
    virtual = mz.VirtualStore(dataset(n), storage=options["storage"])
    assert virtual.chunk == -(-chunks // 1024) * 1024


def test_runs_that_ask_for_other_chunks_are_not_taken_for_one_another(tmp_path):
    small, large = (gbm_paths(n_paths=1000, T=3, chunks=chunks) for chunks in (2048, 4096))
    assert small.x.data.name != large.x.data.name
    for ds, chunk in ((small, 2048), (large, 4096)):
        mz.write(ds, tmp_path / f"{chunk}")
        assert mz.VirtualStore(ds).chunk == chunk
        assert zarr.open_array(tmp_path / f"{chunk}/x").chunks == (chunk, 4)
        assert mz.plan(ds).store_bytes == (tmp_path / f"{chunk}/x/c/0/0").stat().st_size
    assert mz.plan(large).chunk_paths == 1024  # which are drawn


def test_a_store_that_has_smaller_chunks_goes_on_in_them(tmp_path):
    mz.write(gbm_paths(n_paths=1000, T=3, chunks=1024), tmp_path / "a")
    before = files(tmp_path / "a")
    mz.write(gbm_paths(n_paths=1000, T=3, chunks=4096), tmp_path / "a")
    assert files(tmp_path / "a") == before


def test_chunks_that_no_memory_can_fill_are_refused_by_a_store_alone(tmp_path):
    ds = gbm_paths(n_paths=1000, T=3, chunks=10**12)
    assert mz.plan(ds).worker_bytes < 10**6
    assert mz.reduce(ds, "count").x_count[0] == 1000
    with pytest.raises(mz.MemoryBudgetError, match=r"chunks: .*smaller chunks"):
        mz.write(ds, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_the_task_of_a_variable_is_called_as_by_earlier_versions():
    """Its arguments go into the digest of an expression, by which a store is extended."""
    heston = mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9)
    ds = mz.simulate(heston, n_paths=2048, T=3, x0={"s": 100.0, "v": 0.04}, seed=1, chunks=1024)
    layer = ds.s.data.dask.layers[ds.s.data.name]
    assert layer.task.func.__name__ == "own_variable"
    assert [part for part, axes in layer.indices if axes is None] == ["s"]
    assert not layer.task.kwargs
