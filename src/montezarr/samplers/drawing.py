"""Draw a range of paths under the policies of a run."""

from __future__ import annotations

from dataclasses import replace
from types import FunctionType
from typing import Any

from montezarr.processes import Process
from montezarr.samplers import policy
from montezarr.samplers._base import Sampler, own
from montezarr.samplers.interfaces import is_compiled
from montezarr.samplers.policy import FailureReport
from montezarr.samplers.schema import PathArrays


def sample_range(sampler: Sampler, start: int, stop: int, x0: Any = None) -> PathArrays:
    """Return the kept times of paths start ... stop-1, by variable.

    Parameters
    ----------
    sampler : Sampler
        The bound sampler.
    start, stop : int
        Range of path indices.
    x0 : array (stop - start,) or (variables, stop - start), optional
        Initial state of each path, if they differ.

    Raises
    ------
    SamplerError
        Has path index, seed key, T, x0, parameters and the original traceback.
    """
    return sample_reported(sampler, start, stop, x0)[0]


def sample_reported(
    sampler: Sampler, start: int, stop: int, x0: Any
) -> tuple[PathArrays, FailureReport]:
    """Return the result of `sample_range`, and the report of masked and retried paths."""
    return sample_private(private(sampler), start, stop, x0)


def private(sampler: Sampler) -> Sampler:
    """Return a sampler with its own copy of the target, which may keep state in itself."""
    return replace(sampler, target=own_copy(sampler.target))


def sample_private(
    sampler: Sampler, start: int, stop: int, x0: Any
) -> tuple[PathArrays, FailureReport]:
    """Return the result of `sample_reported` for a sampler that is already `private`."""
    found: tuple[PathArrays, FailureReport] = sampler.draw_under(_under_policies, start, stop, x0)
    return found


def _under_policies(
    sampler: Sampler, start: int, stop: int, x0: Any
) -> tuple[PathArrays, FailureReport]:
    arrays, report = policy.draw_range(sampler, start, stop, x0)
    has_real = any(variable.is_real for variable in sampler.variables)
    if sampler.on_nonfinite != "keep" and has_real and not sampler.is_surely_finite(x0):
        report += policy.check_finite(sampler, arrays, start, x0, report)
    return arrays, report


def own_copy(value: Any) -> Any:
    """Return a copy of a user's object; processes and functions are returned themselves.

    An object that cannot be copied is also returned itself; it must not keep state.
    """
    if isinstance(value, (Process, FunctionType)) or is_compiled(value):
        return value
    return own(value)
