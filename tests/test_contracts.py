"""The contracts of paths, statistics, stores and memory, of runs of any schema by any sampler."""

import tempfile
import tracemalloc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import (
    COMPILED,
    KINDS,
    SIZES,
    STARTS,
    WORDS,
    Case,
    T,
    cases,
    check_same,
    shape_of,
)
from stores import files

import montezarr as mz
from montezarr.testing import strategies

MIXED = (
    (("time",), "float64"), ((), "int64"), (("time", "a"), "float32"), (("b", "time"), "int8"),
    (("a",), "bool"),
)  # fmt: skip
LABELLED = {"a": ("left", "right"), "b": (0.5, 1.5, 4.0)}

EACH = {kind: Case(kind, MIXED, LABELLED) for kind in KINDS} | {
    "compiled": Case("compiled", COMPILED, {"a": ("left", "right")}),
    "text": Case("path", ((("time",), "text"), ((), "uint16"), (("a", "b"), "text")), LABELLED),
    "states": Case("method", MIXED, LABELLED, STARTS),
    "states of blocks": Case("block", MIXED, LABELLED, STARTS),
}
each_case = pytest.mark.parametrize("case", EACH.values(), ids=EACH)


def some_cases(*names):
    return pytest.mark.parametrize("case", [EACH[name] for name in names], ids=names)


any_case = st.one_of(cases(), cases(("path", "seed", "block", "method", "blocks"), True))
widely = settings(max_examples=25, deadline=None, derandomize=True)

STATISTICS = ("mean", "std", "max", "min", "count", "q05", "median")


@contextmanager
def here():
    """Run in this thread, where code on the global state may run too."""
    with mz.backend("synchronous"):
        yield


def computed(ds):
    return ds.compute(scheduler="synchronous")


# --- paths -------------------------------------------------------------------------------------


def check_paths(case, n, chunks, selected, keep, path):
    """Check that paths are those by hand, whatever else is drawn with them."""
    right = computed(case.simulate(n, chunks=4096))
    for i, (dims, _) in enumerate(case.schema):
        assert right[f"v{i}"].dims == ("path", *dims)
        assert right[f"v{i}"].dtype == case.held(i)
    for dim, labels in case.coords.items():
        assert right[dim].values.tolist() == list(labels)
    check_by_hand(case, right, path)
    ds = case.simulate(n, chunks=chunks)
    check_same(computed(ds.isel(path=selected)), right.isel(path=selected))
    check_same(mz.replay(ds, path), right.isel(path=path))
    kept = case.simulate(n, chunks=chunks, keep=keep)
    positions = slice(None, None, keep) if isinstance(keep, int) else keep
    wanted = right.isel(time=positions) if "time" in right.dims else right
    check_same(mz.replay(kept, path), wanted.isel(path=path))
    with here():
        batches = list(mz.batches(kept, 700))
    check_same(xr.concat(batches, "path", data_vars="all"), wanted)


def check_by_hand(case, right, path):
    for i, (name, value) in enumerate(case.by_hand(path).items()):
        if case.schema[i][1] == "text":
            value = np.vectorize(WORDS.index, otypes=[int])(value)
        np.testing.assert_array_equal(right[name][path], value)


@each_case
def test_paths_are_those_by_hand_alone_and_among_others(case):
    check_paths(case, 1100, 1024, [1030, 3, 1023], [0, -1], 1025)


@pytest.mark.slow
@widely
@given(any_case, st.integers(1, 2500), st.data())
def test_any_paths_are_those_by_hand_alone_and_among_others(case, n, data):
    chunks = data.draw(strategies.chunk_sizes(n), "chunks")
    selected = data.draw(strategies.path_selections(n), "selected")
    keep = data.draw(strategies.keeps(T), "keep")
    path = data.draw(st.integers(0, n - 1), "path")
    check_paths(case, n, chunks, selected, keep, path)


@pytest.mark.parametrize("kind", KINDS)
def test_complex_numbers_are_refused_at_the_call(kind):
    with pytest.raises(mz.SamplerError, match=r"path 0: v0: expected numbers, got array\("):
        Case(kind, ((("time",), "complex128"),)).simulate(5)


# --- statistics --------------------------------------------------------------------------------


def asked(case, names):
    """Return what is asked of each variable: of labels no mean is taken."""
    dtypes = {f"v{i}": dtype for i, (_, dtype) in enumerate(case.schema)}
    return {v: mz.Proportion() if dtype == "text" else names for v, dtype in dtypes.items()}


def check_statistics(case, n, chunks, names, selected):
    """Check that statistics are the same by every way, bit for bit."""
    names = asked(case, names)
    paths = computed(case.simulate(n, chunks=4096))
    right = mz.reduce(paths, names)
    ds = case.simulate(n, chunks=chunks)
    with here():
        check_results(mz.reduce(ds, names), right)
        check_declared(mz.reduce(ds, names, compute=False).compute(), right)
        streamed = list(mz.stream(ds, names))[-1].dataset  # which has intervals of its own, too
        check_declared(streamed[[name for name in right if name in streamed]], right)
        of_some = mz.reduce(ds.isel(path=selected), names)
        check_values(of_some, mz.reduce(paths.isel(path=selected), names))
        sums = total(ds)
        check_results(mz.reduce(sums, "mean"), mz.reduce(total(paths), "mean"))
        if n > max(SIZES.values()):  # of few paths it cannot be tried
            assert mz.plan(sums).reduction.startswith("block by block")
    if case.kind != "legacy":
        with mz.backend("threads", n_jobs=2):
            check_results(mz.reduce(ds, names), right)


def total(ds):
    """Return an expression of all variables."""
    variables = [ds[name].astype(float).drop_attrs() for name in ds.data_vars]
    return sum(v.sum([dim for dim in v.dims if dim != "path"]) for v in variables).rename("y")


def check_results(found, right):
    xr.testing.assert_identical(found.drop_attrs(), right.drop_attrs())


def check_values(found, right):
    """Check results of a selection, which in memory does not know which paths it has."""
    named = [name for name in right if name.endswith("_path")]
    check_results(found.drop_vars(named), right.drop_vars(named))


def check_declared(found, right):
    """Check results that were named before there were paths: intervals of shares are not known."""
    more = set(right) - set(found)
    assert all(name.endswith(("_mean_low", "_mean_high")) for name in more)
    check_results(found, right.drop_vars(more))


@some_cases("path", "block", "counter", "compiled", "text")
def test_statistics_are_the_same_by_every_way(case):
    check_statistics(case, 1100, 1024, ["mean", "max", "q05"], slice(5, None, 3))


@pytest.mark.slow
@widely
@given(any_case, st.integers(1, 2500), st.data())
def test_any_statistics_are_the_same_by_every_way(case, n, data):
    chunks = data.draw(strategies.chunk_sizes(n), "chunks")
    chosen = st.lists(st.sampled_from(STATISTICS), min_size=1, max_size=3, unique=True)
    first = data.draw(st.integers(0, n - 1), "first")
    step = data.draw(st.integers(1, 5), "step")
    names = data.draw(chosen, "statistics")
    check_statistics(case, n, chunks, names, slice(first, None, step))


# --- stores ------------------------------------------------------------------------------------


def check_store(case, n, m, chunks, options, lost, folder):
    """Check that a store that grew, was mended or is virtual has the bytes of a fresh one."""
    fresh, grown = Path(folder) / "fresh.zarr", Path(folder) / "grown.zarr"
    ds, more = case.simulate(n, chunks=chunks), case.simulate(m, chunks=chunks)
    right = computed(more)
    with here():
        check_same(computed(mz.write(more, fresh, **options)), right)
        whole = files(fresh)
        if case.starts is None:
            check_same(computed(mz.write(ds, grown, **options)), right.isel(path=slice(n)))
            check_same(computed(mz.extend(grown, m, process=case.process)), right)
        else:  # more states are another recipe: a part of the run grows
            mz.write(more, grown, paths=range(more.chunksizes["path"][0]), **options)
            check_same(computed(mz.extend(grown, m, process=case.process)), right)
        assert files(grown) == whole
        for level in (1, 3):
            assert mz.verify(fresh, level, process=case.process).ok
        chunks = sorted(f for f in fresh.glob("v*/c/**/*") if f.is_file())
        for k in lost:
            chunks[k % len(chunks)].unlink(missing_ok=True)
        assert not mz.verify(fresh, 1, process=case.process).ok
        mz.repair(fresh, process=case.process)
        assert files(fresh) == whole
        if "statistics" in options:
            kept = mz.open(fresh, "statistics")
            check_declared(kept, mz.reduce(right, options["statistics"]))
        if case.kind != "legacy":
            check_virtual(more, right, options, fresh)


def check_virtual(ds, right, options, written):
    virtual = mz.VirtualStore(ds, storage=options.get("storage"))
    check_same(computed(virtual.to_dataset()), right)
    raw = xr.open_zarr(virtual, consolidated=False)
    xr.testing.assert_equal(computed(raw), computed(xr.open_zarr(written, consolidated=False)))


@some_cases("path", "blocks", "counter", "text", "states")
def test_a_store_that_grew_or_was_mended_has_the_bytes_of_a_fresh_one(case, tmp_path):
    options = {"statistics": asked(case, ["mean"])} if "b" in case.coords else {}
    check_store(case, 900, 1500, 1024, options, [0, 5], tmp_path)


@pytest.mark.slow
@settings(widely, max_examples=15)
@given(any_case, st.integers(1, 2500), st.data())
def test_any_store_that_grew_or_was_mended_has_the_bytes_of_a_fresh_one(case, n, data):
    m = data.draw(st.integers(n, 3000), "m")
    size = data.draw(st.sampled_from((1024, 2048)), "chunks")
    storage = st.sampled_from([{}, {"compression": "zstd"}, {"inner_chunk": 1024}])
    options = {"storage": mz.Storage(**data.draw(storage, "storage"))}
    if data.draw(st.booleans(), "statistics"):
        options["statistics"] = asked(case, ["mean", "q05"])
    lost = data.draw(st.lists(st.integers(0, 50), min_size=1, max_size=3), "lost")
    with tempfile.TemporaryDirectory() as folder:
        check_store(case, n, m, size, options, lost, folder)


# --- backends ----------------------------------------------------------------------------------


def check_backend(name, kinds, folder):
    ones = {kind: EACH[kind].simulate(1500, chunks=1024) for kind in kinds}
    with mz.backend(name, n_jobs=2):
        results = {}
        for kind, ds in ones.items():
            mz.write(ds, folder / f"{kind}.zarr")
            results[kind] = mz.reduce(ds, asked(EACH[kind], ["mean", "q05"]))
    for kind, ds in ones.items():
        right = computed(ds)
        check_same(computed(mz.open(folder / f"{kind}.zarr")), right)
        check_results(results[kind], mz.reduce(right, asked(EACH[kind], ["mean", "q05"])))


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_mixed_paths_are_the_same_on_every_backend(backend, tmp_path):
    check_backend(backend, ["path", "counter", "text"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "dask", "joblib", "multiprocessing"])
def test_paths_of_all_samplers_are_the_same_on_slower_backends(backend, tmp_path):
    kinds = ["path", "seed", "method", "block", "blocks", "counter", "compiled", "legacy"]
    check_backend(backend, kinds, tmp_path)


# --- memory ------------------------------------------------------------------------------------

WIDE = {"time": T + 1, "a": 200, "b": 30}
SLACK = 3 * 2**20
"""What Python and the libraries take beside arrays."""


def wide(kind):
    """Return a case of some megabytes a chunk."""
    return replace(EACH[kind], sizes=WIDE, coords={})


def of_its_own(case):
    """Return the bytes that a sampler of blocks takes itself: numbers, moved, of another type."""
    size = sum(int(np.prod(shape_of(dims, WIDE))) for dims, _ in case.schema)
    return 3 * 8 * 1024 * size if case.kind in ("block", "blocks", "counter") else 0


def measured(act):
    """Return the bytes that were taken at once, the second time: what is imported stays."""
    act()
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["block", "counter", pytest.param("path", marks=pytest.mark.slow)])
def test_no_more_memory_is_taken_than_was_planned(kind, tmp_path):
    case = wide(kind)
    ds = case.simulate(2000, chunks=1024)
    plan = mz.plan(ds, ["mean", "max"])
    own = of_its_own(case) + SLACK
    stores = iter(range(9))
    with here():
        written = measured(lambda: mz.write(ds, tmp_path / f"{next(stores)}.zarr"))
        reduced = measured(lambda: mz.reduce(ds, ["mean", "max"]))
        streamed = measured(lambda: list(mz.stream(ds, ["mean", "max"])))
    assert plan.chunk_bytes > 2**22
    assert written <= plan.worker_bytes + own
    assert reduced <= plan.reduction_bytes + own
    assert streamed <= plan.reduction_bytes + own


@pytest.fixture
def memory(monkeypatch):
    """Have a machine of so many bytes."""

    def limited(total):
        found = SimpleNamespace(total=total, available=total, used=0, free=total, percent=0.0)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: found)

    return limited


@pytest.mark.parametrize("kind", ["path", "block", "counter"])
def test_what_cannot_fit_is_refused_before_anything_is_drawn(kind, memory):
    case = wide(kind) if kind != "compiled" else EACH[kind]
    with here():
        plan = mz.plan(case.simulate(5000, chunks=4096))
        memory(3 * plan.chunk_bytes - 1)
        with pytest.raises(mz.MemoryBudgetError, match="chunks: expected chunks that fit"):
            case.simulate(5000, chunks=4096)
        memory(4 * plan.peak_bytes)
        case.simulate(5000, chunks=4096)


def test_statistics_that_cannot_fit_are_refused_before_anything_is_drawn(memory):
    drawn = []

    def counted(n, rng, T):
        drawn.append(n)
        return rng.random((n, T + 1, 50))

    ds = mz.simulate(counted, 5000, T=T, seed=1, chunks=1024)
    with here():
        needed = mz.plan(ds, ["mean", "q05"]).reduction_bytes
        drawn.clear()
        memory(needed - 1)
        for act in (mz.reduce, mz.stream, mz.plan):
            with pytest.raises(mz.MemoryBudgetError, match="statistics: expected states that fit"):
                act(ds, ["mean", "q05"])
        assert not drawn
        memory(needed)
        mz.reduce(ds, ["mean", "q05"])


@pytest.mark.parametrize("kind", [*KINDS, "compiled", "text"])
def test_a_thousand_times_as_many_paths_take_no_more_memory(kind):
    case, numbers = EACH[kind], (10**6, 10**9)
    statistics = asked(case, ["mean", "q05"])
    few, many = (mz.plan(case.simulate(n, chunks=4096), statistics) for n in numbers)
    assert many.worker_bytes == few.worker_bytes
    assert many.peak_bytes == few.peak_bytes
    assert many.reduction_bytes == few.reduction_bytes
