"""Runs with random varying parameters, and the separate runs that they are made of."""

import itertools
import json
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st
from numba import njit

import montezarr as mz
from montezarr.processes import Process
from montezarr.run.digests import digest_of

SEED = 77
T = 3
DT = 0.25
GRID_DIMS = ("p1", "p2", "p3")
NUMBERS = (0.5, 0.25, 1.0, 2, 0.75)
"""Values of the parameters of users' code: an integer among them."""


# --- code of users: parameters a, and b with a default ---------------------------------------


class Counter:
    """Whole ranges of paths; two variables, of which one counts."""

    variables = ("x", "ups")

    def sample(self, draws, grid, x0, a, b=1.0):
        steps = a * draws.normal(range(grid.T)) + b * np.diff(grid.times)[:, None]
        x = x0 + np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
        return np.stack([x, np.cumsum(draws.uniform(range(grid.T + 1), slot=1) < a / 4, axis=0)])


class Mapped:
    """Whole ranges of paths; variables of several dimensions and dtypes."""

    def sample(self, draws, grid, x0, a, b=1.0):
        normal = draws.normal(range(2 * grid.T + 2))
        return {
            "x": (a * normal).reshape(grid.T + 1, 2, -1),
            "top": (b * normal).max(axis=0),
            "ups": (a * normal > 0.1).sum(axis=0),
        }


def starts_of(x0, n):
    return np.broadcast_to(0.0 if x0 is None else x0, (n,))[:, None]


class Blocks:
    """A block of paths at a time."""

    def sample_paths(self, n, T, x0, rng, a, b=1.0):
        steps = np.reshape(a, (-1, 1)) * rng.standard_normal((n, T + 1)) + np.reshape(b, (-1, 1))
        return starts_of(x0, n) + np.cumsum(steps, axis=1)


def block(n, rng, T, dt, x0=None, *, a, b=1.0):
    """A block of paths; a vector over time, counts, and a number of a path."""
    z = np.reshape(a, (-1, 1, 1)) * rng.standard_normal((n, T + 1, 2)) * dt
    z = z + starts_of(x0, n)[..., None]
    return {"x": z, "ups": (z[..., 0] > 0).sum(axis=1), "last": np.reshape(b, (-1,)) * z[:, -1, 0]}


class Paths:
    """One path at a time, whose number of draws depends on the parameters."""

    def sample_path(self, T, x0, rng, a, b=1.0):
        rng.random(int(4 * a))
        return (x0 or 0.0) + b * np.cumsum(a * rng.standard_normal(T + 1))


class Old:
    """One path at a time, on the global state."""

    def sample_path(self, T, x0=None, *, a, b=1.0):
        np.random.random(int(4 * a))
        return (x0 or 0.0) + b * np.cumsum(a * np.random.standard_normal(T + 1))


def of_rng(rng, T, x0, a, b=1.0):
    """A function of a Generator."""
    return {"x": (x0 or 0.0) + a * rng.standard_exponential(T + 1), "n": rng.poisson(10 * b)}


def of_steps(rng, T, dt=1.0, a=0.5, b=1.0):
    """A function of a Generator that asks for the steps."""
    return a * np.sqrt(dt) * rng.standard_normal(T + 1) + b * dt


def of_seed(seed, T, a, b=1.0):
    """A function of an integer."""
    return a + b * np.random.default_rng(seed).standard_normal(T + 1)


def by_name(rng, times, dt, a, b=1.0, x0=0.0):
    """A function that asks for times too."""
    return xr.DataArray(
        x0 + np.outer(times, [a, b]) + dt * rng.random((len(times), 2)),
        dims=("time", "asset"), coords={"asset": ["left", "right"]}, attrs={"units": "m"}, name="x",
    )  # fmt: skip


@cache
def compiled():
    """Return a compiled function."""

    @njit
    def walk(rng, T, dt, a, b):
        out = np.zeros(T + 1)
        for k in range(T):
            out[k + 1] = out[k] + a * rng.standard_normal() + b * dt
        return out

    return walk


# --- models: a process, and what its parameters may be ---------------------------------------


@dataclass(frozen=True)
class Model:
    """A process with values of its parameters, and what else `simulate` needs."""

    name: str
    process: Any
    values: dict = field(default_factory=lambda: {"a": NUMBERS, "b": NUMBERS})
    x0: Any = None
    starts: tuple = (0.5, 0.0, -1.0, 2)
    fixed: dict = field(default_factory=dict)
    """Parameters that must be given where they do not vary."""
    asks_dt: bool = True
    arguments: dict = field(default_factory=dict)
    many: int = 1100
    """More paths than a block, where they do not take long."""

    @property
    def parameters(self):
        """Names and values of all that may vary."""
        found = dict(self.values)
        if self.starts:
            found["x0"] = self.starts
        if self.asks_dt:
            found["dt"] = (0.25, 0.5, 1, 0.125)
        return found

    def simulate(self, n, vary=None, **more):
        """Return a run of `n` paths."""
        known = {"x0": self.x0, "dt": DT, **({} if is_process(self) else self.fixed)}
        for name in names_of(vary or {}):
            known.pop(name, None)
        known |= {"seed": SEED, **self.arguments, **more}
        return mz.simulate(self.process, n, T, vary=vary, **known)

    def separate(self, values, n, **more):
        """Return the separate run with these parameters."""
        arguments = {name: values[name] for name in ("x0", "dt") if name in values}
        own = {name: value for name, value in values.items() if name not in arguments}
        if is_process(self):
            one = replace(
                self, process=self.process.with_parameters(**own) if own else self.process
            )
            return one.simulate(n, **(arguments | more))
        return self.simulate(n, **(own | arguments | more))


def is_process(model):
    return isinstance(model.process, Process)


def names_of(vary):
    return [n for key in vary for n in (key if isinstance(key, tuple) else (key,))]


GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
CHAIN = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
DRIFT = (0.0, -0.1, 0.05, 1)
SCALE = (0.5, 0.0, 0.25, 1)


def pull(t, x, k=1.0):
    return -k * x


def spread(t, x, scale=0.5):
    return scale + 0.0 * x


BUILT_IN = (
    Model("BrownianMotion", mz.BrownianMotion(mu=-0.3, sigma=2.0), {"mu": DRIFT, "sigma": SCALE}),
    Model("GeometricBrownianMotion", GBM, {"mu": DRIFT, "sigma": SCALE}, 1.0, (1.0, 100, 0.5)),
    Model(
        "OrnsteinUhlenbeck", mz.OrnsteinUhlenbeck(theta=0.5, mu=1.0, sigma=0.3),
        {"theta": (0.5, 20.0, 1), "mu": DRIFT, "sigma": SCALE},
    ),
    Model(
        "Heston", HESTON,
        {
            "mu": DRIFT, "kappa": (2.0, 0.5, 1), "theta": (0.04, 0.09), "xi": (0.3, 1.0),
            "rho": (-0.7, 0.0),
        },
        {"s": 100.0, "v": 0.04}, (),
    ),
    Model(
        "PoissonProcess", mz.PoissonProcess(rate=3.0), {"rate": (3.0, 500.0, 1)}, None, (0, 5, 17)
    ),
    Model("RandomWalk", mz.RandomWalk(p=0.3), {"p": (0.5, 0.3, 1)}, None, (0, 5, -17)),
    Model("MarkovChain", CHAIN, {}, "calm", ("storm", "calm")),
    Model(
        "Diffusion", mz.Diffusion(drift=pull, diffusion=spread),
        {"k": (0.5, 1.0, 2), "scale": SCALE}, 0.5,
    ),
)  # fmt: skip

USERS = (
    Model("counter", Counter(), fixed={"a": 0.5}),
    Model(
        "mapped", Mapped(), fixed={"a": 0.5}, starts=(),
        arguments={"dims": {"x": ("time", "k")}},
    ),
    Model("blocks", Blocks(), fixed={"a": 0.5}),
    Model("block function", block, fixed={"a": 0.5}),
    Model("paths", Paths(), fixed={"a": 0.5}, many=60),
    Model("rng", of_rng, fixed={"a": 0.5}),
    Model("steps", of_steps, starts=(), many=60),
    Model("seed", of_seed, fixed={"a": 0.5}, starts=(), many=60),
    Model("by name", by_name, fixed={"a": 0.5}, many=20),
    Model("legacy", Old(), fixed={"a": 0.5}, arguments={"legacy_global_rng": True}, many=50),
)  # fmt: skip


@cache
def compiled_model():
    """Return the model of a compiled function, which takes a while to compile."""
    return Model("compiled", compiled(), fixed={"a": 0.5, "b": 1.0}, starts=())


# --- random grids ----------------------------------------------------------------------------


def grids(model, at_least=1):
    """Return a strategy for the argument vary of a model: scenarios alone."""

    @st.composite
    def made(draw):
        sizes = {dim: draw(st.integers(1, 3), dim) for dim in GRID_DIMS}
        known = model.parameters
        names = draw(
            st.lists(st.sampled_from(sorted(known)), min_size=at_least, max_size=3, unique=True),
            "names",
        )
        return {name: draw(values_of(name, known[name], sizes), name) for name in names}

    return made()


@st.composite
def values_of(draw, name, known, sizes):
    """Return a strategy for the values of one parameter, on up to two dimensions, or its own."""
    form = draw(st.sampled_from(("dims", "own", "number")), "form")
    if form == "number":
        value = draw(st.sampled_from(known), "value")
        return draw(st.sampled_from((value, np.array(value), xr.DataArray(value))), "0-d")
    if form == "own":
        values = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4), "values")
        return xr.DataArray(values, dims=name)
    dims = draw(st.permutations(GRID_DIMS), "dims")[: draw(st.integers(1, 2), "ndim")]
    shape = tuple(sizes[dim] for dim in dims)
    count = int(np.prod(shape))
    values = draw(st.lists(st.sampled_from(known), min_size=count, max_size=count), "values")
    array = xr.DataArray(np.array(values).reshape(shape), dims=dims)
    if draw(st.booleans(), "labels"):
        array = array.assign_coords({dims[0]: [f"{dims[0]}{k}" for k in range(shape[0])]})
    return array


def positions_of(vary):
    """Return the position of each scenario, and its parameters, as xarray broadcasts them."""
    arrays = {name: xr.DataArray(value) for name, value in vary.items()}
    broadcast = dict(zip(arrays, xr.broadcast(*arrays.values()), strict=True))
    sizes = next(iter(broadcast.values())).sizes
    for index in itertools.product(*(range(size) for size in sizes.values())):
        position = dict(zip(sizes, index, strict=True))
        yield position, {name: a.isel(position).values[()].item() for name, a in broadcast.items()}


def stream_of(values, stream=None):
    """Return the stream of the separate run that has the noise of an independent scenario."""
    plain = {k: v if isinstance(v, str) else float(v) + 0.0 for k, v in values.items()}
    text = json.dumps(plain, sort_keys=True)
    return text if stream is None else f"{stream} {text}"


# --- comparing -------------------------------------------------------------------------------


def computed(ds):
    return ds.compute(scheduler="synchronous")


def check_same(found, right, names=None):
    """Check that variables are the same, bit for bit, with the same dims, dtypes and labels."""
    for name in right.data_vars if names is None else names:
        assert found[name].dims == right[name].dims
        assert found[name].dtype == right[name].dtype
        np.testing.assert_array_equal(found[name].values, right[name].values)
        assert {**found[name].attrs}.keys() == {**right[name].attrs}.keys()
    for name in right.coords:
        if name not in ("path", "time"):
            np.testing.assert_array_equal(found[name].values, right[name].values)


def check_scenarios(model, vary, ds, n, *, noise="common", stream=None, **more):
    """Check that every scenario of a run is the separate run with its parameters."""
    found = computed(ds)
    for position, values in positions_of(vary):
        told = {"stream": stream_of(values, stream)} if noise == "independent" else {}
        if noise == "common" and stream is not None:
            told = {"stream": stream}
        one = computed(model.separate(values, n, **told, **more))
        part = found.isel(position)
        check_same(part, one)
        times = part["t"] if "dt" in vary and "t" in part.coords else part["time"]
        np.testing.assert_array_equal(times.values, one["time"].values)
        for name, value in values.items():
            if name in part.coords and part[name].ndim == 0:
                assert part[name].item() == value


def arrays_by_path(names, model, n, dims=None, seed=3):
    """Return parameters by path, some of which differ by scenario too: arrays with dims."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in names:
        known = model.parameters[name]
        own = (dims or {}).get(name, {})
        shape = (*own.values(), n)
        if all(isinstance(value, int) for value in known):
            values = rng.choice(known, shape)
        else:  # within the range of the known ones
            values = rng.uniform(min(known), max(known), shape)
        found[name] = xr.DataArray(values, dims=(*own, "path"))
    return found


def own_stream(values, arrays, position, stream=None):
    """Return the stream of a scenario on independent noise some of whose parameters are arrays."""
    text = {
        name: digest_of(np.ascontiguousarray(array.isel(here).values), "vary")
        for name, array in arrays.items()
        if (here := {dim: k for dim, k in position.items() if dim in array.dims})
    }
    return stream_of(values | text, stream)


def check_paths(model, ds, vary, own, paths, *, noise="common", **more):
    """Check that paths are those of the separate runs with their own parameters.

    `vary` are parameters by scenario, and `own` those by path, as DataArrays; `more` may be an x0
    for each path.
    """
    states = more.pop("x0", None)
    for position, shared in positions_of({**vary, **{k: a.isel(path=0) for k, a in own.items()}}):
        shared = {name: shared[name] for name in vary}
        part = ds.isel(position)
        for path in paths:
            values = {
                name: array.isel({d: position[d] for d in array.dims if d in position}).values[path]
                for name, array in own.items()
            }
            values = shared | {name: value.item() for name, value in values.items()}
            if states is not None:
                values["x0"] = states[path].item()
            told = {"stream": own_stream(shared, own, position)} if noise != "common" else {}
            one = model.separate(values, path + 1, **told, **more)
            check_same(part.isel(path=path), mz.replay(one, path))
            for name in own:
                np.testing.assert_array_equal(part[name].isel(path=path), values[name])
