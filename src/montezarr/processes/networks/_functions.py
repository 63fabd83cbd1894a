"""The functions of rate expressions, those of the C library: compiled, and in Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

BY_LIBRARY = ("exp", "log", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
              "cosh", "tanh")  # fmt: skip


def _floor(x: Any) -> Any:
    return np.floor(x)


def _ceil(x: Any) -> Any:
    return np.ceil(x)


def _abs(x: Any) -> Any:
    return -x if x < 0 else x


def _min(a: Any, b: Any) -> Any:
    return a if a < b or a != a else b


def _max(a: Any, b: Any) -> Any:
    return a if a > b or a != a else b


def _times(a: Any, b: Any) -> Any:
    return 0.0 if a == 0.0 or b == 0.0 else a * b  # of bounds: nothing times any number


def _power2(x: Any) -> Any:
    return x * x


def _power3(x: Any) -> Any:
    return x * x * x


def _power4(x: Any) -> Any:
    square = x * x
    return square * square


def _tell(failed: Any, kind: Any, reaction: Any, t: Any, rate: Any, state: Any) -> None:
    """Write what has failed, and the state, for the error."""
    failed[0], failed[1], failed[2], failed[3] = kind, reaction, t, rate
    for i in range(len(state)):
        failed[4 + i] = state[i]


OWN: Mapping[str, Callable[..., Any]] = {
    "f_floor": _floor, "f_ceil": _ceil, "f_abs": _abs, "f_min": _min, "f_max": _max,
    "f_times": _times, "tell": _tell,
    "f_power2": _power2, "f_power3": _power3, "f_power4": _power4,
}  # fmt: skip


@cache
def python_functions() -> dict[str, Any]:
    """Return the functions by their names in code, for Python."""
    found: dict[str, Any] = {f"f_{name}": _in_c(name) for name in BY_LIBRARY}
    return {**found, "f_power": _power, **OWN}


@cache
def compiled_functions() -> dict[str, Any]:
    """Return the functions by their names in code, compiled."""
    from numba import njit  # imported here to keep the import of montezarr quick

    def of_library(name: str) -> Any:
        function = getattr(math, name)
        return njit(error_model="numpy")(lambda x: function(x))

    power = njit(error_model="numpy")(lambda x, y: math.pow(x, y))
    own = {name: njit(error_model="numpy")(function) for name, function in OWN.items()}
    return {**{f"f_{name}": of_library(name) for name in BY_LIBRARY}, "f_power": power, **own}


def _in_c(name: str) -> Callable[[Any], Any]:
    """Return a function of `math` that has the values of C where Python raises."""
    function = getattr(math, name)

    def computed(x: Any) -> Any:
        try:
            return np.float64(function(x))
        except OverflowError:
            return np.float64(-np.inf if name == "sinh" and x < 0 else np.inf)
        except ValueError:
            return np.float64(-np.inf if name in ("log", "log10") and x == 0 else np.nan)

    return computed


def _power(x: Any, y: Any) -> Any:
    try:
        return np.float64(math.pow(x, y))
    except OverflowError:
        return np.copysign(np.inf, x) if y % 2 == 1 else np.float64(np.inf)
    except ValueError:  # a power of 0 below 0, or of a negative number
        infinite = np.copysign(np.inf, x) if y % 2 == 1 else np.float64(np.inf)
        return infinite if x == 0 else np.float64(np.nan)
