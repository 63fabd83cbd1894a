"""`SimulationResult` and `Path`: the results of the engine, as views on a Dataset."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.added_fields import added
from montezarr.core.checks import check_int, value_error
from montezarr.core.errors import MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.text import Card, count_text, duration, show_bytes, speed
from montezarr.core.tunables.memory import DATAFRAME_ROW_BYTES
from montezarr.run._chunk_buffer import ChunkBuffer
from montezarr.run._replay import replay_run
from montezarr.run._run import Run
from montezarr.run._selected import positions_of
from montezarr.run._texts import process_rows, seed_text
from montezarr.run._varied_texts import scenario_sizes, varied_rows
from montezarr.samplers import EVENT_TIME, Sampler
from montezarr.samplers.schema import PATH, TIME

State = int | float | str
"""One state of a path: a number or a label."""


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Path:
    """One path of a result: its times and its states.

    Attributes
    ----------
    times : array (T+1,)
        Times of the grid, or of the events of the path if the sampler returns those.
    states : array (T+1,), or mapping from names to such arrays
        States: numbers, or labels as an array of objects. A mapping for several variables.
        Vectors have further dimensions; a scalar of the path has no times.
    dims : mapping from names to tuples of str, optional
        The dimensions of the states of each variable; None if all have the times alone.

    Examples
    --------
    >>> import montezarr as mz
    >>> result = mz.MonteCarloEngine(mz.RandomWalk()).simulate(100, 4, seed=1)
    >>> path = result.paths[7]
    >>> path.times, path.states
    (array([0., 1., 2., 3., 4.]), array([ 0, -1,  0,  1,  0]))
    """

    times: NDArray[Any]
    states: Any
    dims: Mapping[str, tuple[str, ...]] | None = added(None)

    def __len__(self) -> int:
        """Return the number of times, T+1."""
        return len(self.times)

    def __repr__(self) -> str:
        return f"<montezarr.Path: {len(self)} times from {self.times[0]:g} to {self.times[-1]:g}>"

    def __getitem__(self, t: Any) -> Any:
        """Return the state at a position of the grid, as a mapping if there are several variables.

        A scalar of the path has the same value at every position.
        """
        known = self.dims or {}
        if isinstance(self.states, Mapping):
            return {
                name: _at(states, known.get(name, (TIME,)), t)
                for name, states in self.states.items()
            }
        return _at(self.states, next(iter(known.values()), (TIME,)), t)


def _at(states: Any, dims: tuple[str, ...], t: Any) -> Any:
    """Return the part of an array with these dimensions at a position of the grid."""
    place = (slice(None),) * dims.index(TIME) + (t,) if TIME in dims else ()
    return states[place]


class _PathSequence(Sequence[Path]):
    """The paths of a result; each is made when it is accessed."""

    def __init__(self, result: SimulationResult, span: range):
        self._result, self._span = result, span

    def __len__(self) -> int:
        return len(self._span)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> _PathSequence: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _PathSequence(self._result, self._span[index])
        try:
            path = self._span[index]
        except IndexError:
            raise IndexError(f"path {index} of {len(self):,} paths") from None
        return self._result._path(path)

    def __iter__(self) -> Iterator[Path]:
        yield from (self._result._path(index) for index in self._span)

    def __repr__(self) -> str:
        return f"<{len(self):,} paths>"


@final
class SimulationResult:
    """The paths of a simulation, in the order of their indices.

    Its repr, also in a notebook, shows the process as an equation with its parameters, the size in
    paths, times and bytes, the seed, the backend, the speed, and the paths that failed.

    Attributes
    ----------
    dataset : Dataset
        As `simulate` returns it: lazy, in chunks; in memory if the paths were drawn.
    metadata : dict
        Process, seed, backend and the reason for it, workers, batch size, seconds, paths per
        second, masked paths with reasons, repeated paths with attempts.

    Examples
    --------
    >>> import montezarr as mz
    >>> chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    >>> result = mz.MonteCarloEngine(chain).simulate(1000, 50, "calm", seed=1)
    >>> len(result), result.paths[0].states[:3]
    (1000, array(['calm', 'calm', 'calm'], dtype=object))
    >>> result.state_distribution(t=50)
    {'calm': 0.843, 'storm': 0.157}
    """

    def __init__(
        self,
        run: Run,
        dataset: xr.Dataset,
        metadata: dict[str, Any],
        chunk_buffer: ChunkBuffer | None = None,
    ):
        self._run, self.dataset, self.metadata, self._chunk_buffer = (
            run,
            dataset,
            metadata,
            chunk_buffer,
        )

    def _run_behind(self, process: Any = None) -> Run:
        """Return the run of this result; see `Run.behind`."""
        return self._run

    @property
    def paths(self) -> Sequence[Path]:
        """The paths as a lazy sequence; a path that is not in memory is drawn alone."""
        return _PathSequence(self, range(len(self)))

    def __len__(self) -> int:
        """Return the number of paths."""
        return self._run.length

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        run, known = self._run, self.metadata
        where = "lazy" if self._chunk_buffer is None else "in memory"
        size = count_text(len(self), "path")
        if scenarios := scenario_sizes(run.recipe):
            size = f"{count_text(math.prod(scenarios.values()), 'scenario')} × {size}"
        if self._has_times:
            size += f" × {count_text(run.sampler.n_times, 'time')}"
        if len(run.sampler.variables) > 1:
            size += f" × {len(run.sampler.variables):,} variables"
        workers = known.get("n_jobs", 1)
        rows = [
            *process_rows(run.sampler, run.recipe),
            *varied_rows(run.recipe),
            ("size", f"{size}, {show_bytes(len(self) * run.path_bytes)}, {where}"),
            ("seed", seed_text(run.recipe["seed"])),
            (
                "backend",
                f"{known.get('backend')} ({known.get('reason')}), {count_text(workers, 'worker')}",
            ),
        ]
        if "seconds" in known:
            took = duration(known["seconds"])
            rows.append(("drawn", f"in {took}, {speed(known['paths_per_second'])}"))
        else:
            rows.append(("drawn", "when they are asked for"))
        for title in ("masked", "retried"):
            if paths := known.get(title):
                first, why = next(iter(paths.items()))
                rows.append(
                    (title, f"{count_text(len(paths), 'path')}; the first is {first}: {why}")
                )
        name = run.sampler.name
        title = f"montezarr.SimulationResult: {count_text(len(self), 'path')} of {name}, {where}"
        return Card(title, rows)

    def to_dataframe(self) -> pd.DataFrame:
        """Return all paths as a table with one row for each path and time.

        Returns
        -------
        DataFrame
            Columns ``path_id``, ``t`` (position in the grid), ``time``, and ``state``, or one
            column per variable if there are several. A scalar of a path is repeated in all its
            rows; vectors have a column for each entry, with its label in the title. Masked paths
            are NaN, None among labels, and ``pd.NA`` among integers.

        Raises
        ------
        MemoryBudgetError
            If the table would not fit into memory.
        """
        variables = self._run.sampler.variables
        if self._run.sampler.has_events:
            raise value_error(
                "to_dataframe", "paths with a row for each time", "events",
                "Take montezarr.events_frame(result.dataset).",
            )  # fmt: skip
        has_times = self._has_times
        n_times = self._run.sampler.n_times if has_times else 1
        rows = len(self) * n_times
        columns_of = [math.prod(variable.sizes) for variable in variables]
        needed = rows * (DATAFRAME_ROW_BYTES + 8 * (sum(columns_of) - 1))
        if needed > memory_limit():
            raise MemoryBudgetError(
                f"to_dataframe: expected a table that fits into memory, got {rows:,} rows ="
                f" {show_bytes(needed)}. Reduce .dataset, or take montezarr.batches of it."
            )
        found: dict[str, tuple[str, NDArray[Any]]] = {}
        for variable in variables:
            for title, states in _columns(self.dataset[variable.name], n_times):
                found[title] = variable.name, states
        columns: dict[str, Any] = {"path_id": np.repeat(np.arange(len(self)), n_times)}
        if has_times:
            columns["t"] = np.tile(np.arange(n_times), len(self))
            columns["time"] = np.tile(self._run.sampler.times, len(self))
        if EVENT_TIME in found:
            columns["time"] = found.pop(EVENT_TIME)[1]
        for title, (name, states) in found.items():
            shown = "state" if len(found) == 1 else title
            columns[shown] = self._with_missing(name, self._decode(name, states))
        return pd.DataFrame(columns)

    def state_distribution(
        self, t: int, variable: str | None = None, **scenario: Any
    ) -> dict[State, float]:
        """Return the share of paths in each state at one time; masked paths do not count.

        Parameters
        ----------
        t : int
            Position in the grid, from 0 to T; negative ones count from the end.
        variable : str, optional
            The variable; required if there are several.
        **scenario
            Coordinates of one scenario, such as ``sigma=0.3``, as for `montezarr.replay`; required
            if there are several.

        Returns
        -------
        dict of state to float
            Labels if the variable has them, else numbers; sorted. The shares sum to 1.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If `t` is not in the grid, or there is no such variable or scenario.
        """
        last = self._run.sampler.n_times - 1
        position = check_int("t", t, minimum=-last - 1, maximum=last)
        names = [v.name for v in self._run.sampler.variables if v.name != EVENT_TIME]
        if variable is None and len(names) == 1:
            variable = names[0]
        if variable not in names:
            raise value_error("variable", f"one of {', '.join(names)}", variable)
        spec = next(v for v in self._run.sampler.variables if v.name == variable)
        positions = {
            dim: places
            for dim, places in positions_of(self._run.sampler, scenario).items()
            if dim in spec.dims
        }
        left = [dim for dim in spec.dims[: spec.lead] if len(positions.get(dim, ())) != 1]
        if left:
            raise value_error(
                "scenario", f"one scenario, by {', '.join(left)}", scenario or "none",
                f"Pass one, such as {left[0]}={self.dataset[left[0]].values[0].item()!r}.",
            )  # fmt: skip
        if spec.sizes[spec.lead :]:
            raise value_error(
                "variable", "one with a single state at each time", (PATH, *spec.dims),
                "Take an entry of it by .dataset, and np.unique.",
            )  # fmt: skip
        counts: Counter[Any] = Counter()
        size = max(self._run.chunk, 2**20 // self._run.chunk * self._run.chunk)
        for low in range(0, len(self), size):
            part = self.dataset[variable].isel(path=slice(low, low + size))
            part = part.isel({dim: place[0] for dim, place in positions.items()})
            part = part.isel({TIME: position}) if TIME in part.dims else part
            states, number = np.unique(self._unmasked(part.values, low, spec), return_counts=True)
            counts.update(dict(zip(states.tolist(), number.tolist(), strict=True)))
        total = sum(counts.values())
        labels = spec.labels
        return {
            (state if labels is None else labels[int(state)]): counts[state] / total
            for state in sorted(counts)
        }

    def _unmasked(self, states: NDArray[Any], start: int, variable: Any) -> NDArray[Any]:
        """Return the states of the paths from `start` on, without masked paths."""
        # Each scenario masks paths of its own, which only the values tell.
        if self._chunk_buffer is not None and not variable.lead:
            masked = np.array(list(self.metadata["masked"]), dtype=np.int64) - start
            kept: NDArray[Any] = np.delete(states, masked[(masked >= 0) & (masked < len(states))])
            return kept
        sampler = self._run.sampler
        if not sampler.may_mask:
            return states
        is_real = (states == states) & (states != variable.masked)
        unmasked: NDArray[Any] = states[is_real]
        return unmasked

    def _with_missing(self, name: str, states: NDArray[Any]) -> Any:
        """Return integers with ``pd.NA`` for masked paths; other states unchanged."""
        sampler = self._run.sampler
        variable = next(v for v in sampler.variables if v.name == name)
        is_integer = states.dtype.kind in "iu"
        if not is_integer or not sampler.may_mask:
            return states
        is_masked = states == variable.masked
        return pd.arrays.IntegerArray(states, is_masked) if is_masked.any() else states

    def _path(self, index: int) -> Path:
        if self._chunk_buffer is not None:
            rows = self._chunk_buffer.path(index)
        else:
            alone = replay_run(self._run, index, self._run.sampler)
            rows = {str(name): array.values for name, array in alone.data_vars.items()}
        rows = _without_padding(rows, self._run.sampler)
        times = rows.pop(EVENT_TIME, self._run.sampler.times)
        states = {name: self._decode(name, row) for name, row in rows.items()}
        dims = {v.name: v.dims for v in self._run.sampler.variables if v.name in states}
        only = states if len(states) > 1 else next(iter(states.values()))
        # Digests of users' models include a Path that is passed to them: build it as before.
        is_plain = all(own == (TIME,) for own in dims.values())
        return Path(times, only, dims=None if is_plain else dims)

    @property
    def _has_times(self) -> bool:
        return any(TIME in variable.dims for variable in self._run.sampler.variables)

    def _decode(self, name: str, codes: NDArray[Any]) -> NDArray[Any]:
        """Return labels in place of their codes; None for masked paths."""
        labels = next(v.labels for v in self._run.sampler.variables if v.name == name)
        if labels is None:
            return codes
        table = np.array([*labels, None], dtype=object)
        inside = (codes >= 0) & (codes < len(labels))
        decoded: NDArray[Any] = table[np.where(inside, codes, len(labels))]
        return decoded


def _without_padding(rows: dict[str, NDArray[Any]], sampler: Sampler) -> dict[str, NDArray[Any]]:
    """Return the variables of one path as its code returned them: without padding, and numbers."""
    numbers = {
        v.event_dim: int(rows[v.name].item())
        for v in sampler.variables
        if v.derived and v.event_dim is not None and not v.lead
    }
    if not numbers:
        return rows
    return {
        v.name: rows[v.name][: max(0, numbers[v.event_dim])]
        if v.event_dim is not None
        else rows[v.name]
        for v in sampler.returned
    }


def _columns(array: xr.DataArray, n_times: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield title and values, path after path, of each table column of a variable.

    A variable without times is repeated in the row of every time. One with more dimensions has
    several columns, with their labels, or positions, in the titles.
    """
    name = str(array.name)
    if TIME not in array.dims:
        array = array.expand_dims({TIME: n_times}, axis=1)
    others = [dim for dim in array.dims if dim not in (PATH, TIME)]
    values = array.transpose(PATH, TIME, *others).values
    labels = [array[dim].values.tolist() for dim in others]
    for place in np.ndindex(*values.shape[2:]):
        at = [str(known[i]) for known, i in zip(labels, place, strict=True)]
        yield "_".join([name, *at]), values[(slice(None), slice(None), *place)].ravel()
