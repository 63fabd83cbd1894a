"""Samplers: five interfaces, one way to call them, one kind of error."""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType
from typing import Any

from montezarr.errors import SamplerError
from montezarr.processes import Process
from montezarr.sampling import batch, counter, policy, scalar
from montezarr.sampling._base import (
    EVENT_TIME,
    RETRIES,
    Draw,
    Rows,
    Sampling,
    Variable,
    annotate,
    describe,
    describe_error,
    own,
)
from montezarr.sampling.interfaces import INTERFACES, Interface, recorded_interface
from montezarr.sampling.policy import Report

__all__ = [
    "EVENT_TIME",
    "INTERFACES",
    "RETRIES",
    "Interface",
    "Report",
    "Rows",
    "Sampling",
    "Variable",
    "describe",
    "describe_error",
    "own_copy",
    "private",
    "recorded_interface",
    "sample_private",
    "sample_range",
    "sample_reported",
]

_DRAW: dict[str, Draw] = {
    "sample_paths": batch.draw,
    "sample_path": scalar.draw,
    "rng": scalar.draw,
    "seed": scalar.draw,
    "legacy": scalar.draw,
}


def sample_range(sampling: Sampling, start: int, stop: int, x0: Any = None) -> Rows:
    """Return the rows (variables, kept times, paths) of paths start ... stop-1.

    Parameters
    ----------
    sampling : Sampling
        The bound sampler.
    start, stop : int
        Range of path indices.
    x0 : array (stop - start,) or (variables, stop - start), optional
        Initial state of each path, where they differ.

    Raises
    ------
    SamplerError
        With path index, seed key, T, x0, parameters and the original traceback.
    """
    return sample_reported(sampling, start, stop, x0)[0]


def sample_reported(sampling: Sampling, start: int, stop: int, x0: Any) -> tuple[Rows, Report]:
    """Return the rows as `sample_range` does, and which paths were masked or drawn again."""
    return sample_private(private(sampling), start, stop, x0)


def private(sampling: Sampling) -> Sampling:
    """Return a sampler that no one else uses: an object may keep its working state in itself."""
    return replace(sampling, target=own_copy(sampling.target))


def sample_private(sampling: Sampling, start: int, stop: int, x0: Any) -> tuple[Rows, Report]:
    """Do what `sample_reported` does, by a sampler that is `private` already."""
    rows, report = policy.draw(_draw, sampling, start, stop, x0)
    if sampling.on_nonfinite != "keep" and rows.dtype.kind == "f":
        if sampling.interface.takes_ranges and counter.stays_finite(sampling, x0):
            return rows, report
        report += policy.check_finite(_draw, sampling, rows, start, x0, report)
    return rows, report


def _draw(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    if sampling.interface.takes_ranges:
        return _whole_range(sampling, start, stop, x0)
    return _DRAW[sampling.kind](sampling, start, stop, x0)


def own_copy(value: Any) -> Any:
    """Return a copy of a user's object, which no one else changes; functions are left alone.

    What cannot be copied is returned itself: it must not keep state of its own.
    """
    if isinstance(value, (Process, FunctionType)) or scalar.compiled_from(value) is not value:
        return value
    return own(value)


def _whole_range(sampling: Sampling, start: int, stop: int, x0: Any) -> Rows:
    """Return the rows of a vectorised sampler; what fails is the lowest path that fails alone."""
    error: BaseException | None = None
    try:
        return counter.draw(sampling, start, stop, x0)
    except KeyboardInterrupt:
        raise
    except SamplerError as caught:
        message = caught.message.partition(": a range of paths: ")[2] or caught.message
    except BaseException as caught:  # also SystemExit, which would end a worker without a word
        message, error = describe_error(caught), caught
    path = counter.first_failing(sampling, start, stop, x0)
    if path is not None and error is not None and stop - start > 1:
        part = None if x0 is None else x0[..., path - start : path - start + 1]
        return _whole_range(sampling, path, path + 1, part)  # raises what that path raises
    failed = sampling.failure(path, _x0_of(sampling, x0, start, path), message, error)
    if sampling.foreground and error is not None:
        annotate(error, failed)
        raise error
    raise failed


def _x0_of(sampling: Sampling, x0: Any, start: int, path: int | None) -> Any:
    return sampling.x0 if path is None else sampling.state_at_start(x0, path - start)
