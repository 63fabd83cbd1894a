"""Runs of random schemas by all classes of samplers, and the paths of them by hand."""

import collections
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numba import njit

import montezarr as mz
from montezarr.random.seeding import BLOCK_PREFIX

SEED = 31
T = 3
SIZES = {"time": T + 1, "a": 2, "b": 3}
DIMS = ((), ("time",), ("time", "a"), ("a",), ("b", "time"), ("a", "b"), ("time", "a", "b"))
DTYPES = ("float64", "float32", "int64", "int8", "uint16")
OTHERS = ("bool", "float16", "uint64", "text")
"""Of what samplers return, too; the numbers of a path are of another type."""

HELD = {"bool": "int64", "float16": "float64", "uint64": "int64", "text": "int32"}
WORDS = ("calm", "storm", "föhn")
COORDS = ({}, {"a": ("left", "right")}, {"a": ("ä", "b c"), "b": (0.5, 1.5, 4.0)}, {"b": (7, 3, 5)})

FUNCTIONS = ("path", "seed", "block")
METHODS = ("method", "blocks", "counter", "legacy")
KINDS = (*FUNCTIONS, *METHODS)
BLOCKS = ("block", "blocks")


def made(uniform, dtype):
    """Return uniform numbers as values of a dtype."""
    if dtype == "text":
        return np.array(WORDS)[(uniform * len(WORDS)).astype(int)]
    if dtype == "bool":
        return uniform < 0.5
    return (uniform * (100.0 if np.dtype(dtype).kind in "iu" else 1.0)).astype(dtype)


def shape_of(dims, sizes=SIZES):
    return tuple(sizes[dim] for dim in dims)


def values(rng, schema, n=(), shift=None, sizes=SIZES):
    """Return the variables of a path, or of a block of them, which `shift` moves if it is given."""
    out = {}
    for i, (dims, dtype) in enumerate(schema):
        uniform = rng.random((*n, *shape_of(dims, sizes)))
        if shift is not None:
            shifts = np.reshape(shift, np.shape(shift) + (1,) * len(dims))
            uniform = (uniform + shifts) % 1.0
        out[f"v{i}"] = made(uniform, dtype)
    return out


def sampler_of(kind, schema, sizes=SIZES):
    """Return a sampler of one class that has these variables, v0, v1 and so on."""

    def drawn(rng, n=(), shift=None):
        return values(rng, schema, n, shift, sizes)

    class Method:
        def sample_path(self, T, x0, rng):
            return drawn(rng, shift=x0)

    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return drawn(rng, (n,), x0)

    class Counter:
        def sample(self, draws, grid, x0):
            out = {}
            for i, (dims, dtype) in enumerate(schema):
                shape = shape_of(dims, sizes)
                rows = draws.uniform(range(int(np.prod(shape))), slot=i)
                out[f"v{i}"] = made(rows.reshape(*shape, -1), dtype)
            return out

    class Legacy:
        def sample_path(self, T, x0):
            return drawn(np.random)

    return {
        "path": lambda rng, T, x0=None: drawn(rng, shift=x0),
        "seed": lambda seed, T, x0=None: drawn(np.random.default_rng(seed), shift=x0),
        "block": lambda n, rng, T, x0=None: drawn(rng, (n,), x0),
        "method": Method(),
        "blocks": Blocks(),
        "counter": Counter(),
        "legacy": Legacy(),
    }[kind]


Mixed = collections.namedtuple("Mixed", ["v0", "v1", "v2"])


@cache
def compiled():
    """Return a compiled function of a vector over time, counts and a number of a path."""

    @njit
    def mixed(rng, T):
        counts = np.zeros(T + 1, np.int64)
        for k in range(T):
            counts[k + 1] = counts[k] + rng.poisson(3.0)
        return Mixed(rng.random((T + 1, 2)), counts, rng.random())

    return mixed


COMPILED = ((("time", "a"), "float64"), (("time",), "int64"), ((), "float64"))
"""The schema of it."""


def child(path, seed=SEED):
    return np.random.SeedSequence(seed, spawn_key=(path,))


def block(number, seed=SEED):
    return np.random.SeedSequence(seed, spawn_key=(BLOCK_PREFIX, number))


@dataclass(frozen=True)
class Case:
    """What the values of a run of any number of paths depend on."""

    kind: str
    schema: tuple
    coords: dict = field(default_factory=dict)
    starts: Any = None
    sizes: dict = field(default_factory=lambda: SIZES)

    @property
    def process(self):
        """A sampler of it, made anew, as another session would have it."""
        if self.kind == "compiled":
            return compiled()
        return sampler_of(self.kind, self.schema, self.sizes)

    def simulate(self, n, **more):
        """Return the run of `n` paths."""
        x0 = None if self.starts is None else self.starts[:n]
        labels = WORDS if any(dtype == "text" for _, dtype in self.schema) else None
        return mz.simulate(
            self.process, n, T, x0, seed=SEED, labels=labels,
            dims={f"v{i}": dims for i, (dims, _) in enumerate(self.schema)},
            coords=self.coords or None, legacy_global_rng=self.kind == "legacy", **more,
        )  # fmt: skip

    def by_hand(self, path):
        """Return the variables of a path, made with NumPy alone; None of what is counter-based."""
        shift = None if self.starts is None else self.starts[path]
        if self.kind in BLOCKS:
            number, row = divmod(path, 1024)
            rng = np.random.default_rng(block(number))
            shifts = None
            if self.starts is not None:
                inside = np.arange(number * 1024, (number + 1) * 1024)
                shifts = self.starts[np.clip(inside, 0, len(self.starts) - 1)]
            found = values(rng, self.schema, (1024,), shifts)
            return {name: array[row] for name, array in found.items()}
        if self.kind == "counter":
            draws = mz.Draws.of(SEED, start=path, n=1, dtype=self.precision)
            found = self.process.sample(draws, mz.TimeGrid.of(T, 1.0), None)
            return {name: array[..., 0] for name, array in found.items()}
        if self.kind == "legacy":
            rng = np.random.RandomState()
            rng.seed(child(path).generate_state(624))
            return values(rng, self.schema)
        if self.kind == "seed":
            low, high = child(path).generate_state(2, np.uint64)
            rng = np.random.default_rng(int(low) + (int(high) << 64))
            return values(rng, self.schema, shift=shift)
        rng = np.random.default_rng(child(path))
        if self.kind == "compiled":
            return compiled()(rng, T)._asdict()
        return values(rng, self.schema, shift=shift)

    @property
    def precision(self):
        """Return the type of the draws of a process: single where all of its real variables are."""
        real = {self.held(i) for i in range(len(self.schema))} & {"float64", "float32"}
        return "float32" if real == {"float32"} else "float64"

    def held(self, i):
        """Return the type of the numbers of a variable."""
        return HELD.get(self.schema[i][1], self.schema[i][1])


def dtypes_of(kind):
    """Return a strategy for what a sampler may return; what counts labels returns their codes."""
    return st.sampled_from([d for d in (*DTYPES, *OTHERS) if kind != "counter" or d != "text"])


@st.composite
def cases(draw, kinds=KINDS, with_starts=False):
    """Return a strategy for cases of 1 to 4 variables; `with_starts` a state for each of paths."""
    kind = draw(st.sampled_from(kinds), "kind")
    if kind == "compiled":
        return Case(kind, COMPILED)
    variable = st.tuples(st.sampled_from(DIMS), dtypes_of(kind))
    schema = tuple(draw(st.lists(variable, min_size=1, max_size=4), "schema"))
    there = {dim for dims, _ in schema for dim in dims}
    coords = draw(st.sampled_from(COORDS), "coords")
    coords = {dim: labels for dim, labels in coords.items() if dim in there}
    return Case(kind, schema, coords, STARTS if with_starts else None)


STARTS = np.random.default_rng(5).random(3000)


def check_same(found, right):
    """Check that two Datasets have the same variables, bit for bit, with the same labels."""
    assert list(found.data_vars) == list(right.data_vars)
    for name in right.data_vars:
        assert found[name].dims == right[name].dims
        assert found[name].dtype == right[name].dtype
        np.testing.assert_array_equal(found[name].values, right[name].values)
    for name in right.coords:
        if name != "path":
            np.testing.assert_array_equal(found[name].values, right[name].values)
