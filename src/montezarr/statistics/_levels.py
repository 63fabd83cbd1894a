"""Levels in [0, 1]: a single one gives no dimension, a sequence gives one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_array, value_error
from montezarr.statistics._base import Estimate


@dataclass(frozen=True, slots=True)
class Levels:
    """Checked levels, as given and as an array."""

    value: float | tuple[float, ...]
    array: NDArray[np.float64]

    def squeeze(self, values: Any) -> Any:
        """Return an array (cells, levels) without the last dimension if the level is single."""
        return values[:, 0] if isinstance(self.value, float) else values

    def estimate(
        self, dim: str, values: Any, attrs: Mapping[str, Any], power: int | None = 1
    ) -> Estimate:
        """Return the estimate of an array (cells, levels)."""
        if isinstance(self.value, float):
            return Estimate(self.squeeze(values), (), {dim: self.value}, attrs, power)
        return Estimate(values, (dim,), {dim: self.array}, attrs, power)


def check_levels(name: str, value: Any, *, low: float = 0.0, high: float = 1.0) -> Levels:
    """Return a level or a sequence of increasing ones, within [low, high].

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If they are not such numbers.
    """
    array = check_array(name, value, ndim=(0, 1)).reshape(-1)
    expected = f"numbers from {low:g} to {high:g}"
    if not ((array >= low) & (array <= high)).all():
        raise value_error(name, expected, value)
    if not (np.diff(array) > 0).all():
        raise value_error(name, f"{expected}, increasing", value)
    is_scalar = np.ndim(value) == 0
    return Levels(float(array[0]) if is_scalar else tuple(array.tolist()), array)


def check_level(name: str, value: Any) -> float | tuple[float, ...]:
    """Return one level, or several as a tuple; see `check_levels`."""
    return check_levels(name, value).value


def check_numbers(name: str, value: Any) -> float | tuple[float, ...]:
    """Return one finite number, or several as a tuple."""
    numbers = check_array(name, value, ndim=(0, 1)).tolist()
    return tuple(numbers) if isinstance(numbers, list) else numbers
