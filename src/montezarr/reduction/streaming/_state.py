"""The state of a stream in a file: arrays and JSON, no code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from montezarr.core.atomic_files import written_beside
from montezarr.core.checks import local_path, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.memory import memory_limit
from montezarr.core.parameters import shortened
from montezarr.core.regular_files import NotRegularError, TooLargeError, read_regular
from montezarr.reduction.accumulate import (
    Accumulator,
    PartialState,
    dump_states,
    parse_states,
    restore_states,
)

STATE_FORMAT = 1

WORDS = {
    "key": "values (paths, what is made of them, transform=), by their digest",
    "recipe": "values, had in the same way (see montezarr.plan); its recipe",
}
"""Descriptions of entries whose name does not explain them."""


def save(path: Path, header: Mapping[str, Any], partial_state: PartialState) -> None:
    """Write states as arrays, and their description as JSON, to one file."""
    with written_beside(path.absolute()) as temporary:
        data = dump_states({"format": STATE_FORMAT, **header}, partial_state, with_tails=True)
        temporary.write_bytes(data)


def load_state(
    path: Any,
    header: Mapping[str, Any],
    accumulator: Accumulator,
    results: Callable[[PartialState], Any] = PartialState.copy,
) -> PartialState:
    """Return the states that `save` wrote; raise unless paths and statistics are the same.

    `results` is called with them, so that unusable states are refused here, not during a run.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the file is not such a state, or one of other paths or statistics.
    OSError
        If it cannot be read.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("resume_from", "the path of a file", path)
    file = local_path("resume_from", os.fsdecode(path))
    expected = "a file that Snapshot.save wrote"
    try:
        data = read_regular(file, min(accumulator.file_bytes(), memory_limit() // 2))
    except (NotRegularError, TooLargeError) as error:
        raise value_error("resume_from", expected, str(file), f"It is {error.strerror}.") from error
    try:
        content = parse_states(data)
        _check_same(content[0], {"format": STATE_FORMAT, **header})
        partial_state = restore_states(content, accumulator)
        results(partial_state)
    except ArgumentValueError as error:
        if str(error).startswith("resume_from:"):
            raise
        raise value_error("resume_from", expected, str(file), str(error)) from error
    except Exception as error:  # a file of another kind, or a truncated one, may raise anything
        raise value_error(
            "resume_from", expected, str(file), f"{type(error).__name__}: {error}."
        ) from error
    return partial_state


def _check_same(found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Raise if a file is of other paths or statistics, naming what differs."""
    for name, wanted in json.loads(json.dumps(header)).items():
        got = found.get(name)
        if name == "recipe" and isinstance(got, dict):  # earlier versions saved the whole recipe
            got = shortened(got)[0]
        if got == wanted:
            continue
        if isinstance(wanted, dict) and isinstance(got, dict) and wanted and got:
            name = next(k for k in (*wanted, *got) if wanted.get(k) != got.get(k))
            wanted, got = wanted.get(name), got.get(name)
        raise value_error(
            "resume_from", f"a state of the same {WORDS.get(name, name)}: {wanted}", got,
            "Pass what the stream was called with before.",
        )  # fmt: skip
