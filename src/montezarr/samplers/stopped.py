"""Paths that stop: the sampler of a run with a stopping rule, around one of another class."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.errors import SamplerError
from montezarr.core.tunables.memory import STOPPED_TILE_PATHS, STOPPED_TILE_VALUES
from montezarr.samplers._base import DrawUnder, Sampler, annotate, describe_error
from montezarr.samplers._failing import lowest_failing
from montezarr.samplers._stops import STOP_TIME, STOPPED, NotFiniteError, Stops, value_name
from montezarr.samplers.drawing import sample_range
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.schema import PathArrays, Variable
from montezarr.samplers.stopping._base import StoppingRule, as_rule
from montezarr.samplers.stopping._trial import check_test

SHORT_PATH = 512
"""Steps up to which complete paths are drawn: to go through them in parts would take longer."""

FIRST_STEPS = 256
"""Steps of paths that cannot be resumed that are drawn at first; then four times as many."""

FEWEST_STEPS = 64
"""Steps of paths that are resumed, at least: a call for fewer takes longer than they do."""

TOGETHER = 16
"""Paths, by their indices, of which all are drawn on if one is: a few vectors of a processor."""

TILES_BY_CALLS = 16
"""Tiles that are drawn together where NumPy is called at each step, which takes long for few."""

Places = NDArray[np.int64]
"""Positions of paths in a range, increasing."""

TRIED_PATHS = 4
"""Paths on which functions of the user are tried at the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedSampler(Sampler):
    """Sampler of paths that stop by a rule; until then they are those of another sampler.

    Its variables are those of `single`, and when, whether and where a path has stopped. A variable
    with times may be missing among them: it is then drawn only as far as that takes.

    Attributes
    ----------
    single : Sampler
        The sampler of the paths that do not stop, bound.
    rule : StoppingRule
        When a path stops.
    after : {"hold", "nan"}
        Whether variables keep the value of the stop, or are NaN after it.
    """

    single: Sampler
    rule: StoppingRule
    after: str = "hold"

    # --- facts -------------------------------------------------------------------------------

    @property
    def interface(self) -> Interface:
        """The facts of the interface of the paths."""
        return self.single.interface

    @property
    def is_one_pass(self) -> bool:
        """Whether the paths are drawn as `Sampler.is_one_pass` says."""
        return self.single.is_one_pass

    @property
    def releases_gil(self) -> bool:
        """Whether threads can draw in parallel."""
        return self.single.releases_gil

    @property
    def whole_path_bytes(self) -> int:
        """Bytes of one path with all its times, which it may have to draw."""
        return self.single.whole_path_bytes

    def with_rooms(self, rooms: Any, cuts: bool | None = None) -> Self:
        """Return the sampler with room for so many events."""
        alike = Sampler.with_rooms(self, rooms, cuts)
        own: Self = replace(alike, single=self.single.with_rooms(rooms, cuts))
        return own

    def is_surely_finite(self, x0: Any) -> bool:
        """Return whether it is proven that no value is infinite; after the stop there is none."""
        return self._paths().is_surely_finite(x0)

    def scratch_bytes(self, length: int) -> int:
        """Return the bytes of complete paths that are drawn before they are put in their place."""
        if self._goes_in_times:
            return 4 * 8 * STOPPED_TILE_VALUES * self._tiles * len(self.single.variables)
        return min(self._at_once, max(length, self.interface.unit)) * self.whole_path_bytes

    def padding(self, variable: Variable, arrays: PathArrays) -> NDArray[np.bool_] | None:
        """Return where there is no value: after the stop, and of the time of one that is not."""
        if variable.name == STOP_TIME:
            return np.asarray(arrays[STOPPED] == 0)
        if self.after == "nan" and variable.time_axis is not None and not variable.derived:
            beyond = self.times[:, np.newaxis] > arrays[STOP_TIME]
            ones = [1] * (len(variable.dims) - 1)
            return beyond.reshape(len(beyond), *ones, -1)
        return Sampler.padding(self, variable, arrays)

    def only(self, names: Collection[str]) -> StoppedSampler | None:
        """Return the sampler without variables with times that are not asked for.

        It takes less time if paths are drawn a few times at a time, until they stop.
        """
        if not self._goes_in_times:
            return None
        kept = tuple(v for v in self.variables if v.time_axis is None or v.name in names)
        return None if len(kept) == len(self.variables) else replace(self, variables=kept)

    # --- drawing -----------------------------------------------------------------------------

    def draw_under(self, draw: DrawUnder, start: int, stop: int, x0: Any) -> Any:
        """Return what `draw` makes of the paths; of all variables, if one of them is not finite.

        Then the same paths fail, with the same message, whichever variables are asked for.
        """
        try:
            return draw(self, start, stop, x0)
        except NotFiniteError:
            whole = replace(self, variables=stopped_variables(self.single.variables))
            arrays, report = draw(whole, start, stop, x0)
            return {v.name: arrays[v.name] for v in self.variables}, report

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths; an error names the lowest path that fails alone."""
        try:
            return self._drawn(start, stop, x0)
        except (KeyboardInterrupt, SamplerError, NotFiniteError):
            raise
        except BaseException as caught:  # of the rule, or of functions of a Diffusion
            error, message = caught, describe_error(caught)
        path = lowest_failing(self._drawn, start, stop, x0)
        if path is not None and stop - start > 1:
            part = None if x0 is None else x0[..., path - start : path - start + 1]
            return self.draw(path, path + 1, part)  # raises the error of that path alone
        at = self.x0 if path is None else self.state_at_start(x0, path - start)
        failed = self.failure(path, at, message, error)
        if self.foreground:
            annotate(error, failed)
            raise error
        raise failed

    def _drawn(self, start: int, stop: int, x0: Any) -> PathArrays:
        n, out = stop - start, self.new_arrays(stop - start)
        known = [v for v in self.single.variables if v.time_axis == 0]
        stops = Stops(self.rule.test(self.single.variables), self.grid.times, known, n)
        if self.on_nonfinite != "keep" and not self.is_surely_finite(x0):
            stops.unseen = tuple(v.name for v in known if v.is_real and v.name not in out)
        draw = self._in_times if self._goes_in_times else self._whole
        draw(out, stops, start, stop, x0)
        positions = np.arange(self.grid.T + 1) if self.keep is None else np.array(self.keep)
        for variable in known:
            if variable.name in out:
                stops.fill(out[variable.name], positions, variable.name, self.after == "hold")
        for name, array in stops.scalars().items():
            out[name][...] = array
        return out

    def _paths(self) -> Sampler:
        """Return the sampler of the paths that do not stop, with all their times."""
        return replace(
            self.single, target=self.target, grid=self.grid, seed=self.seed, x0=self.x0, keep=None,
            options=self.options, context=self.context, on_error=self.on_error,
            on_nonfinite=self.on_nonfinite, retries=self.retries, foreground=self.foreground,
        )  # fmt: skip

    @property
    def _at_once(self) -> int:
        """Number of complete paths that are drawn at once: whole units."""
        unit = self.interface.unit
        return max(unit, self.single.slice_paths // unit * unit)

    def _whole(self, out: PathArrays, stops: Stops, start: int, stop: int, x0: Any) -> None:
        """Draw complete paths, a few at once, and look where they stop."""
        paths, low = self._paths(), start
        while low < stop:
            high = min(stop, (low // self._at_once + 1) * self._at_once)
            place, places = slice(low - start, high - start), np.arange(low, high) - start
            part = None if x0 is None else x0[..., place]
            arrays = paths.draw(low, high, part)
            stops.look_at_whole({name: arrays[name] for name in stops.values}, places)
            for variable in self.single.variables:
                if variable.name in out:
                    kept = self.thin(variable, arrays[variable.name])
                    out[variable.name][..., place] = kept
            low = high

    # --- a few times at once -----------------------------------------------------------------

    @property
    def _goes_in_times(self) -> bool:
        return self.single.in_times != "whole" and self.grid.T > SHORT_PATH

    @property
    def _tiles(self) -> int:
        """How many times the usual number of paths is drawn together: more by calls of NumPy."""
        return 1 if self.is_one_pass else TILES_BY_CALLS

    def _in_times(self, out: PathArrays, stops: Stops, start: int, stop: int, x0: Any) -> None:
        """Draw paths a few times at once, and go on with those that have not stopped."""
        paths = self._paths()
        paths = replace(paths, context=replace(paths.context, draws=None))
        later = self._resume if paths.in_times == "resumed" else self._begin_again
        at_once = STOPPED_TILE_PATHS * self._tiles
        for low in range(0, stop - start, at_once):
            places = np.arange(low, min(low + at_once, stop - start))
            later(paths, out, stops, start, places, x0)

    def _resume(
        self, paths: Sampler, out: PathArrays, stops: Stops, start: int, places: Places, x0: Any
    ) -> None:
        """Draw paths on from the states of those that have not stopped."""
        last = min(self.grid.T, self._count_of(0, len(places)))
        part = None if x0 is None else x0[..., places]
        low, high = start + int(places[0]), start + int(places[-1]) + 1
        arrays, first = paths.first_times(low, high, part, last), 0
        going = stops.look(arrays, 0, places)
        while True:
            self._put(out, arrays, first, last, places)
            if last == self.grid.T:
                stops.end(arrays, going, places)
            if last == self.grid.T or not going.any():
                return
            states = {name: rows[-1][..., going] for name, rows in arrays.items()}
            places, first = places[going], last
            last = min(self.grid.T, first + self._count_of(first, len(places)))
            arrays = paths.later_times(start + places, first, last, states)
            new = {name: rows[1:] for name, rows in arrays.items()}
            going = stops.look(new, first + 1, places)

    def _begin_again(
        self, paths: Sampler, out: PathArrays, stops: Stops, start: int, places: Places, x0: Any
    ) -> None:
        """Draw paths from the start, up to later and later times while one has not stopped."""
        waiting = [(int(places[0]), int(places[-1]) + 1, 0)]
        while waiting:
            low, high, before = waiting.pop()
            last = min(self.grid.T, max(FIRST_STEPS, 4 * before))
            part, here = None if x0 is None else x0[..., low:high], np.arange(low, high)
            arrays = paths.first_times(start + low, start + high, part, last)
            first = before + (before > 0)
            going = stops.look({name: rows[first:] for name, rows in arrays.items()}, first, here)
            self._put(out, arrays, 0, last, here)
            if last == self.grid.T:
                stops.end(arrays, going, here)
                continue
            # All times from the start on are in memory together.
            most = STOPPED_TILE_VALUES * self._tiles
            size = max(TOGETHER, most // (4 * last) // TOGETHER * TOGETHER)
            for a, b in _runs(going):
                waiting += [(low + c, low + min(c + size, b), last) for c in range(a, b, size)]

    def _count_of(self, first: int, n: int) -> int:
        """Return how many steps `n` paths are drawn on from a time on: few, since they may stop."""
        most = STOPPED_TILE_VALUES * self._tiles // n
        return max(FEWEST_STEPS, min(most, max(FEWEST_STEPS, first // 4)))

    def _put(
        self, out: PathArrays, arrays: PathArrays, first: int, last: int, places: Places
    ) -> None:
        """Put the times first ... last of paths to their places, where they are kept."""
        at: Any = places
        if len(places) == places[-1] - places[0] + 1:
            at = slice(int(places[0]), int(places[-1]) + 1)
        for name, rows in arrays.items():
            if name not in out:
                continue
            if self.keep is None:
                out[name][first : last + 1, ..., at] = rows
                continue
            keep = np.array(self.keep)
            low, high = np.searchsorted(keep, (first, last + 1))
            out[name][low:high, ..., at] = rows[keep[low:high] - first]


def _runs(going: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of paths to go on with: of groups of which one path has not stopped."""
    groups = np.logical_or.reduceat(going, range(0, len(going), TOGETHER))
    edges = np.flatnonzero(np.diff(groups, prepend=False, append=False))
    for low, high in edges.reshape(-1, 2) * TOGETHER:
        yield int(low), min(int(high), len(going))


def stopped_variables(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Return the variables of paths, and those that say when, whether and where they stop."""
    when = {"long_name": "time of the stop, NaN for a path that has not stopped"}
    whether = {"long_name": "whether the path has stopped"}
    found = [
        Variable(STOP_TIME, "float64", dims=(), attrs=when, derived=True),
        Variable(STOPPED, "int8", dims=(), attrs=whether, derived=True),
    ]
    for variable in variables:
        if variable.time_axis is None:
            continue
        text = f"{variable.name} at the stop, or at the last time"
        found.append(
            replace(
                variable, name=value_name(variable.name), dims=variable.dims[1:], derived=True,
                attrs={**variable.attrs, "long_name": text},
            )
        )  # fmt: skip
    return (*variables, *found)


def with_rule(sampler: Sampler, until: Any, after: str, first_x0: Any) -> StoppedSampler:
    """Return the sampler of paths that stop by a rule, which is tried on the first of them.

    Parameters
    ----------
    until : StoppingRule or function
        As the caller gave it.
    after : {"hold", "nan"}
        As for `StoppedSampler`.
    first_x0 : array or None
        Initial states of the first block.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a rule that does not fit the variables, or whose functions do not return bool by time
        and path.
    """
    rule = as_rule(until)
    _check_variables(sampler, after)
    variables = stopped_variables(sampler.variables)
    common = {entry.name: getattr(sampler, entry.name) for entry in fields(Sampler) if entry.init}
    bound = StoppedSampler(
        **{**common, "variables": variables}, single=sampler, rule=rule, after=after
    )
    test = rule.test(sampler.variables)
    if rule.functions():
        check_test(test, *_first_paths(sampler, first_x0))
    return bound


def _check_variables(sampler: Sampler, after: str) -> None:
    """Raise for variables that cannot stop, or whose names are those of the stop."""
    along = [v for v in sampler.variables if v.time_axis is not None]
    if not along:
        names = [v.name for v in sampler.variables]
        raise value_error("until", "None for paths without the dimension 'time'", names)
    odd = next((v for v in along if v.time_axis != 0), None)
    if odd is not None:
        raise value_error("until", f"the time first among the dimensions of {odd.name!r}", odd.dims)
    whole = next((v for v in along if not v.is_real), None)
    if after == "nan" and whole is not None:
        expected = f"'hold', since {whole.name!r} has no NaN: its dtype is {whole.dtype}"
        raise value_error("after_stop", expected, after)
    names = [v.name for v in stopped_variables(sampler.variables)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise value_error(
            "process", f"no variable {twice!r}, which says when or where paths stop", twice,
            "Rename it.",
        )  # fmt: skip


def _first_paths(sampler: Sampler, first_x0: Any) -> tuple[NDArray[np.float64], PathArrays]:
    """Return times and values of a few first paths."""
    n = TRIED_PATHS if first_x0 is None else min(TRIED_PATHS, first_x0.shape[-1])
    part, last = None if first_x0 is None else first_x0[..., :n], sampler.grid.T
    if sampler.in_times != "whole":
        last = min(last, FIRST_STEPS)
        arrays = sampler.first_times(0, n, part, last)
    else:
        arrays = sample_range(replace(sampler, keep=None), 0, n, part)
    return sampler.grid.times[: last + 1], arrays
