"""`batches` in random order: each path once, one order for a seed, bounded memory; its formats."""

import json
import sys
import types

import backend_samplers as samplers
import numpy as np
import pytest
import xarray as xr
from leaks import check_nothing_left, snapshot

import montezarr as mz
from montezarr.engine import _batches, _lazy_rows, _random_order
from montezarr.random.distributions import Normal
from montezarr.random.seeding import as_root_seed

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
N = 7000
FIRST, SUM = [4928, 4470, 6146, 1912, 1656, 1802], 74365265690


def walk(n, T, rng, drift, scale):
    """A random walk whose drift differs from path to path, and its scale between scenarios."""
    steps = np.broadcast_to(drift, n)[:, None] + scale * rng.normal(size=(n, T))
    return np.concatenate([np.zeros((n, 1)), steps.cumsum(axis=1)], axis=1)


def varied(n=N, **options):
    vary = {"scale": xr.DataArray([1.0, 2.0], dims="scale"), "drift": Normal(1.0, 2.0)}
    return mz.simulate(walk, n, 6, seed=3, chunks=1024, vary=vary, **options)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Read single chunks, as if they were large."""
    monkeypatch.setattr(_random_order, "RANDOM_PART_BYTES", 1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("random") / "paths.zarr"
    mz.write(varied(), path)
    return path


def order_of(source, size=500, **options):
    options = {"seed": 1, "window": 2000} | options
    parts = list(mz.batches(source, size, order="random", format="numpy", **options))
    return np.concatenate([part["path"] for part in parts])


SOURCES = {
    "a path": lambda store: store,
    "a store": mz.open,
    "to be drawn": lambda store: varied(),
    "derived": lambda store: mz.open(store).assign(last=lambda ds: ds.x.isel(time=-1)),
    "in memory": lambda store: mz.open(store).compute(),
    "a virtual store": lambda store: mz.VirtualStore(varied()),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("size", [700, 1024, 10**6])
def test_each_path_comes_once_with_its_values_and_parameters(store, name, size):
    source = SOURCES[name](store)
    whole = mz.open(store).compute()
    parts = list(mz.batches(source, size, order="random", seed=1, window=2000, format="numpy"))
    assert [len(part["path"]) for part in parts] == [
        min(size, N - start) for start in range(0, N, size)
    ]
    order = np.concatenate([part["path"] for part in parts])
    assert np.array_equal(np.sort(order), np.arange(N))
    assert not np.array_equal(order, np.arange(N))
    for part in parts:
        assert all(values.flags.c_contiguous for values in part.values())
        assert np.array_equal(part["x"], np.moveaxis(whole.x.values, 1, 0)[part["path"]])
        assert np.array_equal(part["drift"], whole.drift.values[part["path"]])


def test_datasets_are_those_of_the_positions(store):
    ds = mz.open(store)
    for source in (ds, varied(), ds.compute()):
        for part in mz.batches(source, 3000, order="random", seed=(1, 4)):
            wanted = ds.isel(path=part.path.values).compute()
            check = part.drop_vars("path")
            assert check.drop_attrs(deep=False).identical(wanted.drop_attrs(deep=False))
            assert json.loads(part.attrs["batches_seed"]) == {"entropy": ["1", "4"]}


def test_the_order_depends_on_seed_and_window_alone(store):
    wanted = order_of(store)
    assert np.array_equal(order_of(store, size=1), wanted)
    assert np.array_equal(order_of(store, size=N), wanted)
    assert np.array_equal(order_of(varied()), wanted)
    with mz.backend("processes", 2):
        assert np.array_equal(order_of(mz.simulate(samplers.Loop(), N, 6, 1.0, seed=3)), wanted)
    with mz.backend("threads", 1):
        assert np.array_equal(order_of(mz.open(store).assign(y=lambda ds: 2 * ds.x)), wanted)
    others = [order_of(store, seed=seed) for seed in (2, (1, 1), np.random.SeedSequence(5))]
    others += [order_of(store, window=window) for window in (1, N)]
    assert all(not np.array_equal(other, wanted) for other in others)


def test_the_order_of_a_seed_is_kept():
    first = order_of(varied(), window=3000)
    assert first[:6].tolist() == FIRST
    assert int((first * np.arange(N)).sum()) == SUM


@pytest.mark.parametrize("graphs", ["one", "one for each range"])
def test_blocks_of_any_sizes_are_put_together(store, graphs, monkeypatch):
    if graphs != "one":
        monkeypatch.setattr(_lazy_rows, "ROWS_GRAPH_BLOCKS_MAX", 0)
    ds = mz.open(store)
    ds = ds.assign(
        odd=ds.x.chunk(path=700, time=3, scale=1).transpose("time", "path", "scale"),
        whole=ds.drift.chunk(path=-1) + 1,
        held=("path", np.arange(N)),
    )
    read = []

    def noted(block):
        read.append(block.shape)
        return block

    meta = np.empty((0, 0, 0))
    ds["x"] = ds.x.copy(data=ds.x.data.map_blocks(noted, dtype=float, meta=meta))
    wanted = ds.compute()
    read.clear()
    for part in mz.batches(ds, 900, order="random", seed=1, window=2000, format="numpy"):
        for name in ("x", "odd", "whole", "held"):
            values = np.moveaxis(wanted[name].values, wanted[name].dims.index("path"), 0)
            np.testing.assert_array_equal(part[name], values[part["path"]])
    assert len(read) == ds.x.data.npartitions


def test_epochs_differ_and_each_can_be_had_again(store):
    epochs = [order_of(store, seed=(1, epoch)) for epoch in range(3)]
    assert not np.array_equal(epochs[1], epochs[2])
    assert np.array_equal(order_of(store, seed=(1, 2)), epochs[2])


def test_a_seed_that_was_not_given_is_in_the_batches(store):
    first = next(mz.batches(store, 100, order="random"))
    seed = json.loads(first.attrs["batches_seed"])
    again = next(mz.batches(store, 100, order="random", seed=seed))
    assert np.array_equal(first.path, again.path)


def test_a_window_is_made_of_whole_chunks_in_random_order(store):
    order = order_of(varied(8 * 1024), window=2000)
    windows = [np.unique(part // 1024).tolist() for part in np.split(order, 4)]
    assert [len(chunks) for chunks in windows] == [2, 2, 2, 2]
    assert sorted(np.ravel(windows)) == list(range(8))
    assert windows != [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(set(order_of(store, window=N)[:2048] // 1024)) == 7


def test_the_permutation_of_a_window_is_uniform():
    """A chi-squared test of where path 0 and path 4 stand, over 3,000 seeds."""
    counts = np.zeros((2, 5))
    for epoch in range(3000):
        seed = as_root_seed((77, epoch))
        order = _random_order.RandomOrder([(0, 5)], 1, seed).shuffled(0, 5)
        counts[0, np.flatnonzero(order == 0)] += 1
        counts[1, np.flatnonzero(order == 4)] += 1
    assert (((counts - 600) ** 2 / 600).sum(axis=1) < 23.5).all()  # 1e-4 with 4 degrees of freedom


def test_few_paths_are_read_ahead(store):
    read = []

    def noted(block):
        read.append(len(block))
        return block

    ds = mz.open(store)
    ds["x"] = ds.x.copy(data=ds.x.data.map_blocks(noted, dtype=float, meta=np.empty((0, 0, 0))))
    read.clear()
    parts = mz.batches(ds, 10, order="random", seed=1, window=1024)
    next(parts)
    assert 1 <= len(read) <= 3
    assert len(list(parts)) == N // 10 - 1
    assert len(read) == 7


def test_a_sampler_draws_each_path_once_in_windows():
    counting = samplers.Counting()
    ds = mz.simulate(counting, 4000, 5, 1.0, seed=1)
    counting.drawn.clear()
    with mz.backend("threads", 1):
        list(mz.batches(ds, 300, order="random", seed=1, window=1))
    assert sorted(counting.drawn) == list(range(4000))


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_an_iterator_that_is_left_half_way_leaves_nothing(name, store):
    before = snapshot()
    with mz.backend(name, 2):
        for source in (mz.simulate(samplers.Loop(), N, 6, 1.0, seed=3), store):
            for _ in mz.batches(source, 500, order="random", window=1024):
                break
            if name == "processes":  # Zarr in worker processes takes long to import
                break
    check_nothing_left(before)


@pytest.mark.parametrize("order", ["path", "random"])
@pytest.mark.parametrize("form", ["xarray", "numpy"])
def test_the_last_batch_can_be_left_out(store, order, form):
    for size, n in ((1000, 7), (1024, 6), (N + 1, 0)):
        kept = list(mz.batches(store, size, order=order, format=form, drop_last=True))
        assert [len(part["path"]) if form == "numpy" else part.sizes["path"] for part in kept] == (
            n * [size]
        )


def test_arrays_in_the_order_of_the_paths(store):
    ds = mz.open(store).compute()
    for source in (store, varied()):
        parts = list(mz.batches(source, 3000, format="numpy"))
        assert [part["path"][0] for part in parts] == [0, 3000, 6000]
        assert all(values.flags.c_contiguous for part in parts for values in part.values())
        joined = np.concatenate([part["x"] for part in parts])
        assert np.array_equal(joined, np.moveaxis(ds.x.values, 1, 0))


def test_coordinates_along_the_paths_come_too(store):
    ds = mz.open(store).set_coords("drift").assign_coords(path=np.arange(N) + 10**6)
    part = next(mz.batches(ds, 100, order="random", seed=1, format="numpy"))
    assert set(part) == {"x", "drift", "path"}
    assert part["path"].min() >= 10**6
    (again,) = mz.batches(ds.isel(path=slice(50)), 100, order="random", seed=1)
    assert set(again.coords) == {"drift", "path", "time", "scale"}
    assert np.array_equal(again.drift, ds.drift.sel(path=again.path))


def test_scenarios_keep_the_order_of_their_dimensions():
    """Batches of a run that is drawn, which once had the paths in front."""
    ds = varied(2500)
    parts = list(mz.batches(ds, 1000))
    assert [part.x.dims for part in parts] == [("scale", "path", "time")] * 3
    joined = xr.concat(parts, "path", data_vars="minimal", combine_attrs="drop_conflicts")
    assert np.array_equal(joined.x, ds.x)


def test_a_damaged_chunk_is_an_error_and_no_batch(store, tmp_path):
    import shutil

    copy = shutil.copytree(store, tmp_path / "damaged.zarr")
    ds = mz.open(copy)
    chunk = sorted(path for path in (copy / "x" / "c").rglob("*") if path.is_file())[3]
    good = chunk.read_bytes()
    chunk.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        list(mz.batches(ds, 500, order="random", seed=1))
    chunk.unlink()
    with pytest.raises(mz.StoreError, match="chunk of 'x'"):
        list(mz.batches(ds, 500, order="random", seed=1))


class Torch(types.ModuleType):
    """Stands for torch, which need not be installed."""

    class Tensor:
        def __init__(self, array):
            self.array = array

    @classmethod
    def from_numpy(cls, array):
        if array.dtype.kind not in "iufbc":
            raise TypeError("can't convert np.ndarray of type numpy.object_")
        assert array.flags.c_contiguous
        assert array.flags.writeable
        return cls.Tensor(array)


def test_tensors(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", Torch("torch"))
    for order in ("path", "random"):
        options = {"order": order, "seed": 1 if order == "random" else None}
        parts = zip(
            mz.batches(store, 3000, format="torch", **options),
            mz.batches(store, 3000, format="numpy", **options),
            strict=True,
        )
        for tensors, arrays in parts:
            assert set(tensors) == set(arrays)
            assert all(np.array_equal(tensors[k].array, arrays[k]) for k in arrays)
    named = mz.open(store).assign_coords(path=[f"path {i}" for i in range(N)])
    with pytest.raises(ValueError, match=r"format: .* torch has no values as in 'path'"):
        mz.batches(named, 10, format="torch")


def test_tensors_of_torch_itself(store):
    """Training on them changes no batch; it runs where torch is installed."""
    torch = pytest.importorskip("torch")
    seen, weight = [], torch.zeros(7, dtype=torch.float64, requires_grad=True)
    for batch in mz.batches(store, 700, order="random", seed=(1, 2), format="torch"):
        assert {name: t.dtype for name, t in batch.items()} == {
            "x": torch.float64, "drift": torch.float64, "path": torch.int64,
        }  # fmt: skip
        assert all(t.is_contiguous() for t in batch.values())
        loss = ((batch["x"][:, 0] @ weight - batch["drift"]) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= 1e-3 * weight.grad
            batch["x"].zero_()  # a batch is the caller's own
        weight.grad = None
        seen.append(batch["path"])
    order = torch.cat(seen)
    assert torch.equal(order.sort().values, torch.arange(N))
    assert torch.isfinite(weight).all()
    again = mz.batches(store, 700, order="random", seed=(1, 2), format="torch")
    first = next(again)
    assert torch.equal(first["path"], seen[0])
    assert first["x"].abs().sum() > 0
    named = mz.open(store).assign_coords(path=[f"path {i}" for i in range(N)])
    with pytest.raises(ValueError, match=r"format: .* torch has no values as in 'path'"):
        mz.batches(named, 10, format="torch")


def test_without_torch_the_error_has_the_remedy(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(mz.MissingDependencyError, match=r"pip install torch.*format='numpy'"):
        mz.batches(store, 10, format="torch")


REFUSED = {
    "order: expected one of 'path', 'random', got 'shuffled'": {"order": "shuffled"},
    "order: expected one of 'path', 'random', got True": {"order": True},
    "seed: expected a non-negative integer": {"order": "random", "seed": -1},
    "seed: expected a non-negative integer,": {"order": "random", "seed": 1.5},
    "A generator is state": {"order": "random", "seed": np.random.default_rng(1)},
    "seed: expected None": {"seed": 1},
    "window: expected None": {"window": 1000},
    "window: expected an integer >= 1": {"order": "random", "window": 0},
    "window: expected an integer >= 1 ": {"order": "random", "window": 2.5},
    "format: expected one of 'xarray', 'numpy', 'torch'": {"format": "pandas"},
    "drop_last: expected True or False": {"drop_last": 1},
    "size: expected an integer >= 1": {"size": 0, "order": "random"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_is_refused_at_the_call(store, message):
    options = {"size": 10} | REFUSED[message]
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError)) as caught:
        mz.batches(store, **options)
    assert message.strip() in str(caught.value)


def test_what_cannot_be_shuffled_is_refused(store, tmp_path, monkeypatch):
    with pytest.raises(mz.StoreNotFoundError):
        mz.batches(tmp_path / "none.zarr", 10, order="random")
    with pytest.raises(TypeError, match="ds: expected a Dataset, or the path of a store"):
        mz.batches(3, 10)
    with pytest.raises(ValueError, match="without end"):
        mz.batches(mz.simulate(GBM, None, 3, 1.0, seed=1), 10, order="random")
    monkeypatch.setattr(_batches, "memory_limit", lambda: 500_000)
    with pytest.raises(mz.MemoryBudgetError, match="window: expected two windows"):
        mz.batches(store, 10, order="random", window=3000)
    mz.batches(store, 10, order="random", window=1024)
