"""Samplers with ``sample(draws, grid, x0)``, vectorised over any range of paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import plain_array, type_error, value_error
from montezarr.core.errors import SamplerError
from montezarr.core.tunables.scheduling import COEFFICIENT_TRIAL_PATHS
from montezarr.processes import BrownianMotion, Process
from montezarr.processes._base import HasBound, HasLabels, HasTrial
from montezarr.processes._built_in import is_ours, runs_user_code
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws, has_kernel
from montezarr.random.draws.kept import KeptDraws
from montezarr.random.draws.scattered import ScatteredDraws
from montezarr.samplers import declare, events
from montezarr.samplers._base import InTimes, Sampler, annotate, describe_error
from montezarr.samplers._code import CodeSampler
from montezarr.samplers._failing import lowest_failing
from montezarr.samplers.arguments import DTYPES, unknown_argument
from montezarr.samplers.encode import cast, check_no_mask
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.probe import check_alone, check_repeats, no_global_stream, probe_first_paths
from montezarr.samplers.returned import ReturnedVariable
from montezarr.samplers.schema import Asked, PathArrays, Variable

Rows = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSampler(CodeSampler):
    """Sampler for a process, or an object with its `sample`: any range of paths in one call."""

    interfaces: ClassVar[Mapping[str, Interface]] = {
        "sample": Interface(
            text="sample(draws, grid, x0), counter-based, whole ranges",
            method="sample",
            order=("draws", "grid", "x0"),
            is_vectorised=True,
            takes_ranges=True,
            stream="draws",
        )
    }

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface if an object offers it."""
        return "sample" if callable(getattr(target, "sample", None)) else None

    def bind(self, declared: Asked) -> Sampler:
        """Return the sampler with the variables of its process, or of two paths of user code."""
        target = self.target
        if isinstance(target, Process) and target.event_variables:
            return self._bind_events(target, declared)
        if isinstance(declared.dtype, dict) and (isinstance(target, Process)):
            expected = "one dtype, since sample gives all variables in one"
            raise type_error("dtype", expected, declared.dtype)
        if isinstance(target, Process):
            return self._bind_process(target, declared)
        if declared.labels is not None:
            expected = "None, since sample(draws, grid, x0) gives numbers"
            raise value_error("labels", expected, declared.labels)
        return self._bind_code(declared)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of initial states, and of draws where it is float32."""
        real = [v.dtype for v in self.variables if v.is_real]
        return np.result_type(*(real or [v.dtype for v in self.variables]))

    def _bind_process(self, process: Process, declared: Asked) -> CounterSampler:
        if declared.labels is not None:
            expected = "None, since the process has its own states"
            raise value_error("labels", expected, declared.labels)
        _check_no_dims(declared)
        if self.options:
            raise unknown_argument(*next(iter(self.options.items())))
        chosen = declared.dtype or process.dtypes[0]
        if chosen not in process.dtypes:
            raise value_error("dtype", f"one of {', '.join(process.dtypes)}", declared.dtype)
        names = process.labels if isinstance(process, HasLabels) else None
        variables = tuple(Variable(name, str(chosen), names) for name in process.variables)
        bound = in_its_format(replace(self, variables=variables))
        first_x0 = declared.first_x0
        if not declared.per_path or first_x0 is not None:
            process.check_x0(first_x0 if declared.per_path else self.x0, str(chosen))
        if runs_user_code(process):
            with no_global_stream(bound):
                if process.runs_user_code:
                    # More paths than variables and noises, so that axes cannot be confused.
                    rows = np.stack(
                        list(probe_first_paths(bound, first_x0, COEFFICIENT_TRIAL_PATHS).values())
                    )
                    if isinstance(process, HasTrial):
                        trial = partial(process.check_trial, bound.grid, rows)
                        bound.attempt(trial, 0, bound.state_at_start(first_x0, 0))
                check_alone(bound, first_x0)
        declare.check_label_lengths(bound, declared.coords)
        return bound

    def _bind_events(self, process: Process, declared: Asked) -> CounterSampler:
        """Bind a process whose paths are events."""
        if self.options:
            raise unknown_argument(*next(iter(self.options.items())))
        bound = replace(self, variables=events.variables_of(process, declared), format=1)
        if not declared.per_path or declared.first_x0 is not None:
            x0 = declared.first_x0 if declared.per_path else self.x0
            process.check_x0(x0, str(bound.dtype))
        return bound

    def _bind_code(self, declared: Asked) -> CounterSampler:
        """Bind a user's object with a `sample` method."""
        first_x0, dtype = declared.first_x0, declared.dtype
        one = dtype if isinstance(dtype, str) else None
        names = declare.offered_names(self.target)
        x0 = _in_order(self.x0, names)
        start = replace(
            self, x0=x0, variables=tuple(Variable(name, one or "float64") for name in names)
        )
        trial = in_its_format(start)
        with no_global_stream(trial):
            n = 2 if first_x0 is None else min(2, first_x0.shape[-1])
            part = None if first_x0 is None else first_x0[..., :n]
            value = trial.attempt(partial(trial.raw, 0, n, part), 0, self.state_at_start(part, 0))
            if isinstance(value, Mapping):
                return self._bind_mapping(trial, value, n, declared)
            if isinstance(dtype, dict):
                expected = "one dtype, since sample gives all variables in one"
                raise type_error("dtype", expected, dtype)
            _check_no_dims(declared)
            rows = probe_first_paths(trial, first_x0, n)
            whole = trial.split(value, n, part)
            check_repeats(
                trial, rows, {v.name: trial.thin(v, whole[v.name]) for v in trial.variables}
            )
            check_alone(trial, first_x0)
        if one is None and value.dtype.name in DTYPES:
            variables = tuple(Variable(v.name, value.dtype.name) for v in trial.variables)
            trial = replace(trial, variables=variables)
        declare.check_label_lengths(trial, declared.coords)
        return in_its_format(replace(trial, format=self.format))

    def _bind_mapping(
        self, trial: CounterSampler, value: Mapping[Any, Any], n: int, declared: Asked
    ) -> CounterSampler:
        """Bind a user's `sample` that returns a mapping of variables, each (dims ..., paths)."""
        if not value:
            raise trial.failure(0, trial.x0, "returned no variables, expected a path.")
        parts = {
            str(name): ReturnedVariable(
                np.moveaxis(_of_paths(trial, name, array, n), -1, 0)[0], None, False
            )
            for name, array in value.items()
        }
        variables = declare.declared_variables(trial, declared, parts)
        bound = in_its_format(
            replace(trial, variables=variables, coords=dict(declared.coords), format=self.format)
        )
        declare.check_label_lengths(bound, declared.coords)
        if bound.dtype != trial.dtype:  # draws depend on the dtype
            part = None if declared.first_x0 is None else declared.first_x0[..., :n]
            value = bound.raw(0, n, part)
        whole = bound.split(value, n, None)
        again = {v.name: bound.thin(v, whole[v.name]) for v in bound.variables}
        check_repeats(bound, probe_first_paths(bound, declared.first_x0, n), again)
        check_alone(bound, declared.first_x0)
        return bound

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return a process, and an object that returns variables of several dtypes and dims."""
        return (BrownianMotion(), {"T": 5, "x0": 1.0}), (_Mixed(), {"T": 4})

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return an object with a `sample` method."""
        return _FragileProcess(), {"T": 5}

    # --- drawing -----------------------------------------------------------------------------

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths; an error names the lowest path that fails alone."""
        error: BaseException | None = None
        try:
            return self._kept(start, stop, x0)
        except KeyboardInterrupt:
            raise
        except SamplerError as caught:
            message = caught.message.partition(": a range of paths: ")[2] or caught.message
        except BaseException as caught:  # also SystemExit, which would end a worker silently
            message, error = describe_error(caught), caught
        path = lowest_failing(self._complete, start, stop, x0)
        if path is not None and error is not None and stop - start > 1:
            part = None if x0 is None else x0[..., path - start : path - start + 1]
            return self.draw(path, path + 1, part)  # raises the error of that path alone
        at = self.x0 if path is None else self.state_at_start(x0, path - start)
        failed = self.failure(path, at, message, error)
        if self.foreground and error is not None:
            annotate(error, failed)
            raise error
        raise failed

    def is_surely_finite(self, x0: Any) -> bool:
        """Return whether the process has a bound that excludes an overflow."""
        if not isinstance(self.target, Process) or self.context.values:
            return False
        reach = float(np.abs(self.state(x0)).max())
        return _is_bounded(self.target, self.grid, reach, str(self.dtype))

    def draws_key(self) -> Any:
        """Return key, precision, format and number of the draws, and who uses them alike.

        Processes of one pass over the steps use all of them at once; of others, which take some at
        a time, those of one class do: what is kept for the next one is then what it asks for.
        """
        alike = "one pass" if self.is_one_pass else type(self.target)
        return self.seed.philox_key(), self._precision, self.format, self.grid.T, alike

    @property
    def is_one_pass(self) -> bool:
        """Whether the process makes one compiled pass; see `Sampler.is_one_pass`."""
        return bool(getattr(self.target, "is_one_pass", False)) and has_kernel()

    @property
    def _precision(self) -> str:
        return "float32" if self.dtype == np.float32 else "float64"

    @property
    def _skips_times(self) -> bool:
        """Whether `sample` is one recursion, which can leave out the rows of some times."""
        target = self.target
        return isinstance(target, Process) and target.is_recursion and not runs_user_code(target)

    def keeping(self, positions: tuple[int, ...]) -> CounterSampler | None:
        """Return the sampler that keeps these of its times; see `Sampler.keeping`."""
        if not self._skips_times or not (
            self.on_nonfinite == "keep" or self.is_surely_finite(None)
        ):
            return None
        known = range(self.grid.T + 1) if self.keep is None else self.keep
        return replace(self, keep=tuple(known[i] for i in positions))

    def state(self, x0: Any) -> Rows:
        """Return the initial state as the array that `sample` gets."""
        return self._state_of(self.target, x0)

    def _state_of(self, target: Any, x0: Any) -> Rows:
        value = self.x0 if x0 is None else x0
        if isinstance(target, Process):
            is_common = x0 is None and target is self.target and type(value) in (int, float)
            if is_common and not runs_user_code(target):
                # Its text too: 0.0 and -0.0 are equal, and two initial states.
                return _common_state(target, value, str(value), str(self.dtype)).copy()
            return target.check_x0(value, str(self.dtype))
        given = np.asarray(0.0 if value is None else value)
        out = np.array(given, self.dtype)  # a copy: the sampler may write into it
        if self.dtype.kind in "iu" and given.dtype.kind in "iuf" and not (out == given).all():
            raise value_error("x0", f"numbers that {self.dtype} holds", value)
        return out

    def raw(self, start: int, stop: int, x0: Any, keep: tuple[int, ...] | None = None) -> Any:
        """Call `sample` for paths start ... stop-1; it returns the times `keep` alone, if given."""
        draws, shared = self._draws(start, stop - start), self.context.draws
        if keep is not None:
            draws = KeptDraws.over(draws, keep, self.grid.T)
        elif shared is not None:
            draws = shared.of(draws)
        target, options = self._with_own(start, stop)
        value = target.sample(draws, self.grid, self._state_of(target, x0), **options)
        return value if isinstance(value, Mapping) else plain_array("sample", value)

    @property
    def in_times(self) -> InTimes:
        """How a process of montezarr is drawn a few times at a time; see `Sampler.in_times`."""
        target: Any = self.target
        if not is_ours(target) or (target.runs_user_code and not target.resumes):
            return "whole"
        return "resumed" if target.resumes and self.dtype != np.float32 else "from the start"

    def first_times(self, start: int, stop: int, x0: Any, last: int) -> PathArrays:
        """Return the times 0 ... last of paths; see `Sampler.first_times`."""
        draws = self._draws(start, stop - start)
        target, _ = self._with_own(start, stop)
        rows = target.sample(draws, self.grid.part(0, last), self._state_of(target, x0))
        return self.split(rows, draws.n, x0, last + 1)

    def later_times(
        self, paths: NDArray[np.int64], first: int, last: int, states: PathArrays
    ) -> PathArrays:
        """Return the times first ... last of paths; see `Sampler.later_times`."""
        low, high = int(paths[0]), int(paths[-1]) + 1
        own = {name: array[paths - low] for name, array in self.context.of(low, high).items()}
        target = self._with_values(own)[0]
        draws = ScatteredDraws.over(self._draws(0, 0), paths, first)
        known = list(states.values())
        state = known[0] if len(known) == 1 else np.stack(known)
        rows = target.sample(draws, self.grid.part(first, last), state)
        return self.split(rows, draws.n, None, last - first + 1)

    def _draws(self, start: int, n: int) -> Draws:
        return Draws(self.seed.philox_key(), start, n, self._precision, format=self.format)

    def _with_own(self, start: int, stop: int) -> tuple[Any, Mapping[str, Any]]:
        """Return the target and options, with the parameters that each path has for itself."""
        return self._with_values(self.context.of(start, stop))

    def _with_values(self, own: Mapping[str, NDArray[Any]]) -> tuple[Any, Mapping[str, Any]]:
        if not own:
            return self.target, self.options
        if isinstance(self.target, Process):
            numbers = {name: array.astype(np.float64) for name, array in own.items()}
            return self.target.with_arrays(numbers), self.options
        return self.target, {**self.options, **own}

    def _events(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the events of paths start ... stop-1 of a process whose paths these are."""
        target, _ = self._with_own(start, stop)
        draws = Draws(self.seed.philox_key(), start, stop - start)
        room = next(v.room for v in self.variables if v.has_events)
        values, counts = target.sample_events(draws, self.grid, self._state_of(target, x0), room)
        return events.of_process(self, values, counts)

    def split(self, value: Any, n: int, x0: Any, times: int | None = None) -> PathArrays:
        """Return the value that `sample` returned for `n` paths, by variable, in its dtypes."""
        if isinstance(value, Mapping):
            return self._by_name(value, n, x0)
        shape = (self.grid.T + 1 if times is None else times, n)
        wanted = shape if len(self.variables) == 1 else (len(self.variables), *shape)
        if value.shape not in (wanted, (1, *shape)):
            message = f"sample returned shape {value.shape}, expected {wanted}."
            raise self.failure(None, x0, message)
        converted = cast(value, self.dtype)
        if converted is None:
            message = f"sample returned dtype {value.dtype}, expected {self.dtype}."
            raise self.failure(None, x0, message)
        rows = converted.reshape(len(self.variables), *shape)
        out = {v.name: row for v, row in zip(self.variables, rows, strict=True)}
        return self._unmasked(out)

    def _by_name(self, value: Mapping[Any, Any], n: int, x0: Any) -> PathArrays:
        names = [variable.name for variable in self.variables]
        if set(map(str, value)) != set(names):
            message = f"sample returned {sorted(map(str, value))}, expected {names}."
            raise self.failure(None, x0, message)
        out = {}
        for variable in self.variables:
            array = _of_paths(self, variable.name, value[variable.name], n)
            shape = (*variable.shape(self.grid.T + 1), n)
            array = array.reshape(shape) if shape == (1, n) and array.shape == (n,) else array
            converted = cast(array, variable.dtype) if array.shape == shape else None
            if converted is None:
                found = f"{array.dtype} {array.shape}, expected {variable.dtype} {shape}"
                raise self.failure(None, x0, f"{variable.name}: sample returned {found}.")
            out[variable.name] = np.ascontiguousarray(converted)
        return self._unmasked(out)

    def _unmasked(self, out: PathArrays) -> PathArrays:
        if not isinstance(self.target, Process):
            for variable in self.variables:
                check_no_mask(self, variable, out[variable.name], None, None)
        return out

    def _kept(self, start: int, stop: int, x0: Any) -> PathArrays:
        if self.keep is None:
            return self._complete(start, stop, x0)
        if self._skips_times and self.context.draws is None:
            value = self.raw(start, stop, x0, self.keep)
            return self.split(value, stop - start, x0, len(self.keep))
        out = self.new_arrays(stop - start)
        for low in range(start, stop, self.slice_paths):
            high = min(low + self.slice_paths, stop)
            part = None if x0 is None else x0[..., low - start : high - start]
            whole = self._complete(low, high, part)
            for variable in self.variables:
                kept = self.thin(variable, whole[variable.name])
                out[variable.name][..., low - start : high - start] = kept
        return out

    def _complete(self, start: int, stop: int, x0: Any) -> PathArrays:
        if self.has_events:
            return self._events(start, stop, x0)
        return self.split(self.raw(start, stop, x0), stop - start, x0)


class _Mixed:
    """An object with a `sample` method that returns two variables."""

    def sample(self, draws: Draws, grid: TimeGrid, x0: Any) -> dict[str, Rows]:
        """Return a walk, and its number of steps up."""
        steps = draws.normal(range(grid.T))
        walk = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
        return {"x": walk, "rises": (steps > 0).sum(axis=0)}


class _FragileProcess:
    """An object with a `sample` method, some of whose paths fail; see `Sampler.fragile`."""

    def sample(self, draws: Draws, grid: TimeGrid, x0: Any, limit: float, ceiling: float) -> Rows:
        """Return independent values."""
        x: Rows = draws.normal(range(grid.T + 1))
        if x.max() > limit:
            raise ValueError("above the limit")
        x[-1, x.max(axis=0) > ceiling] = np.inf
        return x


def in_its_format(sampler: CounterSampler) -> CounterSampler:
    """Return a bound sampler with the oldest format of recipes that gives its paths."""
    return sampler if sampler.dtype == np.float32 else replace(sampler, format=1)


@lru_cache(maxsize=128, typed=True)
def _common_state(process: Process, x0: float, text: str, dtype: str) -> Rows:
    """Return the initial state that all paths have; cached, since chunks share it."""
    return process.check_x0(x0, dtype)


@lru_cache(maxsize=128)
def _is_bounded(process: Process, grid: TimeGrid, reach: float, dtype: str) -> bool:
    """Return whether a bound excludes an overflow; cached, since chunks with one x0 share it."""
    if not isinstance(process, HasBound):
        return False
    return bool(process.bound(grid, reach) < float(np.finfo(dtype).max))


def _check_no_dims(declared: Asked) -> None:
    if declared.dims:
        expected = "None, since each variable is (path, time) here"
        raise value_error("dims", expected, dict(declared.dims))


def _of_paths(sampler: Sampler, name: Any, value: Any, n: int) -> Rows:
    array = plain_array(str(name), value)
    if array.ndim == 0 or array.shape[-1] != n:
        message = f"{name}: sample returned shape {array.shape}, expected (..., {n}), paths last."
        raise sampler.failure(None, sampler.x0, message)
    return array


def _in_order(x0: Any, names: tuple[str, ...]) -> Any:
    """Return initial states in the order of `names`, if they are a mapping."""
    if not isinstance(x0, Mapping):
        return x0
    if set(x0) != set(names):
        raise value_error("x0", f"a value for each of {', '.join(names)}", x0)
    return tuple(x0[name] for name in names)
