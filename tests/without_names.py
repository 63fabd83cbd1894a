"""Do the work of a user in processes where names of other packages are hidden: prints JSON.

Run as a program, with groups of names as arguments, joined by commas: for each group, and for none,
a process is forked in which `montezarr.core.compat` finds no such names. See test_private_names.py.
"""

import builtins
import contextlib
import gc
import hashlib
import importlib
import importlib.machinery
import json
import os
import re
import sys
import tempfile
import threading
import traceback
from pathlib import Path

COMPAT = "montezarr.core.compat."

CONCERNS_ALL = re.compile("dask|zarr|fsspec")
"""Packages whose names take part in what is done in one process; those of workers do not."""

HEAVY = ["dask.array", "numba", "pandas", "xarray", "zarr"]

STATISTICS = ["mean", "std", "q05", "max"]


class Hiding:
    """A finder of the modules of `montezarr.core.compat` to which some names are not there.

    They alone are told so: packages go on using their own names.

    Attributes
    ----------
    met : int
        How often a hidden name was looked for.
    """

    def __init__(self, names):
        self.names, self.met = set(names), 0
        self.last = {name.rpartition(".")[2] for name in names}

    def find_spec(self, name, path=None, target=None):
        if not name.startswith(COMPAT):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            module.__dict__["__builtins__"] = vars(builtins) | {
                "__import__": self.imported,
                "getattr": self.got,
                "hasattr": lambda thing, name: name not in self.last and hasattr(thing, name),
                "delattr": self.deleted,
            }
            execute(module)

        spec.loader.exec_module = exec_module
        return spec

    def imported(self, name, globals=None, locals=None, fromlist=(), level=0):
        wanted = {name, *(f"{name}.{part}" for part in fromlist or ())}
        if wanted & self.names:
            self.met += 1
            raise ImportError(f"hidden: {name}")
        return __import__(name, globals, locals, fromlist, level)

    def got(self, thing, name, *default):
        if name in self.last:
            self.met += 1
            if default:
                return default[0]
            raise AttributeError(name)
        return getattr(thing, name, *default)

    def deleted(self, thing, name):
        if name in self.last:
            self.met += 1
            raise AttributeError(name)
        delattr(thing, name)


def walk(rng, T):
    """Return a path of which one in fifty fails."""
    if rng.random() < 0.02:
        raise ValueError
    return rng.normal(size=T + 1).cumsum()


def work(here, *, is_short):
    """Simulate, reduce, write and read; return what came out, by what was done."""
    import zarr

    import montezarr as mz

    with mz.backend("threads", n_jobs=2):
        ds = mz.simulate(mz.RandomWalk(), n_paths=3000, T=5, seed=1, chunks=1024)
        mz.write(ds, here / "a.zarr", storage=mz.Storage(compression="zstd"))
        stored = mz.open(here / "a.zarr")
        found = {
            "reduce": mz.reduce(ds.x, STATISTICS),
            "stored": mz.reduce(stored.x, STATISTICS),
        }
        if is_short:
            return {name: digest(value) for name, value in found.items()}
        own = mz.simulate(walk, n_paths=60, T=4, seed=2, chunks=20, on_error="mask")
        starts = mz.simulate(mz.RandomWalk(), n_paths=3000, T=5, seed=1, x0=list(range(3000)))
        memory = zarr.storage.MemoryStore()
        mz.write(ds, memory)
        mz.write(ds, zarr.storage.FsspecStore.from_url("memory://without_names.zarr"))
        found |= {
            "expression": mz.reduce((ds.x.isel(time=-1) ** 2).rename("square"), STATISTICS[:3]),
            "filled": mz.reduce((ds.x.max("time") + 0 * ds.x[:, 0]).rename("most"), "mean"),
            "starts": mz.reduce(starts.x, "mean"),
            "stream": list(mz.stream(ds.x, "mean"))[-1].dataset,
            "masked": mz.reduce((own.x > 1).sum("time").rename("above"), "mean"),
            "computed": ds.compute(),
            "in memory": mz.open(memory).compute(),
            "batches": list(ds.mz.batches(1024))[-1],
        }
    return {name: digest(value) for name, value in found.items()}


def digest(ds):
    """Return a digest of the numbers of a Dataset."""
    hasher = hashlib.sha256()
    for name in sorted(ds.data_vars):
        hasher.update(name.encode())
        hasher.update(ds[name].values.tobytes())
    return hasher.hexdigest()[:16]


def run(names):
    """Return what `work` returns without the names, how often they were missed, and any error."""
    import warnings

    hiding = Hiding(names)
    sys.meta_path.insert(0, hiding)
    found, error = {}, ""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of masked paths
        try:
            found = work(Path(folder), is_short=not any(map(CONCERNS_ALL.match, names or ["dask"])))
        except BaseException:
            error = traceback.format_exc()
    return {"found": found, "met": hiding.met, "error": error}


def forked(function, *args):
    """Return what a function returns in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                json.dump(function(*args), out)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def modules_of_others():
    """Return the names of all modules that the work imports, but those of this package."""
    run([])
    return [name for name in sys.modules if name.partition(".")[0] not in ("montezarr", "__main__")]


def main(groups):
    # Once, for all processes: what takes long to import. Threads would not outlive a fork.
    for name in forked(modules_of_others) if len(groups) > 2 else HEAVY:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    assert threading.active_count() == 1
    assert not any(name.startswith("montezarr") for name in sys.modules)
    gc.freeze()
    found = {group: forked(run, group.split(",") if group else []) for group in ["", *groups]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
