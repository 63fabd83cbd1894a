"""From a schema and statistics to reduced variables, and from their states to a Dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import show, value_error
from montezarr.core.errors import HeavyTailWarning, MontezarrWarning
from montezarr.core.notices import warn
from montezarr.reduction.accumulate import (
    NO_GROUP,
    VALUES,
    Accumulator,
    Group,
    PartialState,
    ReducedVariable,
)
from montezarr.reduction.passes._budget import MemoryEstimate, check_memory, copies_of_states
from montezarr.reduction.passes._collected import Collected, full_name
from montezarr.reduction.sources import TIME, PathIndices, Schema, SourceVariable
from montezarr.run.digests import digest_of
from montezarr.statistics import Estimate, Source, Statistic
from montezarr.statistics._built_in import built_in_statistics
from montezarr.statistics._labels import label_coordinate
from montezarr.statistics._tails import (
    BY_CHANCE,
    Verdict,
    judge,
    judge_exceedances,
    largest_share,
)

Wanted = Sequence[Statistic] | Mapping[str, Sequence[Statistic]]
"""Statistics of every variable, or of some by name."""

Totals = Mapping[Any, Any]
"""The final states, by reduced variable and group, from `Accumulator.totals`."""


@dataclass(frozen=True)
class Layout:
    """The reduced variables of a reduction, and the names and coordinates of their results.

    Attributes
    ----------
    accumulator : Accumulator
        Folds the reduced variables, by group.
    schema : Schema
        The variables that statistics see, without that of the groups.
    by : SourceVariable or None
        The variable of the groups.
    dims : tuple of (tuple of str, tuple of int)
        For each reduced variable, names and sizes of the dimensions that its cells are made of.
    indices : dict of int to PathIndices
        By array, the indices in the run of its paths, where results name paths and positions are
        no such indices.
    """

    accumulator: Accumulator
    schema: Schema
    by: SourceVariable | None
    dims: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    indices: Mapping[int, PathIndices] = field(default_factory=dict)

    def dataset(
        self, partial_state: PartialState, statistics: Mapping[Any, Any] | None = None
    ) -> xr.Dataset:
        """Return the results of the states of all paths.

        Parameters
        ----------
        statistics : mapping, optional
            By reduced variable, group and position, the statistics of later passes with their
            states.
        """
        found = Collected(self)
        totals = self.accumulator.totals(partial_state)
        groups, sources = self._groups(totals), self._sources(totals)
        for position, reduced in enumerate(self.accumulator.reduced_variables):
            for group in groups:
                states = totals.get((position, group)) or self.accumulator.nothing(reduced)
                lost = partial_state.lost.get((position, group), np.zeros(reduced.cells, np.int64))
                found.add_lost(position, group, lost)
                for i, (statistic, state) in enumerate(
                    zip(reduced.statistics, states, strict=True)
                ):
                    again = (statistics or {}).get((position, group, i))
                    last, last_state = (statistic, state) if again is None else again
                    for name, estimate in last.finalize(last_state, sources[position]).items():
                        named = self._named(reduced, estimate)
                        found.add(position, group, statistic.name, name, named)
        ds = found.dataset(groups, partial_state.paths)
        if self.by is not None:
            attrs = {"long_name": "values that belong to no group", "units": "1"}
            count = partial_state.lost.get(NO_GROUP, np.zeros(1, np.int64))[0]
            ds[f"{self.by.name}_ungrouped"] = ((), count, attrs)
        return ds

    def _named(self, reduced: ReducedVariable, estimate: Estimate) -> Estimate:
        """Return an estimate with positions of paths replaced by indices in the run."""
        indices = self.indices.get(reduced.arrays[0])
        if not estimate.is_path or indices is None:
            return estimate
        attrs = {**estimate.attrs, "long_name": indices.told}
        return replace(estimate, values=indices.of(estimate.values), attrs=attrs)

    def with_indices(self, indices_of: Callable[[int], PathIndices]) -> Layout:
        """Return the layout with the indices in the run of the paths that results name.

        Parameters
        ----------
        indices_of : function
            Returns those of an array, by its position; called where a result names paths.
        """
        found = {}
        for reduced in self.accumulator.reduced_variables:
            position = reduced.arrays[0]
            # One cell is enough for the names.
            states = self.accumulator.nothing(replace(reduced, cells=1))
            for statistic, state in zip(reduced.statistics, states, strict=True):
                results = statistic.finalize(state, reduced.source).values()
                if position not in found and any(estimate.is_path for estimate in results):
                    found[position] = indices_of(position)
        return replace(self, indices=found)

    def hits(self, totals: Totals) -> dict[str, tuple[NDArray[Any], ...]]:
        """Return the values of `Statistic.hits` in the shape of the results."""
        return self._beside(totals, "hits")

    def sequences(self, totals: Totals) -> dict[str, tuple[NDArray[Any], ...]]:
        """Return the values of `Statistic.sequences` in the shape of the results."""
        return self._beside(totals, "sequences")

    def vary(self, totals: Totals) -> dict[str, NDArray[Any]]:
        """Return the values of `Statistic.vary` in the shape of the results."""
        return {name: arrays[0] for name, arrays in self._beside(totals, "vary").items()}

    def _sources(self, totals: Totals) -> list[Source]:
        """Return the sources of variables, boolean where all groups hold only 0 and 1."""
        sources = []
        for position, reduced in enumerate(self.accumulator.reduced_variables):
            said = {
                statistic.is_share(state, reduced.source)
                for group in self._groups(totals)
                for statistic, state in zip(
                    reduced.statistics, totals.get((position, group), ()), strict=False
                )
            }
            is_share = True in said and False not in said
            is_boolean = reduced.source.is_boolean or is_share
            sources.append(replace(reduced.source, is_boolean=is_boolean))
        return sources

    def _beside(self, totals: Totals, method: str) -> dict[str, tuple[NDArray[Any], ...]]:
        """Call this method of all statistics; return tuples of arrays by result."""
        found: dict[str, list[NDArray[Any]]] = {}
        sources = self._sources(totals)
        for position, reduced in enumerate(self.accumulator.reduced_variables):
            shape = self.dims[position][1]
            for group in self._groups(totals):
                states = totals.get((position, group)) or self.accumulator.nothing(reduced)
                for statistic, state in zip(reduced.statistics, states, strict=True):
                    facts = getattr(statistic, method)(state, sources[position])
                    for name, known in facts.items():
                        arrays = known if isinstance(known, tuple) else (known,)
                        both = np.stack(np.broadcast_arrays(*arrays)).astype(np.float64)
                        both = both.reshape((len(both), *shape, *both.shape[2:]))
                        found.setdefault(full_name(reduced.source, name), []).append(both)
        grouped = self.by is not None
        stacked = {n: np.stack(p, axis=1) if grouped else p[0] for n, p in found.items()}
        return {name: tuple(arrays) for name, arrays in stacked.items()}

    def identity(self) -> dict[str, Any]:
        """Return as JSON what determines the results apart from the values."""
        words = {v.name: _words(v.attrs) for v in self.schema.variables}
        statistics = []
        for reduced, dims in zip(self.accumulator.reduced_variables, self.dims, strict=True):
            source = reduced.source
            facts = [
                source.name, source.names, words.get(source.name), source.units, dims,
                reduced.masked,
            ]  # fmt: skip
            if reduced.axis is None or reduced.axis < 0 or source.times is None:
                times = self.schema.shown_times(*dims)  # no value depends on them
            else:
                times = source.times.tolist()
            axes = {"axes": [axis.identity() for axis in source.axes]}
            kinds = [
                {**s.to_dict(), "code": _code(s), **(axes if s.takes_axes else {})}
                for s in reduced.statistics
            ]
            statistics.append([*facts, times, kinds])
        by = None if self.by is None else [self.by.name, _words(self.by.attrs), self.by.masked]
        return {"statistics": statistics, "by": by}

    def results(self) -> Iterator[tuple[str, Statistic]]:
        """Yield the name and statistic of each result, also where no group is known yet."""
        for reduced in self.accumulator.reduced_variables:
            states = self.accumulator.nothing(replace(reduced, cells=1))
            for statistic, state in zip(reduced.statistics, states, strict=True):
                for name in statistic.finalize(state, reduced.source):
                    yield full_name(reduced.source, name), statistic

    def warn(
        self,
        partial_state: PartialState,
        stacklevel: int,
        heavy: Mapping[str, Verdict] | None = None,
    ) -> None:
        """Warn of values that are not finite and of estimates that rest on few values.

        `heavy` is the result of the method of this name, where it is known.
        """
        without = int(partial_state.lost.get(NO_GROUP, np.zeros(1))[0])
        if self.by is not None and without:
            name = self.by.name
            message = (
                f"{name}: {without:,} values belong to no group: they are masked, not finite, or"
                f" have no label. They are left out, and counted in {name}_ungrouped."
            )
            warn(message, MontezarrWarning, stacklevel)
        warned: set[int] = set()
        lost: dict[int, int] = {}
        for (position, _), count in partial_state.lost.items():
            lost[position] = lost.get(position, 0) + int(count.sum())
        for position, reduced in enumerate(self.accumulator.reduced_variables):
            if warned.issuperset(reduced.arrays):
                continue  # the same values once more, along an axis
            warned.update(reduced.arrays)
            total = lost.get(position, 0)
            if total and not all(map(self.schema.is_padded, reduced.arrays)):
                length = 1 if reduced.axis is None else self.accumulator.axis_length(reduced)
                values = partial_state.paths * reduced.cells * length
                source = reduced.source
                warn(
                    f"{source.name or ', '.join(source.names)}: {total:,} of {values:,} values are"
                    " not finite, or masked. They are left out of all statistics, which are biased"
                    " if that depends on the path, and counted in"
                    f" {full_name(source, 'nonfinite')}.",
                    MontezarrWarning,
                    stacklevel,
                )
        self._warn_of_tails(
            partial_state, self.heavy(partial_state) if heavy is None else heavy, stacklevel
        )

    def heavy(self, partial_state: PartialState) -> dict[str, Verdict]:
        """Return the verdicts of the tails on results that average powers."""
        totals = self.accumulator.totals(partial_state)
        found: dict[str, list[Verdict]] = {}
        for key, states in totals.items():
            reduced = self.accumulator.reduced_variables[key[0]]
            for i, (statistic, state) in enumerate(zip(reduced.statistics, states, strict=True)):
                tails = partial_state.tails.get((*key, i if statistic.has_terms else VALUES))
                verdicts = {
                    name: judge_exceedances(*largest)
                    for name, largest in statistic.exceedances(state, reduced.source).items()
                }
                if tails is not None:
                    for name, (q, *terms) in statistic.powers(state, reduced.source).items():
                        verdicts[name] = judge(tails, q, *terms)
                for name, verdict in verdicts.items():
                    found.setdefault(full_name(reduced.source, name), []).append(verdict)
        return {
            name: Verdict(*(np.concatenate(parts) for parts in zip(*verdicts, strict=True)))
            for name, verdicts in found.items()
        }

    def shares(self, partial_state: PartialState, totals: Totals) -> dict[str, NDArray[np.float64]]:
        """Return the share of the largest term in the errors of means, without groups."""
        out: dict[str, NDArray[np.float64]] = {}
        for (position, group, which), tails in (
            partial_state.tails.items() if self.by is None else ()
        ):
            reduced = self.accumulator.reduced_variables[position]
            states = totals[position, group]
            for i, (statistic, state) in enumerate(zip(reduced.statistics, states, strict=True)):
                if which != (i if statistic.has_terms else VALUES):
                    continue
                for name, (q, *terms) in statistic.powers(state, reduced.source).items():
                    if q == 1:
                        share = largest_share(tails, q, *terms)
                        out[full_name(reduced.source, name)] = share.reshape(self.dims[position][1])
        return out

    def _warn_of_tails(
        self, partial_state: PartialState, heavy: Mapping[str, Verdict], stacklevel: int
    ) -> None:
        """Warn of estimates that rest on a few values."""
        spoilt = {
            name: (
                float(np.nanmax(v.share[v.is_heavy])),
                float(np.nanmax(v.pareto[v.is_heavy], initial=-np.inf)),
            )
            for name, v in heavy.items()
            if v.is_heavy.sum() > BY_CHANCE * v.is_heavy.size
        }
        if spoilt:
            warn(HeavyTailWarning(spoilt, partial_state.paths), None, stacklevel + 1)

    def _groups(self, totals: Totals) -> list[Any]:
        if self.by is None:
            return [None]
        if self.by.labels is not None:
            return [float(code) for code, _ in self.by.labels]
        return sorted({group for _, group in totals})

    def group_coordinate(self, groups: Sequence[float]) -> NDArray[Any]:
        """Return the labels of the groups, or their numbers."""
        assert self.by is not None
        if self.by.labels is not None:
            return label_coordinate([label for _, label in self.by.labels])
        return np.array(groups).astype(self.by.dtype)


def layout_of(
    schema: Schema,
    statistics: Wanted,
    by: SourceVariable | None = None,
    *,
    is_stored: bool = False,
    memory: MemoryEstimate = copies_of_states,
) -> Layout:
    """Return the layout of statistics over the variables of a schema.

    Parameters
    ----------
    statistics : sequence of Statistic, or mapping of str to such sequences
        The statistics of every variable, or of some by name.
    is_stored : bool
        Whether a store has them already: then statistics of codes as numbers are continued too.
    memory : callable
        Returns the bytes of a pass.

    Raises
    ------
    ArgumentValueError
        If a statistic cannot be taken of a variable, or two give results of the same name.
    MemoryBudgetError
        If the states do not fit.
    """
    variables = [v for v in schema.variables if by is None or v.name != by.name]
    reduced_variables, dims = [], []
    for found, shape in _reduced_variables(schema, variables, statistics):
        reduced = found
        if any(statistic.takes_axes for statistic in found.statistics):
            reduced = replace(found, source=replace(found.source, axes=schema.axes_of(*shape)))
        for statistic in reduced.statistics:
            statistic.check(reduced.source)
            if not is_stored:
                _check_numbers(statistic, [schema.variables[i] for i in reduced.arrays])
            if by is not None and statistic.adapts_to_data(reduced.source):
                raise value_error(
                    "statistics", "statistics whose coordinates are given, since groups share them",
                    statistic, "Give edges, or states.",
                )  # fmt: skip
        reduced_variables.append(reduced)
        dims.append(shape)
    if by is not None:
        for v in variables:
            if by.dims not in ((), v.dims):
                expected = f"a variable of paths alone, or with the dimensions of {v.name!r}"
                raise value_error("by", expected, by.dims)
    group = None
    if by is not None:
        codes = None if by.labels is None else tuple(float(code) for code, _ in by.labels)
        group = Group(schema.variables.index(by), by.masked, codes)
    rest = replace(schema, variables=tuple(variables))
    layout = Layout(Accumulator(reduced_variables, group), rest, by, tuple(dims))
    check_memory(layout.accumulator, layout.dims, memory)
    _check_names(layout)
    return layout


def _reduced_variables(
    schema: Schema, variables: Sequence[SourceVariable], statistics: Wanted
) -> Iterator[tuple[ReducedVariable, Any]]:
    of_all: Sequence[Statistic] = () if isinstance(statistics, Mapping) else statistics
    joint = tuple(s for s in of_all if s.axis == "variable")
    position = {v.name: i for i, v in enumerate(schema.variables)}
    for v in variables:
        own = statistics.get(v.name, ()) if isinstance(statistics, Mapping) else statistics
        plain = tuple(s for s in own if s.axis is None)
        timed = tuple(s for s in own if s.axis == "time")
        if isinstance(statistics, Mapping) and any(s.axis == "variable" for s in own):
            raise value_error("statistics", "statistics of one variable by its name", own)
        here = (position[v.name],), (v.masked,)
        if plain:
            cells = int(np.prod(v.shape, dtype=np.int64))
            reduced = ReducedVariable(schema.source_of(v), here[0], cells, None, plain, here[1])
            yield reduced, (v.dims, v.shape)
        if timed:
            if TIME not in v.dims:
                raise value_error(
                    "statistics", f"none that needs a time of {v.name!r}, which has the dimensions"
                    f" path {' '.join(v.dims)}".rstrip(), timed[0],
                )  # fmt: skip
            axis = v.dims.index(TIME)
            rest = tuple(d for d in v.dims if d != TIME)
            shape = tuple(n for d, n in zip(v.dims, v.shape, strict=True) if d != TIME)
            cells = int(np.prod(shape, dtype=np.int64))
            reduced = ReducedVariable(schema.source_of(v), here[0], cells, axis, timed, here[1])
            yield reduced, (rest, shape)
    if joint:
        first = variables[0]
        if any(v.dims != first.dims for v in variables) or len(variables) < 2:
            listed = {v.name: v.dims for v in variables}
            raise value_error("statistics", "two variables or more, of equal dimensions", listed)
        names = tuple(v.name for v in variables)
        source = Source(name="", names=names, **schema.times_of(first))
        cells = int(np.prod(first.shape, dtype=np.int64))
        places = tuple(position[name] for name in names)
        masked = tuple(v.masked for v in variables)
        yield ReducedVariable(source, places, cells, -1, joint, masked), (first.dims, first.shape)


def _check_numbers(statistic: Statistic, variables: Sequence[SourceVariable]) -> None:
    """Raise if a statistic of numbers is asked for of codes, whose numbers mean nothing."""
    for v in variables if not statistic.takes_labels else ():
        if v.are_codes:
            labels = [label for _, label in v.labels or ()]
            raise value_error(
                "statistics", f"statistics of states of {v.name!r}, which holds codes of the labels"
                f" {show(labels)}", statistic,
                f"Take mz.Proportion(), the share of each state; that of one,"
                f" mz.in_state({v.name}, {labels[-1] if labels else ''!r}); or pass {v.name!r} as"
                " by=, to group others. Where the codes are numbers to you, take"
                f" {v.name}.drop_attrs().",
            )  # fmt: skip


def _check_names(layout: Layout) -> None:
    """Raise if two statistics have results of the same name."""
    seen: dict[str, Statistic] = {}
    for full, statistic in layout.results():
        if full in seen:
            raise value_error(
                "statistics", f"one statistic with the result {full!r}",
                [seen[full], statistic], "Call twice, or take one of them.",
            )  # fmt: skip
        seen[full] = statistic


def _words(attrs: Mapping[str, Any]) -> list[tuple[int, str]] | None:
    """Return codes and words of CF attributes, which are part of the identity of statistics.

    A store compares that identity, so it is made of the attributes as they are, whether or not the
    words are the labels.
    """
    values, meanings = attrs.get("flag_values"), attrs.get("flag_meanings")
    if values is None or not isinstance(meanings, str):
        return None
    codes, words = np.asarray(values).ravel().tolist(), meanings.split()
    if len(codes) != len(words):
        return None
    return [(int(code), word) for code, word in zip(codes, words, strict=True)]


def _code(statistic: Statistic) -> str:
    """Return the version of the states of a statistic: digest of its class, or revision of ours."""
    kind = type(statistic)
    if built_in_statistics().get(kind.__name__) is not kind:
        return digest_of(kind, "statistics")
    return f"revision {statistic.revision}" if statistic.revision else ""
