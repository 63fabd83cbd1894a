"""Conversion of integers to float64, in which statistics compute, without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import value_error

LARGEST_WHOLE = 2**53
"""Up to here float64 holds every integer; beyond, neighbours become one number."""


def as_float64(
    values: NDArray[Any], masked: float | None = None, name: str = "values"
) -> NDArray[np.float64]:
    """Return values as float64.

    Parameters
    ----------
    values : array
        Numbers; float64 is returned as it is.
    masked : number, optional
        The number that stands for a masked path: it may be any integer.
    name : str
        Name of the argument in the error.

    Raises
    ------
    ArgumentValueError
        For an integer beyond 2**53 on either side, whose last digits would be lost: a minimum would
        be wrong, and a spread of a few units would vanish.
    """
    can_be = values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size > 0
    # Two cheap reductions first: such integers are rare.
    if can_be and (values.max() > LARGEST_WHOLE or values.min() < -LARGEST_WHOLE):
        beyond = (values > LARGEST_WHOLE) | (values < -LARGEST_WHOLE)
        if masked is not None:
            beyond &= values != masked
        if beyond.any():
            raise value_error(
                name, "integers within 2**53 of 0, which float64 holds to the last digit",
                int(values[beyond][0]),
                "Take statistics of their difference from a number near them; or, where the last"
                " digits do not matter, of .astype('float64').",
            )  # fmt: skip
    return np.ascontiguousarray(values, np.float64)
