"""Several scenarios, and parameters that differ from path to path, as one sampler."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.core.tunables.keeping import SCENARIO_RECURSIONS_KEPT
from montezarr.processes import Process
from montezarr.random.designs._base import Design
from montezarr.random.distributions._base import Distribution
from montezarr.random.draws import Draws
from montezarr.random.draws.recursions import Recursions
from montezarr.random.draws.shared import (
    CALLS_BYTES,
    PASS_BYTES,
    RECURSIONS_BYTES,
    shared_slices,
)
from montezarr.random.seeding import RootSeed
from montezarr.samplers._base import DrawUnder, Sampler
from montezarr.samplers.context import DrawContext, DrawsOfSlice
from montezarr.samplers.inputs import first_refused, initial_states_in, parameters_in
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.policy import FailureReport, draw_as_it_is
from montezarr.samplers.schema import TIME, PathArrays, Variable

X0 = "x0"


OwnValues = dict[str, tuple[int, NDArray[Any]]]
"""Parameters that differ from path to path: index of the first path, and (scenarios ..., n)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParameters:
    """The parameters that differ from path to path.

    Attributes
    ----------
    distributions : tuple of Distribution or Design, each with the names of its parameters
        Those drawn by counter, from the seed of the run.
    seed : RootSeed
        That seed; all scenarios have the same values, also on independent noise.
    variables : tuple of Variable
        All of them as variables of a path, without a time.
    lazy : tuple of str
        Those that came as lazy arrays, whose values nobody has checked yet.
    """

    distributions: tuple[tuple[tuple[str, ...], Distribution | Design], ...] = ()
    seed: RootSeed
    variables: tuple[Variable, ...] = ()
    lazy: tuple[str, ...] = ()

    def of(self, start: int, stop: int, inputs: Any, unit: int) -> OwnValues:
        """Return the parameters of the paths start ... stop-1, at least, with the first path.

        Those that are drawn are of whole units, since the code that draws a block sees them all.

        Parameters
        ----------
        inputs : array or None
            What came as arrays for these paths.
        unit : int
            Number of paths that are drawn together.
        """
        low, high = start // unit * unit, -(-stop // unit) * unit
        found = {name: (start, array) for name, array in parameters_in(inputs).items()}
        for names, distribution in self.distributions:
            drawn = distribution.by_name(names, self.seed, low, high - low)
            found |= {name: (low, array) for name, array in drawn.items()}
        return {
            v.name: (first, array.reshape(*v.sizes, -1))
            for v in self.variables
            for first, array in [found[v.name]]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One point of a grid of parameters.

    Attributes
    ----------
    label : dict of str to object
        Its parameters, for messages.
    replaced : dict of str to object
        Fields of the sampler that differ from the first scenario: target, options, x0, grid, seed.
    position : dict of str to int
        Its position along each dimension of scenarios.
    """

    label: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, Any] = field(default_factory=dict)
    position: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariedSampler(Sampler):
    """Sampler of a run with varying parameters: for each scenario a sampler of another class.

    Its variables begin with the dimensions of the scenarios. Parameters that differ from path to
    path are variables too.

    Attributes
    ----------
    single : Sampler
        The sampler of the first scenario, bound.
    scenarios : tuple of Scenario
        All scenarios, in the order of C over the dimensions; one if only paths differ.
    per_path : PathParameters or None
        The parameters that differ from path to path.
    scenario_dims : tuple of str
        The dimensions of the scenarios.
    other_coords : dict of str to (dims, values)
        Coordinates along these dimensions besides those of the same name.
    step_dims : tuple of str
        Those along which the step length differs.
    """

    single: Sampler
    scenarios: tuple[Scenario, ...]
    per_path: PathParameters | None = None
    scenario_dims: tuple[str, ...] = ()
    other_coords: Mapping[str, tuple[tuple[str, ...], list[Any]]] = field(default_factory=dict)
    step_dims: tuple[str, ...] = ()

    def with_rooms(self, rooms: Mapping[str, int], cuts: bool | None = None) -> Self:
        """Return the sampler with room for so many events in every scenario."""
        alike = Sampler.with_rooms(self, rooms, cuts)
        own: Self = replace(alike, single=self.single.with_rooms(rooms, cuts))
        return own

    @property
    def interface(self) -> Interface:
        """The facts of the interface of the scenarios."""
        return self.single.interface

    @property
    def drawn_path_bytes(self) -> int:
        """Bytes of one path with all its times in one scenario."""
        return self.single.whole_path_bytes

    @property
    def slice_paths(self) -> int:
        """Number of complete paths of a scenario that are simulated at once."""
        return self.single.slice_paths

    @property
    def is_one_pass(self) -> bool:
        """Whether a scenario is drawn as `Sampler.is_one_pass` says."""
        return self.single.is_one_pass

    @property
    def releases_gil(self) -> bool:
        """Whether threads can draw in parallel."""
        return self.single.releases_gil

    @property
    def title(self) -> str:
        """Name of the process, with the number of scenarios if there are several."""
        count = len(self.scenarios)
        return f"{self.name} × {count:,} scenarios" if count > 1 else self.name

    def auxiliary_coords(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Return the parameters of the scenarios, and the times ``t`` where these differ."""
        found: dict[str, Any] = dict(self.other_coords)
        if any("grid" in scenario.replaced for scenario in self.scenarios):
            found["t"] = self._times_of_scenarios()
        return found

    def _times_of_scenarios(self) -> tuple[tuple[str, ...], Any]:
        dims = tuple(dim for dim in self.scenario_dims if dim in self.step_dims)
        found = {tuple(s.position[dim] for dim in dims): s.replaced["grid"] for s in self.scenarios}
        times = [replace(self.single, keep=self.keep, grid=grid).times for grid in found.values()]
        sizes = [1 + max(places) for places in zip(*found, strict=True)]
        return (*dims, TIME), np.array(times).reshape(*sizes, -1)

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1 of all scenarios."""
        arrays, _ = self.draw_under(draw_as_it_is, start, stop, x0)
        found: PathArrays = arrays
        return found

    def draw_under(self, draw: DrawUnder, start: int, stop: int, x0: Any) -> Any:
        """Draw the range in every scenario, a few paths at a time, on draws that all share."""
        if self.per_path is not None and self.per_path.lazy:
            self._check_lazy(draw, start, stop, x0)
        recursions = self._recursions(x0)
        if recursions is not None:  # no path fails: nothing to report
            return self._in_one_pass(recursions, start, stop), FailureReport()
        out, reports = self.new_arrays(stop - start), _Reports()
        for low, high in self._slices(start, stop):
            inside = slice(low - start, high - start)
            inputs = None if x0 is None else x0[..., inside]
            own = self._own(low, high, inputs)
            shared = DrawsOfSlice() if self._shares_draws else None
            failure: SamplerError | None = None
            for position, scenario in enumerate(self.scenarios):
                rows = self._rows_of(out, position)
                if shared is not None and len(rows) == 1:
                    shared.into(next(iter(rows.values())), low - start)
                part, states = self._part(scenario, low, high, own, inputs, shared)
                try:
                    arrays, found = part.draw_under(draw, low, high, states)
                except SamplerError as error:
                    failure = _lower(failure, error)
                    if failure.path == low:  # no path of another scenario comes before it
                        break
                    continue
                for name, target in rows.items():
                    _put(arrays[name].reshape(len(target), -1), target[:, inside])
                reports.add(found, scenario, position)
            if failure is not None:
                raise failure
            for name, (first, values) in own.items():
                out[name][..., inside] = values[..., low - first : high - first]
        return out, reports.joined()

    def _check_lazy(self, draw: DrawUnder, start: int, stop: int, inputs: Any) -> None:
        """Raise for values that would be refused at the call if they were in memory.

        No policy masks them. Paths before the first such one may fail: then that is the error.
        """
        assert self.per_path is not None
        given = parameters_in(inputs)
        lazy = {name: given[name] for name in self.per_path.lazy}
        check = None
        if isinstance(self.target, Process):
            check = self.target.check_values
        found = first_refused(lazy, check)
        if found is None:
            return
        position, message = found
        if position:
            known = replace(self, per_path=replace(self.per_path, lazy=()))
            known.draw_under(draw, start, start + position, inputs[:position])
        raise self.failure(start + position, self.x0, message)

    def masked_in(self, report: Any, start: int, n: int) -> dict[str, NDArray[np.bool_]]:
        """Return where variables are masked: each scenario masks paths of its own.

        The parameters of a masked path are known, and not masked.
        """
        mask = np.zeros((len(self.scenarios), n), np.bool_)
        for path, positions in report.where:
            if start <= path < start + n:
                mask[list(positions), path - start] = True
        return {
            v.name: mask.reshape(*self.variables[i].sizes[: self.variables[i].lead], n)
            for i, v in enumerate(self.single.variables)
        }

    def keeping(self, positions: tuple[int, ...]) -> VariedSampler | None:
        """Return the sampler that keeps these of its times; see `Sampler.keeping`."""
        if self._recursions(None) is None:
            return None
        known = range(self.grid.T + 1) if self.keep is None else self.keep
        return replace(self, keep=tuple(known[i] for i in positions))

    def only(self, names: Collection[str]) -> VariedSampler | None:
        """Return the sampler of these variables and of parameters; see `Sampler.only`."""
        single = self.single.only(names)
        if single is None:
            return None
        dropped = {v.name for v in self.single.variables} - {v.name for v in single.variables}
        kept = tuple(v for v in self.variables if v.name not in dropped)
        return replace(self, single=single, variables=kept)

    def scenarios_apart(self, x0: Any) -> int:
        """Return the number of scenarios if one compiled call draws some of them, else 0."""
        return 0 if self._recursions(x0) is None else len(self.scenarios)

    def draw_apart(self, start: int, stop: int, at_once: int) -> Iterator[NDArray[Any]]:
        """Yield arrays (scenarios, times, paths), of at most `at_once` scenarios each."""
        recursions = self._recursions(None)
        assert recursions is not None
        whole_draws, parts = self._draws(start, stop), []
        for low, high in shared_slices(whole_draws, self.grid.T, RECURSIONS_BYTES):
            draws = self._draws(start + low, start + high)
            parts.append((slice(low, high), draws, recursions.normals(draws)))
        room = whole_draws.empty_rows(at_once * self.n_times)
        rows = room.reshape(at_once, self.n_times, stop - start)
        for first in range(0, len(self.scenarios), at_once):
            which = slice(first, min(first + at_once, len(self.scenarios)))
            out = rows[: which.stop - which.start]
            for inside, draws, normals in parts:
                self._fill_in(recursions, out, which, draws, inside, normals)
            yield out

    def _recursions(self, x0: Any) -> Recursions | None:
        """Return what all scenarios are if one compiled call draws them, and surely finite."""
        single = self.single
        may_differ = {"target", "x0", "grid"}
        if x0 is not None or self.per_path is not None or not self._shares_draws:
            return None
        is_recursion = getattr(self.target, "is_recursion", False) and len(single.variables) == 1
        if not is_recursion or any(s.replaced.keys() - may_differ for s in self.scenarios):
            return None
        return _recursions_of(_Alike((self.scenarios, single, self.target, self.on_nonfinite)))

    def _in_one_pass(self, recursions: Recursions, start: int, stop: int) -> PathArrays:
        """Return the paths of all scenarios, a few at a time."""
        out = self.new_arrays(stop - start)
        (array,) = out.values()
        rows = array.reshape(len(self.scenarios), self.n_times, stop - start)
        whole_draws = self._draws(start, stop)
        for low, high in shared_slices(whole_draws, self.grid.T, RECURSIONS_BYTES):
            draws = self._draws(start + low, start + high)
            which, inside = slice(0, len(rows)), slice(low, high)
            self._fill_in(recursions, rows, which, draws, inside, recursions.normals(draws))
        return out

    def _fill_in(
        self, recursions: Recursions, rows: NDArray[Any], which: slice, draws: Draws,
        inside: slice, normals: NDArray[Any],
    ) -> None:  # fmt: skip
        """Draw some scenarios into their rows (scenarios, times, ...), at the paths `inside`."""
        recursions.fill(draws, rows, inside.start, which, normals, self.keep)

    def _draws(self, start: int, stop: int) -> Draws:
        return _draws_of(self.single, start, stop)

    @property
    def _shares_draws(self) -> bool:
        return self.interface.takes_ranges and len(self.scenarios) > 1

    def _slices(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of which the draws of all scenarios stay in the cache of a processor."""
        if not self._shares_draws:
            yield start, stop
            return
        size = PASS_BYTES if self.single.is_one_pass else CALLS_BYTES
        for first, last in shared_slices(Draws((0, 0), start, stop - start), self.grid.T, size):
            step = last - first if self.keep is None else self.single.slice_paths
            for low in range(first, last, step):
                yield start + low, start + min(low + step, last)

    def _rows_of(self, out: PathArrays, position: int) -> dict[str, NDArray[Any]]:
        """Return the rows (..., paths) of each variable of a scenario in the arrays of all."""
        return {
            v.name: out[v.name].reshape(len(self.scenarios), -1, out[v.name].shape[-1])[position]
            for v in self.single.variables
        }

    def _own(self, start: int, stop: int, inputs: Any) -> OwnValues:
        """Return the parameters of each of the paths start ... stop-1."""
        if self.per_path is None:
            return {}
        return self.per_path.of(start, stop, inputs, self.interface.unit)

    def selectors(self, scenario: Scenario) -> dict[str, Any]:
        """Return the coordinate of a scenario along each dimension, or its position there."""
        known = self.coords
        return {
            dim: known[dim][place] if dim in known else place
            for dim, place in scenario.position.items()
        }

    def _part(
        self, scenario: Scenario, start: int, stop: int, own: OwnValues, inputs: Any, shared: Any
    ) -> tuple[Sampler, Any]:
        """Return the sampler of a scenario in a range, and the initial states there."""
        values = {}
        for variable in () if self.per_path is None else self.per_path.variables:
            first, array = own[variable.name]
            values[variable.name] = first, array[tuple(scenario.position[d] for d in variable.dims)]
        states = initial_states_in(inputs)
        if X0 in values:
            first, array = values.pop(X0)
            states = array[start - first : stop - first]
        context = DrawContext(scenario.label, values, shared, self.selectors(scenario))
        changed = {"target": self.target, **scenario.replaced}
        part = replace(
            self.single, keep=self.keep, on_error=self.on_error, on_nonfinite=self.on_nonfinite,
            retries=self.retries, foreground=self.foreground, context=context, **changed,
        )  # fmt: skip
        return part, states


class _Alike:
    """The same objects, as a key: they are kept, and so their addresses stay theirs."""

    def __init__(self, parts: tuple[Any, ...]):
        self.parts = parts

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.parts)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Alike):
            return NotImplemented
        return all(a is b for a, b in zip(self.parts, other.parts, strict=True))


@lru_cache(maxsize=SCENARIO_RECURSIONS_KEPT)
def _recursions_of(key: _Alike) -> Recursions | None:
    """Return the recursions of scenarios, of a sampler and its target under a policy.

    None if they are none, or not surely finite: then each scenario is drawn under its policies.
    """
    scenarios, single, target, on_nonfinite = key.parts
    try:
        parts = [replace(single, **{"target": target, **s.replaced}) for s in scenarios]
        found = [(part.target, part.grid, part.state(None)) for part in parts]
        recursions = Recursions.of(_draws_of(single, 0, 1), found)
    except Exception:  # drawing it raises the error of its path
        return None
    is_drawn = recursions is not None and (on_nonfinite == "keep" or recursions.is_surely_finite())
    return recursions if is_drawn else None


def _draws_of(single: Sampler, start: int, stop: int) -> Draws:
    (variable,) = single.variables
    key = single.seed.philox_key()
    return Draws(key, start, stop - start, variable.dtype, format=single.format)


def _put(rows: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy rows to their place, unless they were drawn there."""
    if rows.ctypes.data != target.ctypes.data:
        target[...] = rows


def _lower(a: SamplerError | None, b: SamplerError) -> SamplerError:
    """Return the failure of the lower path, so that the error does not depend on the range."""
    if a is None or (b.path is not None and (a.path is None or b.path < a.path)):
        return b
    return a


class _Reports:
    """The failure reports of the scenarios of a range, joined: a path is in it once."""

    def __init__(self) -> None:
        self._masked: dict[int, tuple[str, list[tuple[str, int]]]] = {}
        self._retried: dict[int, int] = {}

    def add(self, report: FailureReport, scenario: Scenario, position: int) -> None:
        """Add the report of a scenario at a position in the list of all."""
        name = ", ".join(f"{key}={value}" for key, value in scenario.label.items())
        for path, reason in report.masked:
            self._masked.setdefault(path, (reason, []))[1].append((name, position))
        for path, attempts in report.retried:
            self._retried[path] = max(attempts, self._retried.get(path, 0))

    def joined(self) -> FailureReport:
        """Return all, with reasons that name the first scenario and how many more there are."""
        masked, where = [], []
        for path, (reason, scenarios) in sorted(self._masked.items()):
            name = scenarios[0][0]
            more = f", and in {len(scenarios) - 1:,} more" if len(scenarios) > 1 else ""
            masked.append((path, f"{reason} (scenario {name}{more})" if name else reason))
            where.append((path, tuple(position for _, position in scenarios)))
        return FailureReport(tuple(masked), tuple(sorted(self._retried.items())), tuple(where))
