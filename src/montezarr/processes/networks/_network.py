"""Base of the processes whose states are numbers of molecules, people or others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from montezarr.core import buffers
from montezarr.core.checks import value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.processes._base import EventVariable, Process, Rows
from montezarr.processes._per_path import check_lengths
from montezarr.processes.networks import _loops
from montezarr.processes.networks._code import BAD_COUNT, BAD_RATE, FAILURE, NO_BOUND, TOO_LARGE
from montezarr.processes.networks._direct import event_source, grid_source
from montezarr.processes.networks._expressions import text_of
from montezarr.processes.networks._interventions import (
    AT_ONCE,
    BAD_VALUE,
    CROWD,
    ENDLESS,
    NO_DELAY,
    WAITING,
)
from montezarr.processes.networks._parser import COUNT_MAX
from montezarr.processes.networks._structure import Structure
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws

REACTION_DTYPE = "int16"
"""Dtype of the positions of reactions."""

EVENTS_MAX = 2**32 - 1
"""Events of a path that have random numbers of their own."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the loop of a network gets: its structure, values of parameters, and limits.

    Attributes
    ----------
    structure : Structure
        Species and reactions.
    parameters : dict of str to number or array (n,)
        Values, some of which may differ from path to path.
    kept : tuple of int
        Positions of the species whose numbers are kept.
    most : int
        Events that a path may have.
    method : str
        How paths are sampled.
    """

    structure: Structure
    parameters: Mapping[str, Any]
    kept: tuple[int, ...]
    most: int
    method: str = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProcess(Process):
    """Base of `ReactionNetwork`, and of the models that are one with names of their own."""

    dtypes: ClassVar[tuple[str, ...]] = ("int64", "int32")

    @property
    @abstractmethod
    def numbers(self) -> Numbers:
        """What the loop gets."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the species whose numbers are kept."""
        numbers = self.numbers
        return tuple(numbers.structure.species[i] for i in numbers.kept)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of all species, of which ``x0`` has the initial numbers."""
        return self.numbers.structure.species

    def check_x0(self, x0: Any, dtype: str) -> Rows:
        """Return initial numbers of molecules by species; see `Process.check_x0`.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If they are not whole numbers >= 0, below 2**53 and in the range of `dtype`, one for
            each species.
        """
        state = Process.check_x0(self, x0, "float64")
        names, largest = self.state_names, largest_count(dtype)
        for name, row in zip(names, state.reshape(len(names), -1), strict=True):
            wrong = ~((row >= 0) & (row <= largest) & (row == np.floor(row)))
            if wrong.any():
                where = f"x0[{name!r}]" if len(names) > 1 else "x0"
                at = int(wrong.argmax())
                expected = f"a whole number of molecules from 0 to {largest:,} (dtype {dtype})"
                raise value_error(where, expected, float(row[at]))
        return state.astype(dtype)

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return the numbers of molecules at the times of the grid; see `Process.sample`."""
        numbers = self.numbers
        out = buffers.recycled_empty((len(numbers.kept), grid.T + 1, draws.n), x0.dtype)
        text = grid_source(numbers.structure, numbers.kept, numbers.method)
        self._run(text, numbers, draws, grid, x0, (out,), out.dtype)
        return out[0] if len(numbers.kept) == 1 else out

    def sample_events(
        self, draws: Draws, grid: TimeGrid, x0: Rows, room: int
    ) -> tuple[dict[str, Rows], Rows]:
        """Return the events of paths, and the state after each; see `Process.sample_events`."""
        numbers = self.numbers
        names = [entry.name for entry in self.event_variables]
        when, which = (
            buffers.recycled_empty((room, draws.n), dtype) for dtype in ("float64", REACTION_DTYPE)
        )
        out = buffers.recycled_empty((len(numbers.kept), room, draws.n), "int64")
        counts = np.zeros(draws.n, np.int64)
        text = event_source(numbers.structure, numbers.kept, numbers.method)
        self._run(text, numbers, draws, grid, x0, (when, which, out, counts), out.dtype)
        return dict(zip(names, (when, which, *out), strict=True)), counts

    def _run(
        self, text: str, numbers: Numbers, draws: Draws, grid: TimeGrid, x0: Rows,
        out: tuple[Rows, ...], dtype: Any,
    ) -> None:  # fmt: skip
        """Run the loop of a source over all paths, into arrays; numbers are of a dtype."""
        check_lengths(self.arrays_per_path(), draws.n)
        failed = np.zeros(FAILURE + len(numbers.structure.species))
        is_compiled = draws.implementation == "kernel"
        loop = _loops.compiled_loop(text) if is_compiled else _loops.python_loop(text)
        start = _of_all(x0.reshape(len(numbers.structure.species), -1), draws.n)
        values, step = _values(numbers, draws.n)
        key = [np.uint64(word) for word in draws.key]
        end = float(grid.whole.times[-1])  # also of a part: windows of thinning begin with it
        largest = float(largest_count(dtype))

        def over(low: int, high: int) -> None:
            loop(
                key[0], key[1], draws.start, low, high, grid.times, end, start, values, step,
                numbers.most, largest, *out, failed,
            )  # fmt: skip

        with np.errstate(all="ignore"):
            _loops.run(over, draws.n, failed)
        if failed[0]:
            raise _failure(numbers, failed, dtype)


def largest_count(dtype: Any) -> int:
    """Return the largest number of molecules in a run whose numbers are of a dtype.

    With events the run has the dtype of their times, and the numbers are int64.
    """
    return COUNT_MAX if np.dtype(dtype).kind == "f" else min(COUNT_MAX, int(np.iinfo(dtype).max))


def event_variables(numbers: Numbers) -> tuple[EventVariable, ...]:
    """Return the variables of paths of events: time and reaction, and the state after each."""
    texts: dict[str, int] = {}
    named = [(one.text, f" @ {text_of(one.rate)}") for one in numbers.structure.reactions]
    named += [(one.text, "") for one in numbers.structure.interventions]
    for text, rate in named:
        if text in texts:
            text += rate
        while text in texts:
            text += "'"
        texts[text] = len(texts)
    return (
        EventVariable("event_time", "float64"),
        EventVariable("reaction", REACTION_DTYPE, tuple(texts)),
        *(EventVariable(numbers.structure.species[i], "int64") for i in numbers.kept),
    )


def _of_all(x0: Rows, n: int) -> Rows:
    """Return the initial state of each of n paths, in float64."""
    return np.array(np.broadcast_to(x0, (len(x0), n)), np.float64)


def _values(numbers: Numbers, n: int) -> tuple[Rows, int]:
    """Return parameters (parameters, 1 or n), and the step from one path to the next: 0 or 1."""
    rows = [np.asarray(numbers.parameters[name]) for name in numbers.structure.parameters]
    step = int(any(row.ndim for row in rows))
    out = np.empty((len(rows), n if step else 1))
    for target, row in zip(out, rows, strict=True):
        target[:] = row
    return out, step


def _failure(numbers: Numbers, failed: Rows, dtype: Any) -> ArgumentValueError:
    """Return the error that a loop has told of: reaction, time and state."""
    structure = numbers.structure
    kind, reaction, t, rate = failed[:FAILURE].tolist()
    state = ", ".join(
        f"{name}={count:.12g}"
        for name, count in zip(structure.species, failed[FAILURE:].tolist(), strict=True)
    )
    at = f"at t={t:.6g} in the state {state}"
    if kind == BAD_RATE and reaction < 0:
        return ArgumentValueError(f"rates: expected a finite sum, got {rate!r} {at}.")
    if kind in (BAD_RATE, BAD_COUNT, TOO_LARGE, NO_BOUND):
        text = structure.reactions[int(reaction)].text
        if kind == TOO_LARGE:
            most = f"{largest_count(dtype):,} (dtype {dtype})"
            return ArgumentValueError(
                f"reaction {text!r}: expected numbers of molecules up to {most}, got {rate:.17g}"
                f" {at}."
            )
        if kind == NO_BOUND:
            return ArgumentValueError(
                f"rate of {text!r}: expected a finite bound over the next moment, got {rate!r}"
                f" {at}. It is infinite or undefined there, or has a form that cannot be bounded,"
                " such as tan, or 1 / (1 + sin(t)), which divides by what may be 0."
            )
        if kind == BAD_RATE:
            return ArgumentValueError(f"rate of {text!r}: expected >= 0, got {rate!r} {at}.")
        return ArgumentValueError(
            f"reaction {text!r}: expected its reactants to be there, got a negative number {at}."
            " Its rate must be 0 where they are not."
        )
    if kind == BAD_VALUE:
        one = structure.interventions[int(reaction)]
        return ArgumentValueError(
            f"intervention {one.text!r}: expected numbers of molecules, whole and from 0 to"
            f" {largest_count(dtype):,}, got {rate!r} {at}."
        )
    if kind == NO_DELAY:
        one = structure.interventions[int(reaction)]
        return ArgumentValueError(f"intervention {one.text!r}: expected a delay, got NaN {at}.")
    if kind == CROWD:
        return ArgumentValueError(
            f"interventions: expected at most {WAITING} that wait for their time, got more {at}."
        )
    if kind == ENDLESS:
        return ArgumentValueError(
            f"interventions: expected at most {AT_ONCE:,} at one time, got more {at}. The last one"
            f" is {structure.interventions[int(rate)].text!r}: do they set each other off?"
        )
    return ArgumentValueError(
        f"event_limit: expected at most {numbers.most:,} events on a path, got more {at}. Pass a"
        " larger event_limit to the network if this is no explosion."
    )
