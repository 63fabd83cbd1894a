"""A store of events gets more room for them: what is committed stays, nothing is drawn again."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

import montezarr as mz
from montezarr.store._where import location_of
from montezarr.store.format import CommitState
from montezarr.store.locations import _remote_lock

CHUNK, N = 1024, 5 * 1024 + 100
DIMS = {"t": ("arrival",), "mark": ("arrival",), "place": ("departure", "leg")}
ROOM = {"arrival": 10, "departure": 40}
MORE = {"arrival": 34, "departure": 40}


def queue(rng):
    """Few arrivals on the first paths, and more on the later ones, by the first number drawn."""
    n, m = rng.poisson(3.0), rng.poisson(6.0)
    return {
        "t": np.sort(rng.random(n)), "mark": rng.integers(0, 9, n).astype(np.int16),
        "place": rng.random((m, 2)), "size": float(n),
    }  # fmt: skip


def paths(n=N, rooms=MORE):
    return mz.simulate(queue, n, seed=5, dims=DIMS, max_events=rooms, chunks=CHUNK)


@pytest.fixture(autouse=True)
def in_this_process():
    with mz.backend("threads", 1):
        yield


@pytest.fixture(scope="module")
def right():
    return paths().compute(scheduler="synchronous")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A store in whose second or later chunk a path has no room; and the number of that path."""
    place = tmp_path_factory.mktemp("begun") / "s.zarr"
    with mz.backend("threads", 1), pytest.raises(mz.SamplerError) as caught:
        mz.write(paths(rooms=ROOM), place)
    assert "path" in str(caught.value)
    return place, caught.value


@pytest.fixture
def store(begun, tmp_path):
    shutil.copytree(begun[0], tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def chunks_in(store):
    return {
        f: (f.read_bytes(), f.stat().st_mtime_ns) for f in store.glob("*/c/**/*") if f.is_file()
    }


def check(store, right):
    """Check that a store has the paths, for all readers, and is found intact."""
    found = mz.open(store)
    xr.testing.assert_equal(found.compute(), right)
    xr.testing.assert_equal(xr.open_zarr(store, consolidated=False).compute(), right)
    assert found.t.chunks[1] == (right.sizes["arrival"],)
    assert not mz.verify(store, 3).problems
    last = right.sizes["path"] - 1
    xr.testing.assert_equal(mz.replay(found, last), right.isel(path=last))
    np.testing.assert_allclose(mz.reduce(found, "mean").t_mean, right.t.mean("path"))


def test_the_error_names_the_path_and_says_how_to_go_on(begun, right):
    store, error = begun
    numbers = right.n_arrivals.values
    assert numbers[error.path] > 10
    assert f"max_events={{'arrival': {2 * numbers[error.path]}}}" in str(error)
    assert "write or extend goes on" in str(error)
    assert 0 < mz.verify(store, 1).n_paths < N


def test_write_goes_on_with_more_room_and_keeps_what_is_committed(store, right):
    committed = CommitState.read(location_of(store)).files()
    before = {file: content for file, content in chunks_in(store).items()
              if str(file.relative_to(store)) in committed}  # fmt: skip
    assert before
    mz.write(paths(), store)
    after = chunks_in(store)
    changed = [str(file) for file, content in before.items() if after[file] != content]
    assert not changed
    check(store, right)
    # The pieces of the first chunks are none: readers see padding there.
    assert not (store / "t/c/0/1").exists()
    assert (store / "t/c/4/3").exists()


@pytest.mark.slow
def test_less_room_than_the_store_has_is_no_matter(store, right):
    mz.write(paths(), store)
    assert mz.write(paths(rooms=ROOM), store).sizes["arrival"] == 34
    check(store, right)


def test_extend_makes_room(store, right):
    found = mz.extend(store, N, max_events={"arrival": 34})
    assert dict(found.sizes) == dict(right.sizes)
    check(store, right)


@pytest.mark.slow
def test_extend_makes_room_again_and_never_less(store):
    mz.write(paths(), store)
    wide = mz.extend(store, N + 500, max_events={"arrival": 50})
    check(store, paths(N + 500, {"arrival": 50, "departure": 40}).compute())
    assert wide.sizes["arrival"] == 50
    with pytest.raises(mz.ArgumentValueError, match="max_events: expected as much"):
        mz.extend(store, N + 500, max_events={"arrival": 49})
    with pytest.raises(mz.ArgumentValueError, match="max_events: expected as much"):
        mz.extend(store, N + 500, max_events=100)


@pytest.mark.slow
def test_a_lost_piece_is_an_error_and_repaired_to_the_same_bytes(store, right):
    mz.write(paths(), store)
    for key in ("t/c/4/2", "mark/c/0/0"):
        file = store / key
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(mz.StoreError, match="got none"):
            mz.open(store).compute()
        assert [p.key for p in mz.verify(store, 1).problems] == [key]
        mz.repair(store)
        assert file.read_bytes() == content
        check(store, right)


def test_a_piece_of_another_is_found(store):
    mz.write(paths(), store)
    (store / "t/c/0/1").write_bytes((store / "t/c/4/1").read_bytes())
    assert [p.kind for p in mz.verify(store, 1).problems] == ["stray"]
    mz.repair(store)
    assert not mz.verify(store, 3).problems


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["montezarr/journal", "zarr.json"])
def test_a_lost_log_or_root_is_made_again(store, right, lost):
    mz.write(paths(), store)
    (store / lost).unlink()
    mz.repair(store, ds=paths())
    check(store, right)


def test_a_writer_that_is_killed_before_it_publishes_the_room(store, right, monkeypatch):
    from montezarr.store import _writer

    class Killed(BaseException):
        pass

    def publish(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_writer.Writer, "publish", publish)
        with pytest.raises(Killed):
            mz.write(paths(), store)
    assert not mz.verify(store, 1).problems
    assert mz.open(store).sizes["arrival"] == 10
    mz.write(paths(), store)
    check(store, right)


@pytest.mark.slow
def test_stores_of_different_room_are_merged(tmp_path, right):
    with pytest.raises(mz.SamplerError):
        mz.write(paths(rooms=ROOM), tmp_path / "b.zarr", paths=range(2048, N))
    mz.write(paths(), tmp_path / "b.zarr", paths=range(2048, N))
    mz.write(paths(rooms=ROOM), tmp_path / "a.zarr", paths=range(2048))
    mz.merge([tmp_path / "a.zarr", tmp_path / "b.zarr"], tmp_path / "all.zarr")
    check(tmp_path / "all.zarr", right)


@pytest.mark.slow
@pytest.mark.parametrize(
    "storage",
    [
        mz.Storage(compression="zstd"),
        mz.Storage(dtype="float32", inner_chunk=1024),
        mz.Storage(compression="gzip", inner_chunk=1024),
    ],
)
def test_shards_and_compressed_chunks_grow(tmp_path, storage):
    common = {"seed": 5, "dims": DIMS, "chunks": 2048}
    with pytest.raises(mz.SamplerError):
        mz.write(mz.simulate(queue, N, max_events=ROOM, **common), tmp_path / "s", storage=storage)
    whole = mz.simulate(queue, N, max_events=MORE, **common)
    found = mz.write(whole, tmp_path / "s", storage=storage).compute()
    fresh = mz.write(whole, tmp_path / "fresh", storage=storage).compute()
    xr.testing.assert_identical(found, fresh)
    assert not mz.verify(tmp_path / "s", 3).problems
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "s", consolidated=False).compute(), fresh)


def test_the_format_says_that_earlier_versions_cannot_read_it(store):
    assert root_of(store)["format"] == 2
    mz.write(paths(), store)
    assert root_of(store)["format"] == 6
    assert root_of(store)["rooms"] == {"arrival": 34}


def root_of(store):
    return json.loads((store / "zarr.json").read_text())["attributes"]["montezarr_store"]


@pytest.mark.slow
def test_other_libraries_read_it(store, right):
    tensorstore = pytest.importorskip("tensorstore")
    mz.write(paths(), store)
    for name in ("t", "mark", "place"):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store / name)}}
        found = tensorstore.open(spec).result().read().result()
        np.testing.assert_array_equal(found, right[name])


@pytest.mark.slow
def test_a_store_behind_another_interface_grows(tmp_path, right, monkeypatch):
    monkeypatch.setattr(_remote_lock, "LOCK_SETTLE_SECONDS", 0.0)
    there = zarr.storage.WrapperStore(zarr.storage.LocalStore(tmp_path / "s.zarr"))
    with pytest.raises(mz.SamplerError):
        mz.write(paths(rooms=ROOM), there)
    xr.testing.assert_equal(mz.write(paths(), there).compute(), right)
    assert not mz.verify(there, 1).problems


@pytest.mark.parametrize(
    "rooms",
    [
        {"arrival": 33},
        *(
            pytest.param(rooms, marks=pytest.mark.slow)
            for rooms in ({"arrival": "x"}, [34], {"path": 9}, {}, None)
        ),
    ],
)
def test_a_root_with_other_room_is_refused(store, rooms):
    mz.write(paths(), store)
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["montezarr_store"]["rooms"] = rooms
    (store / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(mz.StoreError):
        mz.open(store)
    assert mz.verify(store, 1).problems
