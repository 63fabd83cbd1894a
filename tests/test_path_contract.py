"""Path i is a function of (process, T, dt, x0, seed, dtype, i) and of nothing else.

Every kind of sampler is held against its definition: the path drawn by hand, without `simulate`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr.processes import Process
from montezarr.random.seeding import BLOCK, BLOCK_PREFIX, as_root_seed
from montezarr.testing import strategies
from montezarr.testing.processes import built_in_examples

SEED = 1729
N_PATHS = 2500
"""Paths of the reference runs: two whole blocks and a part of a third."""

repeatable = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
often = settings(repeatable, max_examples=20)


# --- one sampler of every kind, as a user writes it ------------------------------------------


class CounterWalk:
    """Kind 1, two variables of which one jumps."""

    variables = ("level", "jumps")

    def sample(self, draws, grid, x0):
        level = x0 + np.cumsum(draws.normal(range(grid.T + 1)), axis=0)
        jumps = np.cumsum(draws.uniform(range(grid.T + 1), slot=1) < 0.25, axis=0)
        return np.stack([level, jumps.astype(level.dtype)])


class BlockWalk:
    """Kind 2. Its draws of a block depend on x0, as those of a rejection method would."""

    def sample_paths(self, n, T, x0, rng):
        level = np.broadcast_to(0.0 if x0 is None else x0, (n,))
        steps = rng.standard_normal((T, n)) + rng.poisson(np.abs(level), (T, n))
        return np.concatenate([level[None], level + np.cumsum(steps, axis=0)]).T


class PathWalk:
    """Kind 3, with a number of draws that differs from path to path."""

    def __init__(self, scale):
        self.scale = scale

    def sample_path(self, T, x0, rng):
        rng.random(rng.integers(0, 5))
        steps = self.scale * rng.standard_normal(T)
        return np.concatenate([[0.0], np.cumsum(steps)]) + (x0 or 0.0)

    def draw(self, rng, T):
        return self.sample_path(T, None, rng)


class SeededWalk:
    """Kind 3, with an integer seed."""

    def sample_path(self, T, x0=None, *, seed):
        rng = np.random.Generator(np.random.SFC64(seed))
        return {"x": (x0 or 0.0) + rng.random(T + 1), "n": rng.integers(0, 9, T + 1)}


class OldWalk:
    """Kind 5, on the global state."""

    def sample_path(self, T, x0=None):
        return (x0 or 0.0) + np.cumsum(np.random.standard_normal(T + 1))


def function_of_rng(rng, T, x0):
    return (x0 or 0.0) + rng.standard_exponential(T + 1)


def function_of_seed(seed, T):
    return np.random.default_rng(seed).standard_normal(T + 1)


# --- the cases: a process with its arguments, and its paths by hand --------------------------


@dataclass(frozen=True)
class Case:
    """A process, the arguments that its paths depend on, and what else there is to know of it."""

    name: str
    process: Any
    by_hand: Callable[["Case", Any, int, Any], Any]
    T: int = 5
    x0: Any = None
    dt: float = 0.25
    dtype: str = "float64"
    is_markov: bool = True
    legacy: bool = False

    def simulate(self, n_paths=N_PATHS, **changes) -> xr.Dataset:
        arguments = {
            "T": self.T,
            "dt": self.dt,
            "x0": self.x0,
            "dtype": None if self.legacy or self.name == "seeded" else self.dtype,
            "seed": SEED,
            "legacy_global_rng": self.legacy,
        }
        return mz.simulate(self.process, n_paths, **(arguments | changes))


def counter_by_hand(case, seed, path, x0):
    precision = "float32" if case.dtype == "float32" else "float64"
    draws = mz.Draws.of(seed, start=path, n=1, dtype=precision)
    if isinstance(case.process, Process):
        state = case.process.check_x0(x0, case.dtype)
    else:
        state = np.asarray(0.0 if x0 is None else x0, case.dtype)
    rows = case.process.sample(draws, mz.TimeGrid.of(case.T, case.dt), state)
    return rows.reshape(-1, case.T + 1)


def block_by_hand(case, seed, path, x0):
    block, position = divmod(path, BLOCK)
    child = as_root_seed(seed).sequence(BLOCK_PREFIX, block)
    paths = case.process.sample_paths(BLOCK, case.T, x0, rng=np.random.default_rng(child))
    return [paths[position]]


def child_of(seed, path):
    """Return the SeedSequence of a path, made with NumPy alone."""
    if isinstance(seed, np.random.SeedSequence):
        key = (*seed.spawn_key, path)
        return np.random.SeedSequence(seed.entropy, spawn_key=key, pool_size=seed.pool_size)
    return np.random.SeedSequence(seed, spawn_key=(path,))


def integer_of(seed, path):
    low, high = child_of(seed, path).generate_state(2, np.uint64)
    return int(low) + (int(high) << 64)


def path_by_hand(case, seed, path, x0):
    return [case.process.sample_path(case.T, x0, rng=np.random.default_rng(child_of(seed, path)))]


def seeded_by_hand(case, seed, path, x0):
    parts = case.process.sample_path(case.T, x0, seed=integer_of(seed, path))
    return [parts["x"], parts["n"]]


def function_by_hand(case, seed, path, x0):
    return [case.process(np.random.default_rng(child_of(seed, path)), case.T, x0)]


def function_of_seed_by_hand(case, seed, path, x0):
    return [case.process(integer_of(seed, path), case.T)]


def legacy_by_hand(case, seed, path, x0):
    before = np.random.get_state()
    np.random.seed(child_of(seed, path).generate_state(624))
    values = case.process.sample_path(case.T, x0)
    np.random.set_state(before)
    return [values]


def built_in_cases():
    for number, process in enumerate(built_in_examples()):
        x0 = (1.0,) * len(process.variables) if process.runs_user_code else None
        x0 = 1.0 if x0 == (1.0,) else x0
        for dtype in process.dtypes[:2]:
            name = f"{type(process).__name__}-{number}-{dtype}"
            yield Case(name, process, counter_by_hand, x0=x0, dtype=dtype)


def drift(t, x):
    return np.stack([x[1], -x[0]])


def dispersion(t, x):
    loadings = np.array([[1.0, 0.3, -0.7], [0.2, 0.9, 0.1]])
    return loadings[:, :, None] * np.sqrt(1 + x[:, None] ** 2)


CORRELATION = [[1.0, 0.3, 0.1], [0.3, 1.0, -0.5], [0.1, -0.5, 1.0]]
THREE_NOISES = mz.Diffusion(
    drift=drift, diffusion=dispersion, names=("q", "p"), noises=3, correlation=CORRELATION
)

BUILT_IN = (
    *built_in_cases(),
    *(
        Case(f"three noises-{dtype}", THREE_NOISES, counter_by_hand, x0=(0.0, 1.0), dtype=dtype)
        for dtype in ("float64", "float32")
    ),
)
USERS = (
    Case("counter", CounterWalk(), counter_by_hand),
    Case("counter-float32", CounterWalk(), counter_by_hand, dtype="float32"),
    Case("block", BlockWalk(), block_by_hand, is_markov=False),
    Case("path", PathWalk(0.5), path_by_hand, is_markov=False),
    Case("seeded", SeededWalk(), seeded_by_hand, is_markov=False),
    Case("rng", function_of_rng, function_by_hand),
    Case("seed", function_of_seed, function_of_seed_by_hand),
    Case("legacy", OldWalk(), legacy_by_hand, legacy=True),
)
CASES = (*BUILT_IN, *USERS)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@cache
def reference(case: Case) -> xr.Dataset:
    """Return the run that all other ways to the same paths are held against."""
    with dask.config.set(scheduler="synchronous"):
        return case.simulate(chunks=4 * BLOCK).compute()


def assert_same(paths: xr.Dataset, expected: xr.Dataset) -> None:
    """Assert that two Datasets have the same variables, bit for bit."""
    assert list(paths.data_vars) == list(expected.data_vars)
    for name, variable in expected.data_vars.items():
        assert paths[name].dtype == variable.dtype
        assert paths[name].dims == variable.dims
        np.testing.assert_array_equal(paths[name].values, variable.values)


def assert_is_by_hand(path: xr.Dataset, rows: Any) -> None:
    assert len(path.data_vars) == len(rows)
    for variable, row in zip(path.data_vars.values(), rows, strict=True):
        np.testing.assert_array_equal(variable.values, row)


# --- a path is what its definition says ------------------------------------------------------


@each_case
@repeatable
@given(seed=strategies.seeds(), path=strategies.path_indices())
def test_any_path_of_any_seed_is_the_one_drawn_by_hand(case, seed, path):
    ds = case.simulate(10, seed=seed)
    assert_is_by_hand(mz.replay(ds, path), case.by_hand(case, seed, path, case.x0))


@each_case
def test_a_computed_path_is_the_one_drawn_by_hand_and_the_one_replayed(case):
    ds = case.simulate()
    for path in (0, 1, 1023, 1024, 2047, N_PATHS - 1):
        computed = reference(case).isel(path=path)
        assert_is_by_hand(computed, case.by_hand(case, SEED, path, case.x0))
        assert_same(mz.replay(ds, path), computed)


# --- and of nothing else ---------------------------------------------------------------------


@each_case
@repeatable
@given(data=st.data())
def test_number_of_paths_chunks_range_and_scheduler_do_not_matter(case, data):
    n_paths = data.draw(st.integers(1, N_PATHS), "n_paths")
    chunks = data.draw(strategies.chunk_sizes(n_paths), "chunks")
    chosen = data.draw(strategies.path_selections(n_paths), "paths")
    scheduler = data.draw(strategies.schedulers(), "scheduler")
    ds = case.simulate(n_paths, chunks=chunks)
    assert ds.sizes["path"] == n_paths
    part = ds.isel(path=chosen).compute(scheduler=scheduler)
    assert_same(part, reference(case).isel(path=slice(n_paths)).isel(path=chosen))


@each_case
@repeatable
@given(data=st.data())
def test_keep_is_slicing_the_times(case, data):
    keep = data.draw(strategies.keeps(case.T), "keep")
    positions = slice(None, None, keep) if isinstance(keep, int) else keep
    kept = case.simulate(700, keep=keep)
    expected = reference(case).isel(path=slice(700), time=positions)
    np.testing.assert_array_equal(kept.time, expected.time)
    assert_same(kept.compute(scheduler="synchronous"), expected)
    assert_same(mz.replay(kept, 650), expected.isel(path=650))


@pytest.mark.parametrize("process", [mz.BrownianMotion(), CounterWalk()], ids=["built-in", "own"])
def test_keep_of_long_paths_simulates_few_at_a_time_and_changes_nothing(process):
    long = mz.simulate(process, 7, 1_000_000, seed=1, keep=[-2, -1])
    # A complete path takes 8 MB, so that four of them fill a slice.
    assert mz.plan(long).worker_bytes < 2**27
    name = next(iter(long.data_vars))
    ends = long[name].compute(scheduler="synchronous")
    assert ends.shape == (7, 2)
    np.testing.assert_array_equal(mz.replay(long, 5)[name], ends[5])


@pytest.mark.parametrize("case", [c for c in CASES if c.is_markov], ids=lambda case: case.name)
@repeatable
@given(T=st.integers(0, 5))
def test_a_shorter_run_is_the_beginning_of_a_longer_one(case, T):
    short = replace(case, T=T).simulate(300)
    assert_same(
        short.compute(scheduler="synchronous"),
        reference(case).isel(path=slice(300), time=slice(T + 1)),
    )


@each_case
def test_the_order_in_which_chunks_are_computed_does_not_matter(case):
    ds = case.simulate(chunks=BLOCK)
    blocks = [slice(2 * BLOCK, N_PATHS), slice(0, BLOCK), slice(BLOCK, 2 * BLOCK)]
    for paths in blocks:
        part = ds.isel(path=paths).compute(scheduler="synchronous")
        assert_same(part, reference(case).isel(path=paths))


@pytest.mark.parametrize("as_function", [False, True], ids=["object", "method"])
def test_what_the_caller_does_to_a_process_later_changes_no_path(as_function):
    model = PathWalk(0.5)
    process = model.draw if as_function else model
    ds = mz.simulate(process, 20, 5, seed=SEED)
    model.scale = 2.0
    changed = mz.simulate(process, 20, 5, seed=SEED)
    assert changed.attrs != ds.attrs
    expected = PathWalk(0.5).sample_path(5, None, np.random.default_rng(child_of(SEED, 7)))
    np.testing.assert_array_equal(ds.x[7], expected)
    np.testing.assert_array_equal(changed.x[7], 4.0 * expected)
    np.testing.assert_array_equal(mz.simulate(PathWalk(0.5), 20, 5, seed=SEED).x[7], expected)


def test_what_the_caller_does_to_x0_later_changes_no_path():
    x0 = np.arange(10.0)
    ds = mz.simulate(mz.BrownianMotion(sigma=0.0), 10, 1, x0=x0, seed=1)
    x0[:] = -1
    np.testing.assert_array_equal(ds.x[:, -1], np.arange(10.0))


# --- distinct paths --------------------------------------------------------------------------


@each_case
def test_distinct_paths_differ(case):
    # Long enough that two equal paths are a defect, also of a walk with two ways at each step.
    ds = replace(case, T=160).simulate(1500).compute(scheduler="synchronous")
    rows = np.concatenate([variable.values[:, 1:] for variable in ds.data_vars.values()], axis=1)
    # A chain that is absorbed at once has few distinct paths, and so have epidemics that die out.
    is_chain = isinstance(case.process, mz.MarkovChain)
    ends = is_chain and 1.0 in np.diag(case.process.transition)
    if not ends and not isinstance(case.process, (mz.SEIR, mz.SIR, mz.SIS)):
        assert len(np.unique(rows, axis=0)) == 1500


@each_case
def test_another_seed_gives_other_paths(case):
    other = case.simulate(50, seed=SEED + 1).compute(scheduler="synchronous")
    assert not other.equals(reference(case).isel(path=slice(50)))


def test_float32_draws_are_numbers_of_their_own():
    for process in (mz.BrownianMotion(), CounterWalk()):
        double = mz.simulate(process, 100, 3, seed=1, dtype="float64")
        single = mz.simulate(process, 100, 3, seed=1, dtype="float32")
        name = next(iter(double.data_vars))
        assert single[name].dtype == np.float32
        gap = np.abs(single[name].values[:, 1:] - double[name].values[:, 1:])
        assert np.median(gap) > 1e-2


def test_float32_paths_of_a_python_sampler_are_its_float64_paths_rounded():
    for process in (PathWalk(0.5), BlockWalk(), function_of_rng):
        double = mz.simulate(process, 1500, 3, seed=1)
        single = mz.simulate(process, 1500, 3, seed=1, dtype="float32")
        np.testing.assert_array_equal(single.x, double.x.astype(np.float32))


def test_an_integer_and_its_seed_sequence_are_the_same_seed():
    for seed in (0, 2**32, 2**150):
        as_int = mz.simulate(mz.BrownianMotion(), 5, 3, seed=seed)
        as_sequence = mz.simulate(mz.BrownianMotion(), 5, 3, seed=np.random.SeedSequence(seed))
        np.testing.assert_array_equal(as_int.x, as_sequence.x)


# --- an x0 for each path ---------------------------------------------------------------------


PER_PATH = (
    Case("ou", mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=0.5), counter_by_hand),
    *(case for case in USERS if case.name in ("counter", "path", "rng", "legacy")),
)


@pytest.mark.parametrize("case", PER_PATH, ids=lambda case: case.name)
@repeatable
@given(data=st.data())
def test_a_path_depends_on_its_own_x0_alone(case, data):
    n_paths = data.draw(st.integers(1, 1500), "n_paths")
    chunks = data.draw(strategies.chunk_sizes(n_paths), "chunks")
    of_x0 = data.draw(st.integers(1, n_paths), "chunks of x0")
    form = data.draw(st.sampled_from(("numpy", "list", "dask", "xarray")), "form")
    values = np.random.default_rng(8).uniform(1.0, 2.0, 1500)[:n_paths]
    x0 = {
        "numpy": lambda: values,
        "list": values.tolist,
        "dask": lambda: da.from_array(values, chunks=of_x0),
        "xarray": lambda: xr.DataArray(da.from_array(values, chunks=of_x0), dims="path"),
    }[form]()
    ds = case.simulate(n_paths, x0=x0, chunks=chunks)
    computed = ds.compute(scheduler="synchronous")
    for path in data.draw(st.lists(st.integers(0, n_paths - 1), min_size=1, max_size=3), "paths"):
        by_hand = case.by_hand(case, SEED, path, values[path])
        assert_is_by_hand(computed.isel(path=path), by_hand)
        assert_is_by_hand(mz.replay(ds, path), by_hand)


@often
@given(data=st.data())
def test_a_block_of_paths_with_an_x0_each_does_not_depend_on_chunks_or_scheduler(data):
    # BlockWalk uses its stream differently for another x0, so a block must always be drawn whole.
    x0 = np.random.default_rng(9).uniform(0.0, 3.0, N_PATHS)
    whole = mz.simulate(BlockWalk(), N_PATHS, 4, x0=x0, seed=SEED, chunks=4 * BLOCK)
    chunks = data.draw(strategies.chunk_sizes(N_PATHS), "chunks")
    chosen = data.draw(strategies.path_selections(N_PATHS), "paths")
    path = data.draw(st.integers(0, N_PATHS - 1), "path")
    parts = mz.simulate(BlockWalk(), N_PATHS, 4, x0=x0, seed=SEED, chunks=chunks)
    expected = whole.compute(scheduler="synchronous")
    scheduler = data.draw(strategies.schedulers(), "scheduler")
    assert_same(parts.isel(path=chosen).compute(scheduler=scheduler), expected.isel(path=chosen))
    assert_same(mz.replay(parts, path), expected.isel(path=path))


# --- other processes, other machines ---------------------------------------------------------


def names_together(cases):
    """Return the lazy variables of several runs under the names (case, variable)."""
    runs = {case.name: case.simulate(chunks=BLOCK) for case in cases}
    return {(case, name): ds[name] for case, ds in runs.items() for name in ds.data_vars}


def assert_all_are_references(cases, lazy, values):
    by_name = {case.name: reference(case) for case in cases}
    for (case, name), value in zip(lazy, values, strict=True):
        np.testing.assert_array_equal(value.values, by_name[case][name].values)


def test_other_processes_draw_the_same_paths():
    lazy = names_together(CASES)
    values = dask.compute(*lazy.values(), scheduler="processes", num_workers=2)
    assert_all_are_references(CASES, lazy, values)


@pytest.mark.slow  # those of other processes are in the fast tests
def test_cluster_workers_draw_the_same_paths():
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )
    with cluster, Client(cluster):
        lazy = names_together(CASES)
        assert mz.plan(BUILT_IN[0].simulate()).backend.startswith("dask (active Client at tcp://")
        values = dask.compute(*lazy.values())
    assert_all_are_references(CASES, lazy, values)


def test_a_cluster_in_this_process_draws_the_same_paths():
    from distributed import Client

    with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0"):
        lazy = names_together(USERS)
        values = dask.compute(*lazy.values())
    assert_all_are_references(USERS, lazy, values)


# --- nothing is computed before it is asked for ----------------------------------------------


def refuse_to_compute(*args, **kwargs):
    raise AssertionError("something was computed")


def test_a_billion_paths_are_simulated_without_computing_anything():
    with dask.config.set(scheduler=refuse_to_compute):
        for case in CASES:
            ds = case.simulate(10**9)
            assert ds.sizes["path"] == 10**9
            repr(ds)
            last = ds.isel(path=-1, time=-1)
            assert last[next(iter(ds.data_vars))].shape == ()
            assert mz.plan(ds).paths == 10**9
            (ds - 1).clip(min=0).mean("path")


calls = []


def counted(rng, T, x0):
    calls.append(x0)
    return rng.standard_normal(T + 1)


def test_a_sampler_of_the_users_is_called_for_the_first_path_alone():
    calls.clear()
    ds = mz.simulate(counted, 10**9, 3, seed=1)
    at_the_call = len(calls)
    assert at_the_call <= 2
    ds.x.isel(path=slice(0, 5)).mean()
    assert len(calls) == at_the_call


def test_a_lazy_x0_of_a_built_in_process_is_not_computed_by_simulate():
    def fail(block):
        raise AssertionError("x0 was computed")

    x0 = da.ones(10**9, chunks=10**7).map_blocks(fail, dtype=float, meta=np.empty(0))
    ds = mz.simulate(mz.GeometricBrownianMotion(mu=0.0, sigma=0.2), 10**9, 12, x0=x0, seed=1)
    assert ds.x.shape == (10**9, 13)
    with pytest.raises(AssertionError, match="x0 was computed"):
        ds.x[0].compute(scheduler="synchronous")


def test_one_run_starts_where_another_one_ends_without_being_computed():
    first = mz.simulate(mz.BrownianMotion(), 3000, 4, seed=1)
    with dask.config.set(scheduler=refuse_to_compute):
        second = mz.simulate(mz.BrownianMotion(), 3000, 4, x0=first.x.isel(time=-1), seed=2)
    np.testing.assert_array_equal(second.x.isel(time=0), first.x.isel(time=-1))
    np.testing.assert_array_equal(mz.replay(second, 2999).x, second.x[2999])
