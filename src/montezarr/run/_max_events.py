"""The room for the events of a path: the caller's, or measured on a trial of a few paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from montezarr.core.checks import check_int, type_error, value_error
from montezarr.core.memory import memory_limit
from montezarr.core.tunables.limits import MAX_EVENTS_MAX
from montezarr.samplers import Sampler, sample_range
from montezarr.samplers.schema import EVENT, PATH, TIME, rooms_of

S = TypeVar("S", bound=Sampler)

TRIAL_PATHS = 64
"""Paths on which the room is measured, unless the caller says what it is."""

FIRST_ROOM, ENLARGED = 1024, 8
"""Room of the first trial, and the factor of each further one."""

MULTIPLE = 16
"""The measured room is a multiple of this."""


def check_max_events(value: Any) -> dict[str, int | None]:
    """Return the room for events by dimension; None for one that is to be measured.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is neither a number nor a mapping of dimensions to numbers.
    """
    if value is None:
        return {}
    given = value if isinstance(value, Mapping) else {EVENT: value}
    found = {}
    for dim, room in given.items():
        if not isinstance(dim, str) or not dim or dim in (PATH, TIME):
            raise type_error("max_events", "a number, or a mapping of dimensions to numbers", value)
        if room is not None:
            room = check_int("max_events", room, minimum=1, maximum=MAX_EVENTS_MAX)
        found[dim] = room
    return found


def with_measured(sampler: S, asked: Mapping[str, int | None], inputs: Any) -> S:
    """Return a sampler with room for the events of its paths where the caller has said nothing.

    It is the larger of twice the longest of the first 64 paths, of all scenarios, and ten standard
    deviations more than that.

    Parameters
    ----------
    inputs : array or None
        What differs from path to path and came as arrays, of the first block.

    Raises
    ------
    ArgumentValueError
        If paths are too long to be measured.
    """
    unknown = {dim for dim in rooms_of(sampler.variables) if asked.get(dim) is None}
    if not unknown:
        return sampler
    n = TRIAL_PATHS if inputs is None else min(TRIAL_PATHS, inputs.shape[-1])
    x0 = None if inputs is None else inputs[..., :n]
    rooms = dict.fromkeys(unknown, FIRST_ROOM)
    while True:
        trial = replace(
            sampler.with_rooms(rooms, cuts=True), keep=(0,), on_error="mask", on_nonfinite="keep"
        )
        size = trial.path_bytes * max(n, trial.interface.unit)
        if size > memory_limit() or max(rooms.values()) > MAX_EVENTS_MAX:
            raise value_error(
                "max_events", f"the room for the events along {sorted(unknown)}", None,
                f"A trial of {n} paths has more than {min(rooms.values()) // ENLARGED:,}.",
            )  # fmt: skip
        arrays = sample_range(trial, 0, n, x0)
        numbers = {
            str(v.event_dim): arrays[v.name][arrays[v.name] >= 0]
            for v in trial.variables
            if v.derived and v.event_dim in unknown
        }
        full = [dim for dim, seen in numbers.items() if seen.max(initial=0) >= rooms[dim]]
        if not full:
            break
        rooms |= {dim: rooms[dim] * ENLARGED for dim in full}
    found: S = sampler.with_rooms({d: _with_room_to_spare(seen) for d, seen in numbers.items()})
    return found


def _with_room_to_spare(numbers: Any) -> int:
    if not numbers.size:
        return MULTIPLE
    longest = int(numbers.max())
    wanted = max(2 * longest, longest + int(10 * np.std(numbers)), 1)
    return -(-wanted // MULTIPLE) * MULTIPLE
