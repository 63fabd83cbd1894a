"""The store without a disk: the bytes of the written one, drawn when they are read."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest
import xarray as xr
import zarr
from patience import PATIENCE
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest

import montezarr as mz
from montezarr.run import _tasks_alive

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)


def gbm_paths(**changes):
    arguments = {"n_paths": 5000, "T": 20, "x0": 100.0, "dt": 0.05, "seed": 42, "chunks": 2048}
    return mz.simulate(GBM, **(arguments | changes))


RECIPE = gbm_paths().attrs["montezarr"]


class Counting:
    """A function of yours that counts its draws."""

    def __init__(self):
        self.calls, self.lock = 0, threading.Lock()

    def __deepcopy__(self, memo):
        return self

    def __getstate__(self):
        return {}

    def sample_paths(self, n, T, x0, rng):
        with self.lock:
            self.calls += 1
        return x0 + rng.standard_normal((n, T + 1)).cumsum(axis=1)


def own_sampler(rng):
    return rng.standard_normal(5)


def other_sampler(rng):
    return rng.standard_normal(5) + 1.0


def failing(rng):
    values = rng.standard_normal(3)
    if values[0] > 2.5:
        raise RuntimeError("no such path")
    return values


def heston_paths(**changes):
    x0 = {"s": 100.0, "v": 0.04}
    return mz.simulate(HESTON, 3000, 6, x0, dt=0.1, seed=1, chunks=1024, **changes)


def chain_paths():
    chain = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["calm", "storm"])
    return mz.simulate(chain, n_paths=2500, T=5, x0="storm", seed=1, chunks=1024)


def derived_paths():
    ds = gbm_paths()
    return ds.assign(payoff=(ds.x.isel(time=-1) - 100).clip(min=0))


CASES = {
    "plain": (gbm_paths, None),
    "sharded": (gbm_paths, mz.Storage(inner_chunk=1024)),
    "compressed": (gbm_paths, mz.Storage(compression="gzip")),
    "compressed shards": (gbm_paths, mz.Storage(compression="zstd", inner_chunk=1024)),
    "rounded": (gbm_paths, mz.Storage(dtype="float32", keep_bits=9, inner_chunk=1024)),
    "heston": (heston_paths, None),
    "labels": (chain_paths, None),
    "own code": (lambda: mz.simulate(own_sampler, 1500, seed=3, chunks=1024), None),
    "derived": (derived_paths, mz.Storage(inner_chunk=1024)),
    "own x0": (lambda: gbm_paths(x0=np.linspace(50, 150, 5000)), None),
}


@pytest.fixture(autouse=True)
def _live_runs_come_back():
    """Give other tests back the runs that one of these has forgotten."""
    names, recipes = dict(_tasks_alive._by_name), dict(_tasks_alive._by_recipe)
    yield
    _tasks_alive._by_name.update(names)
    _tasks_alive._by_recipe.update(recipes)


def forget_live_runs():
    """Do as if this were another process than that of `simulate`."""
    _tasks_alive._by_name.clear()
    _tasks_alive._by_recipe.clear()


def get(store, key, byte_range=None):
    found = asyncio.run(store.get(key, zarr.buffer.default_buffer_prototype(), byte_range))
    return None if found is None else found.to_bytes()


def files(root):
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return {key: data for key, data in found.items() if not key.startswith("montezarr/journal")}


def keys(store, prefix=None):
    async def collect():
        listed = store.list() if prefix is None else store.list_prefix(prefix)
        return [key async for key in listed]

    return asyncio.run(collect())


def names(store, prefix):
    async def collect():
        return sorted([name async for name in store.list_dir(prefix)])

    return asyncio.run(collect())


@pytest.mark.parametrize("case", CASES)
def test_it_has_the_bytes_of_the_written_store(case, tmp_path):
    make, storage = CASES[case]
    ds = make()
    mz.write(ds, tmp_path / "a.zarr", storage=storage)
    store = mz.VirtualStore(ds, storage=storage)
    written = files(tmp_path / "a.zarr")
    assert sorted(keys(store)) == sorted(written)
    for key, data in written.items():
        assert get(store, key) == data, key
        assert asyncio.run(store.getsize(key)) == len(data)
        assert asyncio.run(store.exists(key))
    xr.testing.assert_identical(
        xr.open_zarr(store).load(), xr.open_zarr(tmp_path / "a.zarr").load()
    )


@pytest.mark.parametrize("case", ["plain", "sharded", "compressed shards", "heston"])
def test_byte_ranges_are_parts_of_the_file(case):
    make, storage = CASES[case]
    store = mz.VirtualStore(make(), storage=storage)
    key = next(key for key in keys(store) if key.endswith("c/2/0"))
    whole = get(store, key)
    end = len(whole)
    rng = np.random.default_rng(0)
    for low, high in np.sort(rng.integers(0, end + 1, (20, 2))).tolist():
        assert get(store, key, RangeByteRequest(low, high)) == whole[low:high]
    for n in (0, 1, 4, 100, end - 1, end, end + 50):
        assert get(store, key, OffsetByteRequest(n)) == whole[n:]
        assert get(store, key, SuffixByteRequest(n)) == (whole[-n:] if n else b"")
    assert get(store, key, RangeByteRequest(end, end + 10)) == b""
    assert get(store, "zarr.json", RangeByteRequest(0, 1)) == b"{"
    with pytest.raises(mz.ArgumentTypeError, match="byte_range"):
        get(store, key, (0, 5))


def test_of_a_shard_only_what_is_read_is_drawn():
    counting = Counting()
    ds = mz.simulate(counting, 50 * 1024, 3, 0.0, seed=1, chunks=25 * 1024)
    store = mz.VirtualStore(ds, storage=mz.Storage(inner_chunk=1024))
    counting.calls = 0
    array = zarr.open(store)["x"]
    assert np.array_equal(array[30 * 1024 + 5], ds.x[30 * 1024 + 5])
    drawn_by_dask = 1
    assert counting.calls == 1 + drawn_by_dask


def test_xarray_zarr_and_simulate_agree():
    ds = gbm_paths()
    store = mz.VirtualStore(ds.attrs["montezarr"], n_paths=5000, chunks=2048)
    assert store == mz.VirtualStore(ds)
    assert np.array_equal(xr.open_zarr(store).x, ds.x)
    assert np.array_equal(zarr.open_group(store, mode="r")["x"][1234], ds.x[1234])
    assert np.array_equal(mz.replay(mz.open(store), 4000).x, ds.x[4000])
    assert mz.open(store).identical(ds)


BIG = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import montezarr as mz, xarray as xr
from patience import calls_of
recipe = mz.simulate(mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), 1, 252, 100.0, dt=1 / 252,
                     seed=1).attrs["montezarr"]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def make():
    return mz.VirtualStore(recipe, 10**12)
def opened():
    return xr.open_zarr(make(), chunks=None)
before = peak()
store, ds = make(), opened()
print(ds.sizes["path"], calls_of(opened), peak() - before)
x = ds.x[-1].values
lazy = mz.open(store)
again = mz.replay(lazy, 10**12 - 1).x.values
print((x == again).all(), (lazy.x[-1].values == x).all())
"""


def test_a_million_million_paths():
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", BIG, os.path.dirname(__file__)],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert int(out[0]) == 10**12
    assert int(out[1]) < 100_000
    assert float(out[2]) < 200
    assert out[3:] == ["True", "True"]


def test_many_chunks_of_a_recipe_stay_few_enough_for_dask():
    assert mz.VirtualStore(RECIPE, 10**6).chunk * 21 * 8 <= 2**23
    many = mz.VirtualStore(RECIPE, 10**11)
    assert 10**11 / many.chunk <= 2 * 10**6
    assert xr.open_zarr(mz.VirtualStore(RECIPE, 10**9)).x.shape == (10**9, 21)
    shards = mz.VirtualStore(RECIPE, 10**11, storage=mz.Storage(inner_chunk=3 * 1024))
    assert shards.chunk % (3 * 1024) == 0


def test_the_cache_keeps_what_was_read_last_and_no_more():
    counting = Counting()
    ds = mz.simulate(counting, 4096, 3, 0.0, seed=1, chunks=1024)
    size = 1024 * 4 * 8 + 4
    store = mz.VirtualStore(ds, cache_bytes=2 * size)
    counting.calls = 0
    for chunk in (0, 1, 0, 1, 1, 0):
        get(store, f"x/c/{chunk}/0")
    assert counting.calls == 2
    get(store, "x/c/2/0")  # in the place of 1
    get(store, "x/c/0/0")
    assert counting.calls == 3
    get(store, "x/c/1/0")
    assert counting.calls == 4
    assert store._chunks._files.bytes <= 2 * size
    bare = mz.VirtualStore(ds)
    counting.calls = 0
    for _ in range(3):
        get(bare, "x/c/0/0")
    assert counting.calls == 3


def test_one_draw_serves_both_variables():
    draws = []
    store = mz.VirtualStore(heston_paths())
    draw = store._chunks._draw
    store._chunks._draw = lambda *at: draws.append(at) or draw(*at)
    for chunk in range(3):
        for name in "sv":
            get(store, f"{name}/c/{chunk}/0")
    assert len(draws) == 3
    assert store._chunks._draws.bytes == 0


def test_threads_that_ask_at_once_draw_once():
    draws = []
    store = mz.VirtualStore(gbm_paths())
    draw = store._chunks._draw
    entered, go = threading.Event(), threading.Event()

    def slow(*at):
        draws.append(at)
        entered.set()
        go.wait(PATIENCE)
        return draw(*at)

    store._chunks._draw = slow
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(store.get_sync, "x/c/1/0")
        entered.wait(PATIENCE)
        others = [pool.submit(store.get_sync, "x/c/1/0") for _ in range(3)]
        while sum(thread.is_alive() for thread in pool._threads) < 4:
            pass
        threading.Event().wait(0.1)  # they reach the first one's draw
        go.set()
        found = {future.result().to_bytes() for future in [first, *others]}
    assert found == {get(store, "x/c/1/0")}
    assert draws[0] == (1, 0, 1, None)  # all scenarios
    assert len(draws) == 2  # and that of the comparison


def test_the_event_loop_goes_on_while_a_chunk_is_drawn():
    store = mz.VirtualStore(gbm_paths())
    draw, go = store._chunks._draw, threading.Event()
    store._chunks._draw = lambda *at: go.wait(PATIENCE) and draw(*at)

    async def both():
        chunk = asyncio.create_task(store.get("x/c/0/0"))
        await asyncio.sleep(0.01)
        root = await store.get("zarr.json")
        assert not chunk.done()
        go.set()
        return root, await chunk

    root, chunk = asyncio.run(both())
    assert root.to_bytes()
    assert len(chunk.to_bytes()) == 2048 * 21 * 8 + 4


def test_a_store_may_start_from_the_ends_of_another():
    ends = xr.open_zarr(mz.VirtualStore(gbm_paths())).x[:, -1].data
    ds = gbm_paths(x0=ends, seed=1)
    again = xr.open_zarr(mz.VirtualStore(ds)).load()
    assert np.array_equal(again.x[:, 0], gbm_paths().x[:, -1])
    assert np.array_equal(again.x, ds.x)


FRESH = """
import sys
import montezarr as mz
ds = mz.open(sys.argv[1])
print(ds.sizes["path"], ds.x[-1, -1].values.item().hex())
"""


def test_a_small_file_opens_as_the_paths_in_a_fresh_process(tmp_path):
    path = tmp_path / "paths.json"
    mz.VirtualStore(RECIPE, 10**8).save(path)
    assert path.stat().st_size < 1000
    assert os.listdir(tmp_path) == ["paths.json"]
    out = subprocess.run(
        [sys.executable, "-c", FRESH, path], capture_output=True, text=True, check=True
    ).stdout.split()
    last = mz.replay(gbm_paths(), 10**8 - 1).x[-1].item()
    assert out == ["100000000", last.hex()]
    assert mz.VirtualStore.load(path) == mz.VirtualStore(RECIPE, 10**8)
    assert mz.open(path).attrs["montezarr"] == RECIPE


def test_what_is_opened_is_what_the_storage_makes_of_it(tmp_path):
    store = mz.VirtualStore(gbm_paths(), storage=mz.Storage(keep_bits=5, inner_chunk=1024))
    store.save(tmp_path / "a.json")
    assert np.array_equal(mz.open(tmp_path / "a.json").x, xr.open_zarr(store).x)
    masked = gbm_paths(on_nonfinite="mask")
    mz.VirtualStore(masked).save(tmp_path / "a.json")
    assert mz.VirtualStore.load(tmp_path / "a.json") == mz.VirtualStore(masked)


def test_own_code_comes_back_with_the_process_alone(tmp_path):
    ds = mz.simulate(own_sampler, 1500, seed=3, chunks=1024)
    store = mz.VirtualStore(ds)
    store.save(tmp_path / "a.json")
    forget_live_runs()
    with pytest.raises(mz.StoreError, match="process="):
        mz.open(tmp_path / "a.json")
    again = mz.VirtualStore.load(tmp_path / "a.json", process=own_sampler)
    assert again == store
    assert get(again, "x/c/1/0") == get(store, "x/c/1/0")
    with pytest.raises(mz.StoreError, match="not the sampler"):
        mz.VirtualStore.load(tmp_path / "a.json", process=other_sampler)


def test_what_a_recipe_does_not_restore_is_not_saved(tmp_path):
    for ds, what in [
        (derived_paths(), "made of the paths"),
        (gbm_paths(x0=np.ones(5000)), "x0"),
        (mz.simulate(lambda rng, scale: scale * rng.random(3), 100, seed=1, scale=2.0), "options"),
    ]:
        with pytest.raises(mz.ArgumentValueError, match=what):
            mz.VirtualStore(ds).save(tmp_path / "a.json")
    assert not os.listdir(tmp_path)


def test_save_replaces_nothing_else(tmp_path):
    store = mz.VirtualStore(RECIPE, 5000)
    for name, text in [("notes.json", '{"a": 1}'), ("notes.txt", "text"), ("bad.json", "{")]:
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(mz.StoreExistsError, match="left as it is"):
            store.save(path)
        assert path.read_text() == text
    with pytest.raises(mz.StoreExistsError):
        store.save(tmp_path)
    with pytest.raises(mz.StoreError, match="place to write"):
        store.save(tmp_path / "nowhere" / "a.json")
    store.save(tmp_path / "a.json")
    mz.VirtualStore(RECIPE, 6000).save(tmp_path / "a.json")
    assert mz.open(tmp_path / "a.json").sizes["path"] == 6000


def hostile():
    good = {
        "montezarr_virtual": 1,
        "recipe": json.loads(RECIPE),
        "n_paths": 5000,
        "chunk": 2048,
        "storage": mz.Storage().to_dict(),
        "policies": {"on_error": "raise", "on_nonfinite": "raise"},
    }
    recipe = good["recipe"]
    yield "version", good | {"montezarr_virtual": 2}
    yield "true", good | {"montezarr_virtual": True}
    for value in (0, -1, 10**40, 1.5, True, "5000", None, [], {}):
        yield "n_paths", good | {"n_paths": value}
        yield "chunk", good | {"chunk": value}
    for value in ({}, [], "x", 5, {"dtype": "object"}, {"inner_chunk": 1000}, {"evil": 1}):
        yield "storage", good | ({"storage": value} if value != {} else {"storage": None})
        yield "policies", good | {"policies": value}
        yield "recipe", good | {"recipe": value}
    yield "more", good | {"import": "os"}
    yield "fewer", {"montezarr_virtual": 1}
    for name in ("os.system", "antigravity.Evil", 5, None, ["a"], {"a": 1}):
        yield "name", good | {"recipe": recipe | {"process": {"name": name}}}
    yield "code", good | {"recipe": recipe | {"code": "0" * 32}}
    for T in (10**12, 2**32, 10**400, -1, "20", None, 1e3):
        yield "T", good | {"recipe": recipe | {"grid": {"T": T, "dt": 0.05}}}
    for key in recipe:
        for value in (None, [], {"a": {}}, "x", 10**30, [[[]]]):
            if recipe[key] != value and (key, value) != ("x0", None):
                yield key, good | {"recipe": recipe | {key: value}}
        yield key, good | {"recipe": {k: v for k, v in recipe.items() if k != key}}


def test_a_hostile_file_is_an_error_and_imports_nothing(tmp_path):
    path = tmp_path / "a.json"
    before = set(sys.modules)
    for what, document in hostile():
        path.write_text(json.dumps(document))
        with pytest.raises(mz.StoreError) as caught:
            print(what, document, mz.open(path))  # shown where it fails
        assert str(caught.value).startswith("path: expected")
    for text in ("", "{", "[1]", '{"montezarr_virtual": NaN}', "[" * 10**5, "5", '{"a": 1}'):
        path.write_text(text)
        with pytest.raises(mz.StoreError):
            mz.open(path)
    assert "antigravity" not in set(sys.modules) - before


def test_another_file_is_no_store(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    for path in (tmp_path / "a.txt", tmp_path / "nothing.json"):
        with pytest.raises(mz.StoreNotFoundError):
            mz.open(path)
        with pytest.raises(mz.StoreNotFoundError):
            mz.VirtualStore.load(path)


def test_it_goes_to_other_processes(tmp_path):
    store = mz.VirtualStore(gbm_paths(), cache_bytes=10**6)
    get(store, "x/c/0/0")
    sent = pickle.dumps(store)
    assert len(sent) < 20_000  # not the cache
    again = pickle.loads(sent)
    assert again == store
    assert hash(again) == hash(store)
    assert get(again, "x/c/2/0") == get(store, "x/c/2/0")
    own = mz.VirtualStore(mz.simulate(lambda rng: rng.random(4), 1500, seed=1))
    assert get(cloudpickle.loads(cloudpickle.dumps(own)), "x/c/0/0") == get(own, "x/c/0/0")
    ds = xr.open_zarr(store)
    with mz.backend("processes", n_jobs=2):
        assert np.array_equal(ds.x.values, gbm_paths().x.values)


def test_nothing_can_be_written():
    store = mz.VirtualStore(RECIPE, 5000)
    data = zarr.buffer.default_buffer_prototype().buffer.from_bytes(b"x")
    assert store.read_only
    assert not store.supports_writes
    assert not store.supports_deletes
    for write in (store.set("a", data), store.delete("zarr.json")):
        with pytest.raises(ValueError, match="read-only"):
            asyncio.run(write)
    with pytest.raises(ValueError, match=r"read_only|read-only"):
        zarr.open_array(store, path="x", mode="r+")[0] = 1
    with pytest.raises(ValueError, match="cannot be written"):
        store.with_read_only(False)
    assert store.with_read_only(True) == store
    assert get(store.with_read_only(True), "zarr.json") == get(store, "zarr.json")


def test_listing_knows_all_keys_and_makes_none_up():
    store = mz.VirtualStore(RECIPE, 5000, chunks=2048)
    assert names(store, "") == ["montezarr", "time", "x", "zarr.json"]
    assert names(store, "x") == names(store, "x/") == ["c", "zarr.json"]
    assert names(store, "x/c") == ["0", "1", "2"]
    assert names(store, "x/c/2") == ["0"]
    assert names(store, "time/c") == ["0"]
    assert names(store, "x/c/3") == names(store, "x/c/2/0") == names(store, "nothing") == []
    assert keys(store, "x/c/1") == ["x/c/1/0"]
    for key in ("x/c/3/0", "x/c/01/0", "x/c/-1/0", "x/c/1", "x/c/1/1", "x/c/1/0/0", "y/c/0/0",
                "x/c/١/0", "x/c/" + "9" * 5000 + "/0", "", "/", "x", "x/c/ 1/0"):  # fmt: skip
        assert get(store, key) is None
        assert not asyncio.run(store.exists(key))
        with pytest.raises(FileNotFoundError):
            asyncio.run(store.getsize(key))

    async def first_of_very_many():
        return await anext(mz.VirtualStore(RECIPE, 2**62).list_prefix("x/c/"))

    assert asyncio.run(first_of_very_many()) == "x/c/0/0"


@pytest.mark.parametrize("storage", [None, mz.Storage(inner_chunk=1024)])
def test_what_a_sampler_raises_reaches_the_reader(storage):
    ds = mz.simulate(failing, 4096, seed=1, chunks=2048)
    store = mz.VirtualStore(ds, storage=storage)
    with pytest.raises(mz.SamplerError, match="no such path"):
        get(store, "x/c/0/0")
    with pytest.raises(mz.SamplerError, match="no such path"):
        xr.open_zarr(store).load()
    with pytest.raises(mz.SamplerError, match="no such path"):
        zarr.open(store)["x"][1:2000]


def test_a_chunk_that_cannot_fit_is_refused_when_it_is_read():
    shards = mz.VirtualStore(
        RECIPE, 10**12, chunks=1024 * 10**7, storage=mz.Storage(inner_chunk=1024)
    )
    with pytest.raises(mz.MemoryBudgetError, match="fits into memory"):
        get(shards, "x/c/0/0", RangeByteRequest(0, 2**50))
    assert len(get(shards, "x/c/0/0", RangeByteRequest(2**30, 2**30 + 5))) == 5


def test_arguments_are_checked():
    ds = gbm_paths()
    for arguments, name in [
        ((5, 10), "recipe"),
        (("{", 10), "ds"),
        (({"a": 1}, 10), "ds"),
        (({1: object()}, 10), "recipe"),
        ((RECIPE,), "n_paths"),
        ((RECIPE, 0), "n_paths"),
        ((RECIPE, 2**63), "n_paths"),
        ((RECIPE, 1.5), "n_paths"),
        ((ds.isel(time=[0, 5]), 100), "n_paths"),
        ((gbm_paths(x0=np.ones(5000)), 100), "recipe"),
        ((ds.compute(),), "ds"),
        ((mz.simulate(GBM, None, 3, 1.0, seed=1),), "ds"),
    ]:
        with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=f"^{name}: "):
            mz.VirtualStore(*arguments)
    for arguments, name in [
        ({"chunks": 0}, "chunks"),
        ({"cache_bytes": -1}, "cache_bytes"),
        ({"storage": {"dtype": "float32"}}, "storage"),
        ({"storage": mz.Storage(inner_chunk=5 * 1024)}, "inner_chunk"),
    ]:
        with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=f"^{name}: "):
            mz.VirtualStore(ds, **arguments)
    with pytest.raises(mz.ArgumentValueError, match="recipe: expected a recipe that montezarr"):
        mz.VirtualStore(json.loads(RECIPE) | {"grid": 5}, 100)
    assert mz.VirtualStore(ds, 10**9).n_paths == 10**9
    assert "10,000 paths of GeometricBrownianMotion" in repr(mz.VirtualStore(ds, 10**4))


def test_code_on_the_global_state_is_refused():
    class Legacy:
        def sample_path(self, T, x0):
            return x0 + np.random.standard_normal(T + 1)

    ds = mz.simulate(Legacy(), 1024, 3, 0.0, seed=1, legacy_global_rng=True)
    with pytest.raises(mz.ArgumentValueError, match="global random state"):
        mz.VirtualStore(ds)
