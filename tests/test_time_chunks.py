"""Inner chunks along the times: single times are read alone, and a store is as whole as any."""

import asyncio

import numpy as np
import pytest
import xarray as xr
import zarr
from stores import HESTON, at_chunk, files, gbm_paths
from zarr.storage import LocalStore

import montezarr as mz
from montezarr.store.format._manifest import STORE_FORMAT, TIMES

STORAGES = {
    "single times": mz.Storage(time_chunk=1),
    "no divisor": mz.Storage(time_chunk=5, inner_chunk=1024),
    "compressed": mz.Storage(time_chunk=4, compression="zstd", inner_chunk=1024),
    "rounded": mz.Storage(time_chunk=20, compression="gzip", dtype="float32", keep_bits=9),
}


def paths(n=5000, **changes):
    x0 = {"s": 100.0, "v": 0.04}
    return mz.simulate(HESTON, n, 20, x0, dt=0.1, seed=3, chunks=2048, **changes)


def as_stored(ds, storage):
    found = ds.compute()
    if storage.keep_bits is None:
        return found
    from montezarr.store.format._storage import round_bits

    return found.map(lambda x: x.copy(data=round_bits(x.values.astype("float32"), 9)))


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_the_store_is_verified_extended_repaired_and_continued_like_any(
    tmp_path, storage, monkeypatch
):
    mz.write(paths(), tmp_path / "a.zarr", storage=storage)
    expected, found = as_stored(paths(), storage), mz.open(tmp_path / "a.zarr")
    xr.testing.assert_equal(found, expected)
    xr.testing.assert_equal(found.isel(time=-1), expected.isel(time=-1))
    array = zarr.open_array(tmp_path / "a.zarr" / "s", mode="r")
    assert array.chunks == (storage.inner_chunk or 2048, storage.time_chunk)
    assert array.shards == (2048, -(-21 // storage.time_chunk) * storage.time_chunk)
    assert mz.verify(tmp_path / "a.zarr", level=2).ok
    whole = files(tmp_path / "a.zarr")

    mz.write(paths(2500), tmp_path / "grown.zarr", storage=storage)
    mz.extend(tmp_path / "grown.zarr", 5000)
    assert files(tmp_path / "grown.zarr") == whole

    chunk = tmp_path / "a.zarr" / "s" / "c" / "1" / "0"
    chunk.write_bytes(b"\0" * 100 + chunk.read_bytes()[100:])
    assert not mz.verify(tmp_path / "a.zarr", level=2).ok
    assert mz.repair(tmp_path / "a.zarr").ok
    assert (
        files(tmp_path / "a.zarr")[str(chunk.relative_to(tmp_path / "a.zarr"))]
        == (whole[str(chunk.relative_to(tmp_path / "a.zarr"))])
    )

    def stop(task, item):
        raise OSError("the disk is gone")

    at_chunk(monkeypatch, 2, stop)
    with pytest.raises(Exception, match="the disk is gone"):
        mz.write(paths(), tmp_path / "b.zarr", storage=storage)
    mz.write(paths(), tmp_path / "b.zarr", storage=storage)
    b = files(tmp_path / "b.zarr")
    assert {k: v for k, v in b.items() if "/c/" in k} == {
        k: v for k, v in whole.items() if "/c/" in k
    }


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_a_virtual_store_has_the_same_bytes(tmp_path, storage):
    mz.write(paths(), tmp_path / "a.zarr", storage=storage)
    store = mz.VirtualStore(paths(), storage=storage, chunks=2048)
    prototype = zarr.buffer.default_buffer_prototype()
    for file in sorted((tmp_path / "a.zarr").rglob("c/*/*")):
        if file.parent.parent.parent.name in ("s", "v"):
            found = asyncio.run(store.get(str(file.relative_to(tmp_path / "a.zarr")), prototype))
            assert found.to_bytes() == file.read_bytes()
    last = store.to_dataset().isel(time=-1)
    xr.testing.assert_equal(last.compute(), as_stored(paths(), storage).isel(time=-1))


class Counting(LocalStore):
    """A store that counts the bytes that are read of chunks."""

    bytes = 0

    def _counted(self, key, found):
        Counting.bytes += len(found) if found is not None and "/c/" in key and key[0] == "x" else 0
        return found

    async def get(self, key, prototype=None, byte_range=None):
        return self._counted(key, await super().get(key, prototype, byte_range))

    async def get_partial_values(self, prototype, key_ranges):
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    def get_sync(self, key, **options):  # which Zarr 3.4 calls
        return self._counted(key, super().get_sync(key, **options))


def test_reading_a_time_costs_what_the_plan_says(tmp_path):
    ds = gbm_paths(n_paths=8192, T=252, chunks=4096)
    cut = mz.Storage(time_chunk=8, inner_chunk=1024)
    mz.write(ds, tmp_path / "a.zarr", storage=cut)
    whole, alone = mz.plan(ds, storage=mz.Storage()), mz.plan(ds, storage=cut)
    assert whole.read_time_bytes == ds.x.nbytes
    assert alone.read_time_bytes == 8 * ds.x.nbytes // 253
    assert (whole.read_path_bytes, alone.read_path_bytes) == (4096 * 253 * 8, 1024 * 256 * 8)
    assert "for one time of all paths" in str(alone)
    assert "read_time_bytes" not in mz.plan(ds).to_dict()
    store = Counting(tmp_path / "a.zarr", read_only=True)
    found = xr.open_zarr(store, chunks=None, consolidated=False)
    for slices, expected in (({"time": -1}, alone.read_time_bytes), ({"path": 7}, 1024 * 2048)):
        Counting.bytes = 0
        np.testing.assert_array_equal(found.x.isel(slices), ds.x.isel(slices))
        assert expected <= Counting.bytes <= 1.1 * expected + 2**15


def test_an_option_that_cuts_nothing_leaves_the_bytes(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    mz.write(gbm_paths(), tmp_path / "b.zarr", storage=mz.Storage(time_chunk=21))
    assert {k: v for k, v in files(tmp_path / "a.zarr").items() if "journal" not in k} == {
        k: v for k, v in files(tmp_path / "b.zarr").items() if "journal" not in k
    }
    assert "time_chunk" not in mz.Storage().to_dict()
    mz.write(gbm_paths(), tmp_path / "c.zarr", storage=mz.Storage(time_chunk=20))
    for name, expected in (("a", STORE_FORMAT), ("c", TIMES)):
        group = zarr.open_group(tmp_path / f"{name}.zarr", mode="r")
        assert group.attrs["montezarr_store"]["format"] == expected
    with pytest.raises(mz.StoreMismatchError, match="time_chunk"):
        mz.write(gbm_paths(), tmp_path / "c.zarr", storage=mz.Storage(time_chunk=7))
    for value in (0, -1):
        with pytest.raises(mz.ArgumentValueError, match=r"^time_chunk: expected"):
            mz.Storage(time_chunk=value)
    with pytest.raises(mz.ArgumentTypeError, match=r"^time_chunk: expected"):
        mz.Storage(time_chunk=1.5)


def test_scenarios_and_variables_without_times(tmp_path):
    sigma = xr.DataArray([0.1, 0.3], dims="sigma", coords={"sigma": [0.1, 0.3]})
    ds = gbm_paths(n_paths=2500, vary={"sigma": sigma})
    ds = ds.assign(final=ds.x.isel(time=-1))
    storage = mz.Storage(time_chunk=4)
    mz.write(ds, tmp_path / "a.zarr", storage=storage)
    xr.testing.assert_equal(mz.open(tmp_path / "a.zarr"), ds.compute())
    assert zarr.open_array(tmp_path / "a.zarr" / "x", mode="r").chunks == (1, 1024, 4)
    assert mz.verify(tmp_path / "a.zarr", level=2, ds=ds).ok


def test_a_lost_manifest_is_made_again(tmp_path):
    mz.write(paths(2500), tmp_path / "a.zarr", storage=STORAGES["no divisor"])
    whole = files(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "montezarr" / "manifest.json").unlink()
    mz.repair(tmp_path / "a.zarr")
    after = files(tmp_path / "a.zarr")
    assert {k: v for k, v in after.items() if "journal" not in k} == {
        k: v for k, v in whole.items() if "journal" not in k
    }
