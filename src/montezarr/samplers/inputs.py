"""Values that come as arrays with one entry per path: initial states, and parameters.

A task gets those of its paths as one array. It holds the initial states alone, or is a structured
array with a field for each parameter, and one for the initial states if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.core.parameters import PARAMETER

X0 = "x0"
"""Field of the initial states beside parameters."""


def joined_inputs(x0: NDArray[Any] | None, parameters: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return one array (paths,) of the initial states (..., paths) and the parameters of paths.

    A parameter that also differs between scenarios is (scenarios, paths).
    """
    parts = {PARAMETER + name: array for name, array in parameters.items()}
    if x0 is not None:
        parts[X0] = x0
    n = next(iter(parts.values())).shape[-1]
    fields = [(name, array.dtype, array.shape[:-1]) for name, array in parts.items()]
    out = np.empty(n, fields)
    for name, array in parts.items():
        out[name] = np.moveaxis(array, -1, 0)
    return out


def initial_states_in(inputs: Any) -> Any:
    """Return the initial states (..., paths) in the inputs of a range; None if there are none."""
    if not _has_parameters(inputs):
        return inputs
    if X0 not in inputs.dtype.names:
        return None
    return np.ascontiguousarray(np.moveaxis(inputs[X0], 0, -1))


def parameters_in(inputs: Any) -> dict[str, NDArray[Any]]:
    """Return the parameters (..., paths) in the inputs of a range."""
    if not _has_parameters(inputs):
        return {}
    names = [name for name in inputs.dtype.names if name.startswith(PARAMETER)]
    return {
        name.removeprefix(PARAMETER): np.ascontiguousarray(np.moveaxis(inputs[name], 0, -1))
        for name in names
    }


def first_refused(
    parameters: Mapping[str, NDArray[Any]], check: Callable[[str, Any], Any] | None
) -> tuple[int, str] | None:
    """Return position and message for the first of some paths whose parameters are refused.

    Parameters
    ----------
    parameters : dict of str to array (scenarios ..., paths)
        Parameters in some paths.
    check : function (name, values), optional
        Raises for values of a parameter of a process; without it they must be finite.
    """
    found = []
    for name, array in parameters.items():
        values = array.reshape(-1, array.shape[-1])
        wrong = ~np.isfinite(values)
        if wrong.any():
            position = int(wrong.any(axis=0).argmax())
            value = values[wrong[:, position].argmax(), position]
            found.append((position, f"vary[{name!r}]: expected finite numbers, got {value}."))
        elif check is not None and name != X0 and (refused := _out_of_range(check, name, values)):
            found.append(refused)
    return min(found, default=None)


def _out_of_range(
    check: Callable[[str, Any], Any], name: str, values: NDArray[Any]
) -> tuple[int, str] | None:
    """Return the same for the first values out of range: all before them pass together."""

    def message(low: int, high: int) -> str | None:
        try:
            check(name, values[:, low:high].ravel())
        except (ArgumentTypeError, ArgumentValueError) as error:
            return str(error).partition(": ")[2]
        return None

    if message(0, values.shape[1]) is None:
        return None
    low, high = 0, values.shape[1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if message(low, middle) is None else (low, middle)
    return low, f"vary[{name!r}]: {message(low, high)}"


def _has_parameters(inputs: Any) -> bool:
    names = None if inputs is None else inputs.dtype.names
    return names is not None and any(name.startswith(PARAMETER) for name in names)
