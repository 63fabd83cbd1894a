"""Few long paths take the memory of what is there, not that of a whole block of 1024 paths."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import montezarr as mz
from montezarr.reduction.accumulate import Accumulator
from montezarr.reduction.sources import PathData, block_source_of
from montezarr.run import chunk_policy
from montezarr.statistics import Sample, Source
from montezarr.statistics import _sums as sums
from montezarr.statistics._built_in import built_in_statistics
from montezarr.store.format import _encode
from montezarr.store.format._layout import StoredArray

MIB = 2**20
N, T = 20, 50_000
BLOCK_BYTES = 1024 * (T + 1) * 8

PROGRAM = """
import json, re, sys, tempfile
import numpy as np
import montezarr as mz

N, T = int(sys.argv[1]), int(sys.argv[2])


def walk(rng, T):
    return rng.standard_normal(T + 1)


def grown(call):
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before = peak()
    call()
    return peak() - before


def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024


def write(ds, **options):
    with tempfile.TemporaryDirectory() as folder:
        mz.write(ds, folder + "/a.zarr", **options)


gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
made = {"counter": (gbm, {"x0": 1.0, "dt": 1e-4}), "loop": (walk, {})}
shards = mz.Storage(inner_chunk=1024)
found = {}
for name, (process, options) in made.items():
    few = mz.simulate(process, n_paths=20, T=4, seed=1, **options)
    for thing in (few, few.x.max("time")):  # compiled loops and modules, which no path adds to
        mz.reduce(thing, "mean")
    write(few)
    write(few, storage=shards)
    ds = mz.simulate(process, n_paths=N, T=T, seed=1, **options)
    plan = mz.plan(ds)
    found[name] = {
        "write": (grown(lambda: write(ds)), plan.peak_bytes),
        "shards": (grown(lambda: write(ds, storage=shards)), plan.peak_bytes),
        "reduce": (grown(lambda: mz.reduce(ds, "mean")), mz.plan(ds, "mean").reduction_bytes),
        "expression": (
            grown(lambda: mz.reduce(ds.x.max("time"), "mean")),
            mz.plan(ds.x.max("time"), "mean").reduction_bytes,
        ),
    }
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process alone is in /proc")
def test_few_long_paths_take_the_memory_that_the_plan_says():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(N), str(T)], capture_output=True, text=True, check=True
    )
    for kind, measured in json.loads(done.stdout).items():
        for what, (grown, planned) in measured.items():
            assert grown <= planned + 8 * MIB, (kind, what)
            assert planned < BLOCK_BYTES / 2, (kind, what)


@pytest.mark.parametrize("shape", [(7,), (3, 5), ()])
@pytest.mark.parametrize("inner", [None, 1024])
@pytest.mark.parametrize("n", [0, 1, 1000, 1024, 1030, 3071])
def test_a_chunk_that_is_not_full_has_the_bytes_of_one_that_was_filled_up(
    shape, inner, n, monkeypatch
):
    monkeypatch.setattr(_encode, "FILLED_PIECE_BYTES", 2 * 3072 * 8)  # several pieces
    array = StoredArray(
        name="x", dims=("path", *"abc"[: len(shape)]), shape=shape, dtype="float64",
        fill=np.nan, attributes={},
    )  # fmt: skip
    storage = mz.Storage(inner_chunk=inner)
    rows = np.random.default_rng(n).random((*shape, n))
    whole = np.full((*shape, 3072), array.fill)
    whole[..., :n] = rows
    expected = _encode.encode_chunk(array, 3072, storage, whole)
    pieces, size, digest = _encode.encode_chunk(array, 3072, storage, rows)
    for _ in range(2):  # they can be read again
        assert b"".join(map(bytes, pieces)) == b"".join(map(bytes, expected[0]))
    assert (size, digest) == expected[1:]


@pytest.mark.parametrize("kind", sorted(built_in_statistics()))
@pytest.mark.parametrize("has_kernel", [True, False])
def test_the_state_of_no_path_takes_no_block(kind, has_kernel, monkeypatch):
    if not has_kernel:
        monkeypatch.setattr(sums, "compiled", lambda: None)
    statistic = built_in_statistics()[kind].examples()[0]
    cells = 20_000
    values = np.empty((cells, 1, 0))
    times = np.arange(2.0)
    if statistic.axis is not None:
        values = np.empty((2, cells, 1, 0))
    sample = Sample(values, 0, Source(times=times, names=("a", "b")))
    statistic.chunk(sample)
    tracemalloc.start()
    state = statistic.chunk(Sample(values, 0, sample.source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    held = sum(np.asarray(array).nbytes for array in state)
    assert peak < 8 * held + MIB < cells * 1024 * 8


def test_the_plan_of_a_sampler_of_blocks_counts_the_block_that_is_drawn(monkeypatch):
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return rng.random((n, T + 1))

    ds = mz.simulate(Blocks(), n_paths=20, T=1000, seed=1)
    assert mz.plan(ds).worker_bytes == 3 * (20 + 1024) * 1001 * 8
    monkeypatch.setattr(chunk_policy, "memory_limit", lambda: 2**27)
    with pytest.raises(mz.MemoryBudgetError, match=r"T: .*block of 1024.*sample_path, which"):
        mz.simulate(Blocks(), n_paths=20, T=20_000, seed=1)
    with pytest.raises(mz.MemoryBudgetError, match=r"chunks: .*got 1,024 paths"):
        mz.simulate(Blocks(), n_paths=20, T=8_000, seed=1)


def test_the_trial_of_a_sampler_of_blocks_takes_what_the_plan_says():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return rng.random((n, T + 1))

    mz.simulate(Blocks(), n_paths=20, T=10, seed=1)  # imports and caches
    tracemalloc.start()
    ds = mz.simulate(Blocks(), n_paths=20, T=5000, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.02 * mz.plan(ds).worker_bytes


def test_what_is_made_of_long_paths_does_not_depend_on_how_many_there_are():
    """NumPy adds one path in another order than many, and fills registers in another way."""
    found = {}
    for n in (5, 19, 24):
        ds = mz.simulate(mz.BrownianMotion(), n_paths=n, T=20_000, seed=3, dtype="float32")
        made = np.exp(ds.x / 100).sum("time") + np.sin(ds.x).mean("time")
        feed = block_source_of(PathData.of(made.rename("y")))
        task = feed.task(Accumulator(()))
        assert task.unit < 1024, "no whole block is filled up"
        (_, (found[n],), _), *_ = task.pieces(0, n, None, n)
        alone = [task.pieces(i, i + 1, None, 1) for i in range(n)]
        np.testing.assert_array_equal(found[n], [next(part)[1][0].item() for part in alone])
    for n, values in found.items():
        np.testing.assert_array_equal(values, found[24][:n])


def test_a_compressed_chunk_is_planned_as_the_whole_one_that_it_is_made_of():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=24, T=99, seed=1)
    plain = mz.plan(ds, storage=mz.Storage())
    small = mz.plan(ds, storage=mz.Storage(compression="zstd"))
    assert plain.worker_bytes == 3 * 24 * 800
    assert small.worker_bytes - plain.worker_bytes == 1000 * 800 == small.peak_bytes - 57_600
