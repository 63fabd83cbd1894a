"""Random recipes: the paths of each are the same by every route that leads to them."""

import contextlib
import shutil
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

import montezarr as mz
from montezarr.testing.processes import built_in_examples

MOST = 3500
"""Paths of a recipe, at most."""

ROUTES_EACH = 4
"""Routes that each recipe takes, besides the plain one."""


def of_a_generator(rng, T, scale=1.0):
    """Paths of a function that takes a Generator."""
    return scale * rng.standard_normal(T + 1).cumsum()


class OfBlocks:
    """Paths of a sampler of whole blocks."""

    def sample_paths(self, n, T, x0, rng):
        """Return n paths."""
        return x0 + rng.standard_normal((n, T + 1)).cumsum(axis=1)


class OfIntegers:
    """Paths of whole numbers, one at a time."""

    def sample_path(self, T, x0, rng):
        """Return a path."""
        return x0 + rng.integers(-1, 2, T + 1).cumsum()


def recipe(rng):
    """Return the arguments of `simulate`, at random, without chunks."""
    examples = [p for p in built_in_examples() if not p.runs_user_code]
    kind = rng.random()
    T = int(rng.integers(1, 30))
    n = int(rng.integers(1, MOST)) if rng.random() < 0.8 else int(rng.choice([1, 1024, 2048, 3072]))
    more = {"T": T, "seed": seed_of(rng)}
    if rng.random() < 0.2:
        more["stream"] = f"stream {rng.integers(5)}"
    if rng.random() < 0.3:
        more["keep"] = int(rng.integers(1, T + 1))
    elif rng.random() < 0.3:
        more["keep"] = sorted({int(k) for k in rng.integers(0, T + 1, 3)})
    if kind < 0.7:
        process = examples[rng.integers(len(examples))]
        more["dtype"] = str(rng.choice(process.dtypes)) if rng.random() < 0.5 else None
        if rng.random() < 0.5:
            more["dt"] = float(rng.choice([0.01, 1 / 252, 0.5]))
        with contextlib.suppress(Exception):  # one that takes no such step
            mz.simulate(process, 1, **{**more, "keep": None} if "keep" in more else more)
            return (process, n), {k: v for k, v in more.items() if v is not None}
        more.pop("dt", None)
        return (process, n), {k: v for k, v in more.items() if v is not None}
    n = min(n, 1500)
    if kind < 0.8:
        return (of_a_generator, n), more
    process = OfBlocks() if kind < 0.9 else OfIntegers()
    return (process, n), {**more, "x0": 1.0 if kind < 0.9 else 3}


def seed_of(rng):
    """Return a seed of any kind."""
    words = [int(w) for w in rng.integers(0, 2**32, rng.integers(1, 4))]
    kinds = (words[0], words, np.random.SeedSequence(words[0], spawn_key=(7,)), 2**100 + words[0])
    return kinds[rng.integers(len(kinds))]


def chunk_of(rng, n):
    """Return a size of chunks: whole blocks, or not, larger than the run or not."""
    if rng.random() < 0.5:
        return int(rng.integers(1, 4)) * 1024
    return int(rng.integers(max(1, n // 12), n + 1024))


class Case:
    """One recipe, and the values of its paths."""

    def __init__(self, rng, folder):
        self.rng, self.folder = rng, folder
        self.args, self.more = recipe(rng)
        self.process, self.n = self.args
        with mz.backend("synchronous"):
            self.right = self.simulated(chunks=self.n).load()

    def simulated(self, n=None, chunks=None):
        """Return the run, lazily, in some chunks."""
        n = n or self.n
        chunks = chunks or chunk_of(self.rng, n)
        return mz.simulate(self.process, n, **self.more, chunks=chunks)

    def check(self, found, part=slice(None)):
        """Assert that a Dataset has the same variables, bit for bit."""
        right = self.right.isel(path=part)
        assert set(found.data_vars) == set(right.data_vars)
        for name in right.data_vars:
            one, other = found[name], right[name]
            assert one.dims == other.dims, (name, one.dims, other.dims)
            assert one.dtype == other.dtype, (name, one.dtype, other.dtype)
            assert one.values.tobytes() == other.values.tobytes(), name


def chunkings(case):
    """Compute in other chunks, on threads."""
    with mz.backend("threads", 2):
        case.check(case.simulated().compute())


def ranges(case):
    """Compute some paths alone."""
    low = int(case.rng.integers(case.n))
    high = int(case.rng.integers(low, case.n)) + 1
    part = slice(low, high, int(case.rng.integers(1, 5)))
    if case.rng.random() < 0.3:
        part = sorted({int(k) for k in case.rng.integers(0, case.n, 5)})
    case.check(case.simulated().isel(path=part).compute(), part)


def fewer(case):
    """Compute a run of fewer paths, and of more."""
    n = int(case.rng.integers(1, case.n + 1))
    case.check(case.simulated(n).compute(), slice(n))
    more = case.simulated(case.n + int(case.rng.integers(1, 1500)))
    case.check(more.isel(path=slice(case.n)).compute())


def store(case):
    """Write to a store, and read."""
    storage = [None, mz.Storage(compression="zstd"), mz.Storage(compression="gzip")]
    chosen = storage[case.rng.integers(3)]
    mz.write(case.simulated(), case.folder / "a.zarr", storage=chosen)
    case.check(mz.open(case.folder / "a.zarr").load())
    case.check(xr.open_zarr(case.folder / "a.zarr").load())


def extension(case):
    """Write some of the paths, and have the store grow."""
    n = int(case.rng.integers(1, case.n + 1))
    mz.write(case.simulated(n), case.folder / "a.zarr")
    again = {} if hasattr(case.process, "to_dict") else {"process": case.process}
    mz.extend(case.folder / "a.zarr", case.n, **again)
    case.check(mz.open(case.folder / "a.zarr").load())


def merge(case):
    """Write ranges of the paths, and merge the stores."""
    ds = case.simulated(chunks=max(1, case.n // 4) if case.rng.random() < 0.5 else None)
    chunk = ds.chunks["path"][0]
    cuts = list(range(0, case.n, chunk * int(case.rng.integers(1, 4))))
    stores = []
    for low, high in zip(cuts, [*cuts[1:], case.n], strict=True):
        stores.append(case.folder / f"{low}.zarr")
        mz.write(ds, stores[-1], paths=range(low, high))
    mz.merge([stores[i] for i in case.rng.permutation(len(stores))], case.folder / "a.zarr")
    case.check(mz.open(case.folder / "a.zarr").load())


def virtual(case):
    """Read through a store that is nowhere."""
    found = xr.open_zarr(mz.VirtualStore(case.simulated()), consolidated=False).load()
    case.check(found)


def replay(case):
    """Draw single paths again."""
    ds = case.simulated()
    for path in {int(case.rng.integers(case.n)), 0, case.n - 1}:
        found = mz.replay(ds, path)
        for name in case.right.data_vars:
            one = found[name].values
            assert one.tobytes() == case.right[name].isel(path=path).values.tobytes(), name


def batches(case):
    """Iterate in batches."""
    size, at = int(case.rng.integers(1, case.n + 10)), 0
    size = max(size, case.n // 40)
    for part in mz.batches(case.simulated(), size):
        count = part.sizes["path"]
        case.check(part, slice(at, at + count))
        at += count
    assert at == case.n


def elsewhere(case):
    """Compute on worker processes."""
    with mz.backend("processes", 2):
        case.check(case.simulated().compute())


ROUTES = (chunkings, ranges, fewer, store, extension, merge, virtual, replay, batches)
RARE = 0.02
"""Share of the recipes that go to worker processes, too, which take a second to start."""


def one(number, seed, folder):
    """Return what differs for one recipe, as text; nothing where nothing does."""
    rng = np.random.default_rng([seed, number])
    found, case, route = [], None, None
    try:
        case = Case(rng, folder)
        chosen = [ROUTES[i] for i in rng.choice(len(ROUTES), ROUTES_EACH, replace=False)]
        for route in chosen + ([elsewhere] if rng.random() < RARE else []):
            case.folder = folder / route.__name__
            case.folder.mkdir(parents=True)
            route(case)
    except Exception:
        name = getattr(route, "__name__", "simulate")
        what = "" if case is None else f"{case.args} {case.more}"
        text = traceback.format_exc(limit=-3)
        found.append(f"recipe {number} of seed {seed}, {name}: {what}\n{text}")
    return found


def run(numbers, seed, each=one):
    """Return what differs in cases of these numbers, as texts."""
    found = []
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as place:
        warnings.simplefilter("ignore")
        for number in numbers:
            folder = Path(place) / str(number)
            found += each(number, seed, folder)
            shutil.rmtree(folder, ignore_errors=True)
    return found
