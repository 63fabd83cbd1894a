"""The conformance suite of processes."""

# ruff: noqa: D102 - the names of the tests are their sentences

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
from dask.base import tokenize
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.processes import Process
from montezarr.processes._base import (
    HasBound,
    HasDensity,
    HasLabels,
    HasMean,
    HasProbability,
    HasVariance,
)
from montezarr.processes._built_in import built_in_processes
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws
from montezarr.random.seeding import BLOCK
from montezarr.run._replay import replay
from montezarr.run._simulate import simulate

PROCESS_SUITE_SEED = 20_240_229
PROCESS_SUITE_PATHS = 1_100
"""Paths in most tests: more than one tile of the kernel, and not a multiple of its width."""

MANY_PATHS = 30_000
"""Paths in the tests of moments."""

STANDARD_ERRORS = 4.5
"""A right process fails a test of one moment with probability 7e-6, and the seed is fixed."""

_fixed = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)


class ProcessTests:
    """Tests that every process must pass; a test module subclasses it and names its `processes`.

    By default the instances are the `examples` of every process that `montezarr.processes` exports,
    so a new one is tested without being named anywhere else.

    Attributes
    ----------
    processes : tuple of Process, optional
        The instances to test instead of the built-in ones.
    dt : float
        Step length in the tests of moments; 1 by default, so that processes which count steps
        agree with their moments. Small for a scheme that is exact for small steps only.

    Examples
    --------
    In a test module of your own package::

        from montezarr.testing import ProcessTests

        class TestMyProcess(ProcessTests):
            processes = (MyProcess(strength=2.0),)
            dt = 0.01  # only if the scheme is exact for small steps alone
    """

    processes: ClassVar[tuple[Process, ...] | None] = None
    dt: ClassVar[float] = 1.0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on each instance, and on each dtype if it takes one."""
        chosen = built_in_examples() if self.processes is None else self.processes
        if "dtype" in metafunc.fixturenames:
            pairs = [(process, dtype) for process in chosen for dtype in process.dtypes]
            names = [f"{_name(process)}-{dtype}" for process, dtype in pairs]
            metafunc.parametrize(("process", "dtype"), pairs, ids=names)
        elif "process" in metafunc.fixturenames:
            metafunc.parametrize("process", chosen, ids=[_name(process) for process in chosen])

    # --- the value ---------------------------------------------------------------------------

    def test_its_parameters_cannot_be_changed(self, process: Process) -> None:
        for field in fields(process):
            with pytest.raises(FrozenInstanceError):
                setattr(process, field.name, getattr(process, field.name))

    def test_a_pickled_copy_is_equal_and_hashes_alike(self, process: Process) -> None:
        copy = pickle.loads(pickle.dumps(process))
        assert copy == process
        assert hash(copy) == hash(process)

    def test_json_brings_it_back_or_is_refused_where_it_holds_functions(
        self, process: Process
    ) -> None:
        data = json.loads(json.dumps(process.to_dict()))
        assert data["name"] == type(process).__name__
        if process.runs_user_code:
            with pytest.raises(ArgumentValueError):
                type(process).from_dict(data)
        else:
            assert type(process).from_dict(data) == process

    def test_an_unknown_parameter_is_refused(self, process: Process) -> None:
        with pytest.raises(ValueError, match=r"unknown parameter 'colour'|never loaded"):
            type(process).from_dict({**process.to_dict(), "colour": 1})

    def test_the_description_of_another_process_is_refused(self, process: Process) -> None:
        with pytest.raises(ArgumentValueError):
            type(process).from_dict({**process.to_dict(), "name": "Another"})

    def test_equal_processes_have_one_dask_token(self, process: Process) -> None:
        copy = pickle.loads(pickle.dumps(process))
        token = tokenize(process, ensure_deterministic=True)
        assert tokenize(copy, ensure_deterministic=True) == token

    def test_its_docstring_says_parameters_and_references(self, process: Process) -> None:
        if not type(process).__module__.startswith("montezarr."):
            pytest.skip("the docstring of a user's process is not checked")
        text = type(process).__doc__ or ""
        assert "Parameters\n" in text
        assert "References\n" in text
        for field in fields(process):
            assert f"{field.name} :" in text or f"{field.name}," in text

    # --- the paths ---------------------------------------------------------------------------

    def test_paths_have_the_layout_and_dtype_asked_for(self, process: Process, dtype: str) -> None:
        rows = _sample(process, dtype=dtype)
        lead = () if len(process.variables) == 1 else (len(process.variables),)
        assert rows.shape == (*lead, 7, PROCESS_SUITE_PATHS)
        assert rows.dtype == np.dtype(dtype)
        assert rows.strides[-1] == rows.itemsize
        if rows.dtype.kind == "f":
            assert np.isfinite(rows).all()

    def test_the_first_row_is_x0(self, process: Process, dtype: str) -> None:
        x0 = process.check_x0(_start(process), dtype)
        first = _sample(process, dtype=dtype)[..., 0, :]
        assert (first == _wide(x0, process)).all()

    def test_each_path_may_start_at_its_own_x0(self, process: Process, dtype: str) -> None:
        one = process.check_x0(_start(process), dtype)
        each = np.array(
            np.broadcast_to(_wide(one, process), (*one.shape[:-1], PROCESS_SUITE_PATHS))
        )
        assert np.array_equal(_sample(process, dtype=dtype, x0=each), _sample(process, dtype=dtype))
        part = _sample(process, dtype=dtype, x0=each[..., 100:107], start=100, n=7)
        assert np.array_equal(part, _sample(process, dtype=dtype)[..., 100:107])

    @_fixed
    @example(start=5, size=0, kind=0)
    @example(start=5, size=1, kind=1)
    @given(
        start=st.integers(0, PROCESS_SUITE_PATHS),
        size=st.integers(0, PROCESS_SUITE_PATHS),
        kind=st.integers(0, 3),
    )
    def test_any_range_of_paths_is_that_slice_of_all_paths(
        self, process: Process, start: int, size: int, kind: int
    ) -> None:
        dtype = process.dtypes[kind % len(process.dtypes)]
        stop = min(start + size, PROCESS_SUITE_PATHS)
        part = _sample(process, dtype=dtype, start=start, n=stop - start)
        assert np.array_equal(part, _all(process, dtype)[..., start:stop])

    def test_a_path_far_away_can_be_had_alone(self, process: Process, dtype: str) -> None:
        far = 2**62 + 12_345
        together = _sample(process, dtype=dtype, start=far - 40, n=60)
        alone = _sample(process, dtype=dtype, start=far, n=1)
        assert np.array_equal(alone[..., 0], together[..., 40])

    @_fixed
    @example(T=0, kind=0)
    @example(T=1, kind=1)
    @given(T=st.integers(0, 20), kind=st.integers(0, 3))
    def test_a_short_run_is_the_beginning_of_a_long_one(
        self, process: Process, T: int, kind: int
    ) -> None:
        dtype = process.dtypes[kind % len(process.dtypes)]
        long = _sample(process, dtype=dtype, grid=TimeGrid.of(20, 0.25), n=50)
        short = _sample(process, dtype=dtype, grid=TimeGrid.of(T, 0.25), n=50)
        assert np.array_equal(short, long[..., : T + 1, :])

    def test_equal_given_times_are_the_uniform_grid(self, process: Process, dtype: str) -> None:
        # Multiples of 1/4 have exact differences, those of 1/10 are off by rounding.
        uniform = _sample(process, dtype=dtype, grid=TimeGrid.of(6, 0.25))
        given_times = TimeGrid.of(times=np.arange(7) * 0.25)
        assert np.array_equal(_sample(process, dtype=dtype, grid=given_times), uniform)
        rounded = _sample(process, dtype=dtype, grid=TimeGrid.of(times=np.arange(7) * 0.1))
        expected = _sample(process, dtype=dtype, grid=TimeGrid.of(6, 0.1))
        precision = 1e-4 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(rounded, expected, rtol=precision, atol=precision)

    def test_uneven_times_give_paths(self, process: Process, dtype: str) -> None:
        grid = TimeGrid.of(times=[-1.0, 0.0, 0.001, 1.5, 4.0])
        rows = _sample(process, dtype=dtype, grid=grid)
        assert rows.shape[-2:] == (5, PROCESS_SUITE_PATHS)
        if rows.dtype.kind == "f":
            assert np.isfinite(rows).all()

    def test_compiled_and_reference_draws_give_the_same_bits(
        self, process: Process, dtype: str
    ) -> None:
        compiled = _sample(process, dtype=dtype)  # without Numba, this is the reference too
        reference = _sample(process, dtype=dtype, implementation="reference")
        assert np.array_equal(compiled, reference)

    def test_simulate_and_replay_give_the_same_paths_in_any_chunks(self, process: Process) -> None:
        def run(chunks: int) -> Any:
            return simulate(
                process,
                n_paths=2_500,
                T=5,
                dt=0.25,
                x0=_start(process),
                seed=PROCESS_SUITE_SEED,
                chunks=chunks,
            )

        whole, parts = run(4096), run(1024)
        assert tuple(whole.data_vars) == process.variables
        again = replay(parts, 2_345)
        for name in process.variables:
            assert whole[name].dims == ("path", "time")
            assert whole[name].dtype == np.dtype(process.dtypes[0])
            values = parts[name].compute(scheduler="synchronous").values
            assert np.array_equal(whole[name].compute(scheduler="synchronous").values, values)
            assert np.array_equal(again[name].values, values[2_345])

    # --- the moments, distribution and bounds that it states -----------------------------------

    def test_paths_have_the_mean_it_states(self, process: Process) -> None:
        if not isinstance(process, HasMean):
            return
        for grid in self._grids():
            mean = process.mean(grid.times - grid.times[0], _start(process))
            for name, rows in _by_variable(process, _many(process, grid)):
                expected = mean[name] if isinstance(mean, dict) else mean
                error = rows.std(axis=1) / np.sqrt(MANY_PATHS)
                _check_moment(f"mean of {name}", grid, rows.mean(axis=1), expected, error)

    def test_paths_have_the_variance_it_states(self, process: Process) -> None:
        if not isinstance(process, HasVariance):
            return
        for grid in self._grids():
            variance = process.variance(grid.times - grid.times[0], _start(process))
            for name, rows in _by_variable(process, _many(process, grid)):
                expected = variance[name] if isinstance(variance, dict) else variance
                squares = (rows - rows.mean(axis=1, keepdims=True)) ** 2
                error = squares.std(axis=1) / np.sqrt(MANY_PATHS)
                _check_moment(f"variance of {name}", grid, squares.mean(axis=1), expected, error)

    def test_paths_have_the_distribution_it_states(self, process: Process) -> None:
        if not isinstance(process, (HasDensity, HasProbability)):
            return
        start = process.check_x0(_start(process), process.dtypes[0]).item()
        for grid in self._grids():
            t = grid.T if process.counts_steps else grid.times[-1] - grid.times[0]
            first, rest = np.split(_many(process, grid)[-1], [BLOCK])
            edges = np.unique(np.quantile(first, np.linspace(0.02, 0.98, 13)))
            if isinstance(process, HasDensity):
                x = np.linspace(edges[:-1], edges[1:], 201)
                shares = np.trapezoid(process.density(x, t, start), x, axis=0)
            else:
                edges = np.unique(np.floor(np.append(edges, edges[-1] + 1))) - 0.5
                k = np.arange(np.ceil(edges[0]), edges[-1])
                shares, _ = np.histogram(k, edges, weights=process.probability(k, t, start))
            counts, _ = np.histogram(rest, edges)
            error = np.sqrt(rest.size * shares * (1 - shares))
            limit = STANDARD_ERRORS * error + 1e-3 * rest.size * shares
            assert (np.abs(counts - rest.size * shares) <= limit).all()

    def test_no_path_goes_beyond_the_bound_it_states(self, process: Process, dtype: str) -> None:
        if not isinstance(process, HasBound):
            return
        for grid in self._grids():
            rows = _sample(process, dtype=dtype, grid=grid, n=MANY_PATHS)
            start = float(np.abs(rows[..., 0, :]).max())
            bound = process.bound(grid, start)
            assert np.isfinite(bound)
            assert np.abs(rows).max() <= bound

    def test_states_are_codes_of_its_labels(self, process: Process, dtype: str) -> None:
        if not isinstance(process, HasLabels):
            return
        rows = _sample(process, dtype=dtype)
        assert rows.min() >= 0
        assert rows.max() < len(process.labels)
        for code, label in enumerate(process.labels):
            assert process.check_x0(label, dtype) == code
        with pytest.raises(ArgumentValueError):
            process.check_x0("no such state", dtype)

    # --- refusals ----------------------------------------------------------------------------

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), "abc", object(), [], True])
    def test_an_x0_that_is_no_number_is_refused(self, process: Process, bad: Any) -> None:
        for x0 in _with_each_entry(process, bad):
            with pytest.raises((ArgumentTypeError, ArgumentValueError)):
                process.check_x0(x0, process.dtypes[0])

    def test_an_x0_of_two_dimensions_is_refused(self, process: Process) -> None:
        for x0 in _with_each_entry(process, [[1.0, 1.0], [1.0, 1.0]]):
            with pytest.raises(ArgumentValueError):
                process.check_x0(x0, process.dtypes[0])

    def test_an_x0_without_one_entry_per_variable_is_refused(self, process: Process) -> None:
        if len(process.variables) == 1:
            return
        start = _start(process)
        for x0 in (start[:-1], (*start, 1.0), {"a": 1.0}, 1.0):
            with pytest.raises((ArgumentTypeError, ArgumentValueError)):
                process.check_x0(x0, process.dtypes[0])
        named = dict(zip(process.variables, start, strict=True))
        by_name = process.check_x0(named, process.dtypes[0])
        assert np.array_equal(by_name, process.check_x0(start, process.dtypes[0]))

    def test_a_dtype_that_is_not_its_own_is_refused(self, process: Process) -> None:
        with pytest.raises(ArgumentValueError, match="dtype"):
            simulate(process, n_paths=1, T=1, x0=_start(process), seed=1, dtype="uint16")

    def _grids(self) -> Iterator[TimeGrid]:
        """Yield an even grid, and an uneven one if dt is not 1: that does not count steps."""
        yield TimeGrid.of(8, self.dt)
        if self.dt != 1.0:
            yield TimeGrid.of(times=self.dt * np.array([0.0, 0.3, 2.0, 5.0]))


def built_in_examples() -> tuple[Process, ...]:
    """Return the examples of every built-in process.

    Raises
    ------
    ArgumentTypeError
        For a process that has a parameter without a default, and no examples.
    """
    found: list[Process] = []
    for name, kind in built_in_processes().items():
        try:
            found += kind.examples()
        except TypeError as error:
            raise ArgumentTypeError(
                f"{name}: expected a class method examples() in its file, that returns a tuple of"
                f" instances for this suite to test ({error})."
            ) from error
    return tuple(found)


def _name(process: Process) -> str:
    values = [getattr(process, field.name) for field in fields(process)]
    numbers = [f"{value:g}" for value in values if isinstance(value, float)]
    return "-".join([type(process).__name__, *process.variables, *numbers])


def _start(process: Process) -> Any:
    """Return the initial state of the process, or 1/2 in every variable if it has none."""
    try:
        return process.default_x0()
    except ArgumentValueError:
        return 0.5 if len(process.variables) == 1 else (0.5,) * len(process.variables)


def _wide(x0: Any, process: Process) -> Any:
    """Return an initial state with paths along its last axis."""
    return x0.reshape(*x0.shape[: len(process.variables) > 1], -1)


def _with_each_entry(process: Process, bad: Any) -> list[Any]:
    """Return initial states, each wrong in one variable."""
    names = process.variables
    if len(names) == 1:
        return [bad]
    return [dict(zip(names, _start(process), strict=True)) | {name: bad} for name in names]


def _sample(
    process: Process,
    *,
    dtype: str,
    grid: TimeGrid | None = None,
    start: int = 0,
    n: int = PROCESS_SUITE_PATHS,
    x0: Any = None,
    implementation: str | None = None,
) -> Any:
    precision = "float32" if dtype == "float32" else "float64"
    draws = Draws.of(
        PROCESS_SUITE_SEED, start=start, n=n, dtype=precision, implementation=implementation
    )
    state = process.check_x0(_start(process), dtype) if x0 is None else x0
    return process.sample(draws, TimeGrid.of(6, 0.25) if grid is None else grid, state)


@lru_cache(maxsize=4)
def _all(process: Process, dtype: str) -> Any:
    return _sample(process, dtype=dtype).copy()


@lru_cache(maxsize=4)
def _many(process: Process, grid: TimeGrid) -> Any:
    return _sample(process, dtype=process.dtypes[0], grid=grid, n=MANY_PATHS).astype(np.float64)


def _check_moment(what: str, grid: TimeGrid, found: Any, expected: Any, error: Any) -> None:
    """Assert that a moment is right at all times; errors name the time of the worst deviation."""
    exact = np.broadcast_to(expected, found.shape)
    off = np.abs(found - exact)
    limit = STANDARD_ERRORS * error + 1e-9 * (1 + np.abs(exact))
    if (off <= limit).all():
        return
    k = int(np.argmax(np.nan_to_num(off / limit, nan=np.inf)))
    far = f"{off[k] / error[k]:.1f} standard errors" if error[k] > 0 else f"{off[k]:g}"
    raise AssertionError(
        f"{what} off by {far} at t={grid.times[k]:g}: {found[k]:g}, where the process states"
        f" {exact[k]:g}; if the scheme is exact for small steps only, set dt"
    )


def _by_variable(process: Process, rows: Any) -> Iterator[tuple[str, Any]]:
    parts = rows.reshape(len(process.variables), *rows.shape[-2:])
    yield from zip(process.variables, parts, strict=True)
