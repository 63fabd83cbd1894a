"""What is struck: writing, growing, merging, repairing, exporting and saving; and what is right.

Each work begins with a folder that is copied, ends with files in it, and, called again after any
blow, ends with the same ones.
"""

import contextlib
import os
import shutil
import time

import numpy as np

import montezarr as mz
from montezarr.store import _task, _writer
from montezarr.store.export import export

CHUNK, CHUNKS, T = 1024, 6, 6
N = CHUNKS * CHUNK - 300
FEW = 2 * CHUNK + 500

PROCESS = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
STORE = "a.zarr"


def paths(n=N, seed=5):
    """Return the run that all are about; it is of several chunks, the last one no whole one."""
    return mz.simulate(PROCESS, n, T, 100.0, dt=0.05, seed=seed, chunks=CHUNK)


def options(statistics):
    """Return how it is written."""
    return {"statistics": ["mean", mz.Quantile(0.9)]} if statistics else {}


@contextlib.contextmanager
def slowed(pause, backend, workers=2):
    """Have each chunk take some time, so that blows fall into the middle, on a backend."""
    kind = _task.ChunkTask

    class Slowed(kind):
        def _one(self, *args):
            time.sleep(pause)
            return super()._one(*args)

    _writer.ChunkTask, _writer.PUBLISH_SECONDS = Slowed, 0.02
    try:
        with mz.backend(backend, workers):
            yield
    finally:
        _writer.ChunkTask = kind


def write(folder, statistics=False, n=N, seed=5, pause=0.0, backend="threads", **more):
    """Write the store, or go on."""
    with slowed(pause, backend):
        mz.write(paths(n, seed), folder / STORE, **options(statistics), **more)


def extend(folder, statistics=False, pause=0.0, backend="threads", **more):
    """Make the store that is there grow."""
    with slowed(pause, backend):
        mz.extend(folder / STORE, N, **more)


def begin(folder, statistics=False, **more):
    """Prepare `extend`."""
    write(folder, statistics, n=FEW)


def merge(folder, statistics=False, pause=0.0, backend="threads", **more):
    """Merge two stores into one."""
    with slowed(pause, backend):
        mz.merge([folder / "one.zarr", folder / "two.zarr"], folder / STORE)


def begin_merge(folder, statistics=False, **more):
    """Prepare `merge`."""
    half = 3 * CHUNK
    ds = paths()
    mz.write(ds, folder / "one.zarr", paths=range(half), **options(statistics))
    mz.write(ds, folder / "two.zarr", paths=range(half, N), **options(statistics))


def repair(folder, statistics=False, pause=0.0, backend="threads", **more):
    """Repair the store."""
    with slowed(pause, backend):
        mz.repair(
            folder / STORE, **({"statistics": ["mean", mz.Quantile(0.9)]} if statistics else {})
        )


def begin_repair(folder, statistics=False, **more):
    """Prepare `repair`: some files are gone, cut, or hold other bytes."""
    write(folder, statistics)
    store = folder / STORE
    (store / "x/c/1/0").unlink() if (store / "x/c/1/0").exists() else None
    chunks = sorted(file for file in (store / "x").rglob("*") if file.parent.name != "x")
    chunks = [file for file in chunks if file.is_file() and file.name != "zarr.json"]
    chunks[0].write_bytes(chunks[0].read_bytes()[:-9])
    data = bytearray(chunks[-1].read_bytes())
    data[100] ^= 255
    chunks[-1].write_bytes(bytes(data))
    (store / "zarr.json").unlink()


def save_table(folder, statistics=False, pause=0.0, backend="threads", **more):
    """Export the store to a table."""
    export(folder / STORE, folder / "out.parquet", overwrite=True)


def save_stream(folder, statistics=False, pause=0.0, backend="threads", **more):
    """Take statistics and save their state now and then; go on from the last one."""
    file = folder / "state.npz"
    resume = {"resume_from": file} if file.exists() else {}
    with slowed(pause, backend):
        for snapshot in mz.stream(paths().x, ["mean", "std"], every=None, **resume):
            time.sleep(pause)
            snapshot.save(file)


WORKS = {
    "write": (None, write),
    "extend": (begin, extend),
    "merge": (begin_merge, merge),
    "repair": (begin_repair, repair),
    "export": (write, save_table),
    "save": (None, save_stream),
}
"""By name, what prepares a work, and the work."""


def prepared(folder, work, statistics):
    """Make the folder in which a work begins."""
    folder.mkdir(parents=True)
    before = WORKS[work][0]
    if before is not None:
        before(folder, statistics)


def shown(path):
    """Return how many paths a store shows, and whether they are the right ones; None without."""
    try:
        stored = mz.open(path)
    except mz.StoreNotFoundError:
        return None
    except mz.StoreError:  # it says what to do, such as to repair it
        return None
    values = stored.x.values
    right = paths().isel(path=slice(0, len(values))).x.compute(scheduler="synchronous").values
    return len(values), bool(np.array_equal(values, right))


def copied(template, folder):
    """Return a copy of a folder."""
    shutil.copytree(template, folder, symlinks=True)
    return folder


def wait_for(file):
    """Wait until a file is there, or the parent is not."""
    parent = os.getppid()
    while not os.path.exists(file) and os.getppid() == parent:
        time.sleep(0.005)
