"""Several runs over the same path indices, as one sampler: for expressions made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import SamplerError
from montezarr.random.draws import Draws
from montezarr.random.draws.shared import CALLS_BYTES, PASS_BYTES, shared_slices
from montezarr.samplers._base import DrawUnder, Sampler
from montezarr.samplers.context import DrawContext, DrawsOfSlice
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.policy import FailureReport, draw_as_it_is
from montezarr.samplers.schema import TIME, PathArrays, Variable

SEVERAL = "several runs"
"""Name of the interface in the recipe of several runs."""


def name_in(run: int, name: str) -> str:
    """Return the name of a variable, or a dimension, of one of several runs."""
    return f"{run}.{name}"


def joined_states(states: Sequence[NDArray[Any]], runs: Sequence[int]) -> NDArray[Any]:
    """Return the initial states (..., paths) of some runs as one array (paths,), with fields."""
    fields = [
        (str(run), array.dtype, array.shape[:-1]) for run, array in zip(runs, states, strict=True)
    ]
    out = np.empty(states[0].shape[-1], fields)
    for run, array in zip(runs, states, strict=True):
        out[str(run)] = np.moveaxis(array, -1, 0)
    return out


def states_of(run: int, states: Any) -> Any:
    """Return the initial states (..., paths) of one run; None if its paths have a common one."""
    if states is None or str(run) not in states.dtype.names:
        return None
    return np.ascontiguousarray(np.moveaxis(states[str(run)], 0, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSampler(Sampler):
    """Sampler of several runs: path i of it is path i of each of them.

    The runs may have other processes, seeds, time grids and interfaces. Those that ask for the same
    counter-based draws share them. A variable has the number of its run before its name.

    Attributes
    ----------
    parts : tuple of Sampler
        The samplers of the runs, bound, all under the same policies.
    """

    parts: tuple[Sampler, ...]

    @classmethod
    def of(cls, parts: Sequence[Sampler]) -> JointSampler:
        """Return the sampler of several, under the policies of the first."""
        first = parts[0]
        return cls(
            target=None, kind=SEVERAL, grid=first.grid, seed=first.seed, parts=tuple(parts),
            variables=tuple(v for i, part in enumerate(parts) for v in _named(i, part)),
            on_error=first.on_error, on_nonfinite=first.on_nonfinite, retries=first.retries,
        )  # fmt: skip

    # --- facts -------------------------------------------------------------------------------

    @property
    def interface(self) -> Interface:
        """The facts that hold for all runs."""
        every = [part.interface for part in self.parts]
        return Interface(
            text="; ".join(dict.fromkeys(one.text for one in every)),
            unit=max(one.unit for one in every),
            is_vectorised=all(one.is_vectorised for one in every),
            takes_ranges=all(one.takes_ranges for one in every),
            uses_global_state=any(one.uses_global_state for one in every),
        )

    @property
    def is_one_pass(self) -> bool:
        """Whether each run is drawn as `Sampler.is_one_pass` says."""
        return all(part.is_one_pass for part in self.parts)

    @property
    def releases_gil(self) -> bool:
        """Whether threads can draw in parallel."""
        return all(part.releases_gil for part in self.parts)

    @property
    def name(self) -> str:
        """Names of the processes, as shown in task names and messages."""
        return " and ".join(dict.fromkeys(part.name for part in self.parts))

    @property
    def title(self) -> str:
        """Names of the processes, with the number of runs."""
        titles = " and ".join(dict.fromkeys(part.title for part in self.parts))
        return f"{titles}, {len(self.parts)} runs"

    def scratch_bytes(self, length: int) -> int:
        """Return the bytes that drawing takes beside the paths: the runs are drawn in turn."""
        return max(part.scratch_bytes(length) for part in self.parts)

    def with_targets(self, change: Callable[[Any], Any]) -> Sampler:
        """Return the sampler with what a function makes of each target."""
        return replace(self, parts=tuple(part.with_targets(change) for part in self.parts))

    # --- drawing -----------------------------------------------------------------------------

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1 of all runs."""
        arrays, _ = self.draw_under(draw_as_it_is, start, stop, x0)
        found: PathArrays = arrays
        return found

    def draw_under(self, draw: DrawUnder, start: int, stop: int, x0: Any) -> Any:
        """Draw the range of every run, on shared draws where these are the same.

        Raises
        ------
        SamplerError
            Of the lowest path that fails, and there of the first run; it names the run.
        """
        found: dict[int, PathArrays] = {}
        report, failures = FailureReport(), []
        for runs in self._together():
            try:
                drawn, more = self._draw_some(draw, runs, start, stop, x0)
            except _Failed as failed:
                failures.append(failed)
                continue
            found |= drawn
            report += more
        if failures:
            raise min(failures, key=_Failed.order).named()
        out = {
            name_in(i, v.name): found[i][v.name]
            for i, part in enumerate(self.parts)
            for v in part.variables
        }
        return out, report

    def _together(self) -> list[list[int]]:
        """Return the numbers of the runs in groups that share their draws."""
        groups: dict[Any, list[int]] = {}
        for i, part in enumerate(self.parts):
            key = part.draws_key()
            groups.setdefault(i if key is None else key, []).append(i)
        return list(groups.values())

    def _draw_some(
        self, draw: DrawUnder, runs: list[int], start: int, stop: int, x0: Any
    ) -> tuple[dict[int, PathArrays], FailureReport]:
        """Draw the range of runs that share their draws, or of one alone."""
        if len(runs) == 1:
            arrays, report = self._draw_one(draw, runs[0], start, stop, x0, None)
            return {runs[0]: arrays}, report
        out = {i: self.parts[i].new_arrays(stop - start) for i in runs}
        report = FailureReport()
        for low, high in self._slices(runs, start, stop):
            shared, failures = DrawsOfSlice(), []
            inside = slice(low - start, high - start)
            for i in runs:
                rows = list(out[i].values())
                if len(rows) == 1:
                    shared.into(rows[0].reshape(-1, stop - start), low - start)
                try:
                    part = None if x0 is None else x0[..., inside]
                    arrays, more = self._draw_one(draw, i, low, high, part, shared)
                except _Failed as failed:
                    failures.append(failed)
                    continue
                for name, target in out[i].items():
                    if arrays[name].ctypes.data != target[..., inside].ctypes.data:
                        target[..., inside] = arrays[name]
                report += more
            if failures:
                raise min(failures, key=_Failed.order)
        return out, report

    def _slices(self, runs: list[int], start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of which the draws of all runs stay in the cache of a processor."""
        parts = [self.parts[i] for i in runs]
        size = PASS_BYTES if all(part.is_one_pass for part in parts) else CALLS_BYTES
        kept = [part.slice_paths for part in parts if part.keep is not None]
        for first, last in shared_slices(Draws((0, 0), start, stop - start), parts[0].grid.T, size):
            step = min([last - first, *kept])
            for low in range(first, last, step):
                yield start + low, start + min(low + step, last)

    def _draw_one(
        self, draw: DrawUnder, run: int, start: int, stop: int, x0: Any, shared: Any
    ) -> tuple[PathArrays, FailureReport]:
        """Draw a range of one run, under the policies of all; what fails names the run."""
        part = replace(
            self.parts[run], on_error=self.on_error, on_nonfinite=self.on_nonfinite,
            retries=self.retries, foreground=self.foreground,
        )  # fmt: skip
        if shared is not None:
            part = replace(part, context=DrawContext(draws=shared))
        try:
            arrays, report = part.draw_under(draw, start, stop, states_of(run, x0))
        except SamplerError as error:
            failed = _Failed(run, error)
        else:
            return arrays, self._of_run(run, report)
        raise failed

    def _of_run(self, run: int, report: FailureReport) -> FailureReport:
        """Return the report of a run, with reasons that name it and scenarios counted over all."""
        if not (report.masked or report.retried):
            return report
        first = self._first_scenarios()[run]
        places = dict(report.where)
        return FailureReport(
            tuple((path, f"{reason} (run {run})") for path, reason in report.masked),
            report.retried,
            tuple(
                (path, tuple(first + at for at in places.get(path, (0,))))
                for path, _ in report.masked
            ),
        )

    def _first_scenarios(self) -> list[int]:
        """Return the position of the first scenario of each run among those of all, and the end."""
        sizes = [max(v.scenarios for v in part.variables) for part in self.parts]
        return [0, *np.cumsum(sizes).tolist()]

    def masked_in(self, report: Any, start: int, n: int) -> dict[str, NDArray[np.bool_]]:
        """Return where variables are masked: each run masks paths of its own."""
        ends, out = self._first_scenarios(), dict[str, NDArray[np.bool_]]()
        for i, part in enumerate(self.parts):
            mine = tuple(
                (path, tuple(at - ends[i] for at in places if ends[i] <= at < ends[i + 1]))
                for path, places in report.where
            )
            mine = tuple((path, places) for path, places in mine if places)
            own = part.masked_in(FailureReport(where=mine), start, n)
            if own is None:
                mask = np.zeros(n, np.bool_)
                mask[[path - start for path, _ in mine if start <= path < start + n]] = True
                own = {v.name: mask for v in part.variables}
            out |= {name_in(i, name): mask for name, mask in own.items()}
        return out

    def failure(self, path: int | None, x0: Any, message: str, error: Any = None) -> SamplerError:
        """Return the error of what is made of all runs, with the context of each."""
        every = [part.failure(path, part.x0, message, error) for part in self.parts]
        context = {
            f"{key} of run {i}": text
            for i, one in enumerate(every)
            for key, text in one.context.items()
            if key != "replay"
        }
        text = every[0].message.partition(": ")[2]
        return SamplerError(f"{self.name}: {text}", path, context, every[0].traceback)


class _Failed(Exception):
    """The failure of a run on its way to the others: a lower path of these may fail too."""

    def __init__(self, run: int, error: SamplerError):
        super().__init__(error.message)
        self.run, self.error = run, error

    def order(self) -> tuple[bool, int, int]:
        """Return what sorts failures: by path, those of unknown paths last; then by run."""
        path = self.error.path
        return path is None, path or 0, self.run

    def named(self) -> SamplerError:
        """Return the failure with the number of the run, also in the line that replays it."""
        error = self.error
        context = {"run": str(self.run), **error.context}
        if "replay" in context:
            context["replay"] = f"{context['replay'][:-1]}, run={self.run})"
        return SamplerError(
            f"run {self.run}, {error.message}", error.path, context, error.traceback
        )


def _named(run: int, part: Sampler) -> Iterator[Variable]:
    """Yield the variables of a run with its number; its times are a dimension of their own."""
    for variable in part.variables:
        dims = tuple(name_in(run, dim) if dim == TIME else dim for dim in variable.dims)
        sizes = variable.shape(part.n_times)
        yield replace(variable, name=name_in(run, variable.name), dims=dims, sizes=sizes)
