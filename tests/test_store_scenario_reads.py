"""Scenarios are read from a store alone, and damage to one is found and harms no other."""

import asyncio

import numpy as np
import pytest
import xarray as xr
from scenario_stores import SIGMAS, grid, parts_of
from stores import files
from zarr.abc.store import RangeByteRequest, Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore, WrapperStore

import montezarr as mz
from montezarr.store._chunk_reader import ChunkReader, Chunks
from montezarr.store.format import with_checksum


class Counting(WrapperStore):
    """A store that notes the bytes of chunks that are read."""

    def __init__(self, store, seen=None):
        super().__init__(store)
        self.seen = [] if seen is None else seen

    def _with_store(self, store):
        return type(self)(store, self.seen)

    async def get(self, key, prototype=None, byte_range=None):
        return self._noted(key, await self._store.get(key, prototype, byte_range))

    def get_sync(self, key, *, prototype=None, byte_range=None):  # of newer Zarr
        store = self._store
        return self._noted(key, store.get_sync(key, prototype=prototype, byte_range=byte_range))

    # Newer Zarr reads the ranges of a shard in one call; these come back to the methods above.
    if hasattr(Store, "get_ranges"):
        get_ranges = Store.get_ranges
    if hasattr(Store, "get_ranges_sync"):
        get_ranges_sync = Store.get_ranges_sync

    def _noted(self, key, data):
        if data is not None and key.startswith("x/c/"):
            self.seen.append((key, len(data)))
        return data


@pytest.fixture(scope="module")
def counted():
    """A store in memory, each scenario of which is over 2 MiB of a chunk, and what is read."""
    ds = grid(3000, T=300, chunks=1024, dt=1e-3)
    store = MemoryStore()
    mz.write(ds, store, statistics="mean")
    return ds, Counting(store)


def test_one_scenario_is_read_without_the_bytes_of_the_others(counted):
    ds, store = counted
    stored = mz.open(store)
    assert dict(zip(stored.x.dims, stored.x.chunks, strict=True))["sigma"] == (1, 1, 1)
    one = 3072 * 301 * 8
    for chosen in (0.2, [0.1, 0.35]):
        store.seen.clear()
        x = stored.x.sel(sigma=chosen)
        found, k = x.compute(), np.size(chosen)
        assert sum(size for _, size in store.seen) < 1.001 * k * one
        np.testing.assert_array_equal(found, ds.x.sel(sigma=chosen))
        store.seen.clear()
        mz.reduce(x, ["mean", "std"])
        assert sum(size for _, size in store.seen) < 1.001 * k * one


def test_a_reduction_reads_each_byte_once_and_equals_that_of_the_run(counted):
    ds, store = counted
    stored = mz.open(store)
    store.seen.clear()
    found = mz.reduce(stored, ["mean", "q05"])
    whole = 3 * (3 * (1024 * 301 * 8 + 4 + 16) + 4)
    index = 3 * len(SIGMAS) * (3 * 16 + 4)
    assert sum(size for _, size in store.seen) <= whole + index
    xr.testing.assert_equal(found, mz.reduce(ds, ["mean", "q05"]))
    xr.testing.assert_equal(mz.open(store, "statistics"), mz.reduce(ds, "mean"))
    difference = stored.x - stored.x.sel(sigma=0.2)
    expected = mz.reduce(ds.x - ds.x.sel(sigma=0.2), "mean")
    xr.testing.assert_allclose(mz.reduce(difference, "mean"), expected)


def test_small_scenarios_share_a_dask_chunk_and_are_still_read_alone():
    many = {"sigma": xr.DataArray(np.linspace(0.1, 0.5, 40), dims="sigma")}
    ds = grid(1500, T=9, chunks=1024, vary=many)
    inner = MemoryStore()
    mz.write(ds, inner)
    store = Counting(inner)
    stored = mz.open(store)
    assert stored.x.chunks[0] == (26, 14)  # of 80 KiB, to 2 MiB
    store.seen.clear()
    found = stored.x.isel(sigma=30).compute()
    np.testing.assert_array_equal(found, ds.x.isel(sigma=30))
    assert sum(size for _, size in store.seen) == 2 * (1024 * 10 * 8 + 4 + 40 * 16 + 4)


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", [mz.Storage(), mz.Storage(compression="zstd")])
def test_damage_to_one_scenario_is_found_and_harms_no_other(tmp_path, storage):
    ds = grid()
    mz.write(ds, tmp_path / "a.zarr", storage=storage)
    before = files(tmp_path)
    file = tmp_path / "a.zarr/x/c/0/1/0"
    data = bytearray(file.read_bytes())
    second = len(parts_of(bytes(data), 3)[0])
    data[second + 20] ^= 1
    file.write_bytes(data)
    x = mz.open(tmp_path / "a.zarr").x
    for i in (0, 2):
        np.testing.assert_array_equal(x.isel(sigma=i), ds.x.isel(sigma=i))
    for part in (x.isel(sigma=1), x):
        with pytest.raises((ValueError, mz.StoreError), match=r"checksum|zstd"):
            part.compute()
        with pytest.raises((ValueError, mz.StoreError, mz.MontezarrError)):
            mz.reduce(part, "mean")
    assert [problem.key for problem in mz.verify(tmp_path / "a.zarr").problems] == ["x/c/0/1/0"]
    mz.repair(tmp_path / "a.zarr")
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "how", ["index", "truncated", "empty", "missing", "other scenario", "left out"]
)
def test_a_damaged_shard_never_reads_as_values(tmp_path, how):
    mz.write(grid(), tmp_path / "a.zarr")
    file = tmp_path / "a.zarr/x/c/0/1/0"
    data = file.read_bytes()
    changed = {
        "index": data[:-30] + bytes([data[-30] ^ 4]) + data[-29:],
        "truncated": data[:-8],
        "empty": b"",
        "other scenario": data[:-52] + data[-36:-4] + data[-52:-36] + data[-4:],
        "left out": _with_index(data, [2**64 - 1] * 2),
    }
    x = mz.open(tmp_path / "a.zarr").x
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(changed[how])
    for i in range(3):
        with pytest.raises((ValueError, mz.StoreError)):
            x.isel(sigma=i).compute()
    mz.repair(tmp_path / "a.zarr")
    assert file.read_bytes() == data


class Vanishing(WrapperStore):
    """A store whose shards are gone, or cannot be read, once their index was read."""

    _supports_sync_io = False  # of newer Zarr, which then reads parts of a shard asynchronously

    def __init__(self, store, error=None):
        super().__init__(store)
        self.error = error

    def _with_store(self, store):
        return type(self)(store, self.error)

    async def get(self, key, prototype=None, byte_range=None):
        if isinstance(byte_range, RangeByteRequest):
            if self.error is not None:
                raise self.error
            return None
        return await self._store.get(key, prototype, byte_range)


@pytest.mark.parametrize("error", [None, RuntimeError("out of order")])
def test_a_shard_that_goes_after_its_index_was_read_is_an_error(error):
    inner = MemoryStore()
    mz.write(grid(), inner)
    x = mz.open(Vanishing(inner, error)).x
    assert x.chunks[0] == (3,)
    message = "chunk that can be read" if error else "none for paths"
    with pytest.raises(mz.StoreError, match=message):
        x.isel(sigma=1, path=slice(2000)).compute()


def test_parts_of_files_are_read_through_the_same_checks():
    inner = MemoryStore()
    mz.write(grid(), inner)
    chunks = Chunks(axis=1, first_path=0, paths=2048, size=None, largest=10**6, parts=3)
    reader = ChunkReader(inner, {"x": chunks})
    parts = [RangeByteRequest(0, 8), RangeByteRequest(16, 24)]
    key, prototype = "x/c/0/0/0", default_buffer_prototype()

    async def read():
        found = await reader.get_partial_values(prototype, [(key, part) for part in parts])
        if hasattr(Store, "get_ranges"):
            ranges = reader.get_ranges(key, parts, prototype=prototype, max_concurrency=None)
            again = dict([item async for group in ranges for item in group])
            assert [again[i].to_bytes() for i in range(2)] == [data.to_bytes() for data in found]
        return found

    assert len(asyncio.run(read())) == 2
    del inner._store_dict[key]
    with pytest.raises(mz.StoreError, match=f"none for paths from 0 on: .*{key}"):
        asyncio.run(read())


def _with_index(data, entry):
    """Return a shard with the entry of an inner chunk changed, and the checksum that belongs."""
    index = np.frombuffer(data[-52:-4], "<u8").reshape(3, 2).copy()
    index[1] = entry
    return data[:-52] + b"".join(map(memoryview, with_checksum(index)))
