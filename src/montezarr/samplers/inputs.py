"""Values that come as arrays with one entry per path: initial states, and parameters.

A task gets those of its paths as one array. It holds the initial states alone, or is a structured
array with a field for each parameter, and one for the initial states if there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def _has_parameters(inputs: Any) -> bool:
    names = None if inputs is None else inputs.dtype.names
    return names is not None and any(name.startswith(PARAMETER) for name in names)
