"""Student's quantile, by which an error of few values is wider."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.statistics._base import INTERVAL


def student(free: Any) -> NDArray[np.float64]:
    """Return the 0.975-quantile of Student's law over the normal one, of degrees of freedom >= 2.

    The first terms of its expansion, Abramowitz and Stegun, Handbook of Mathematical Functions,
    1964, 26.7.5: from 2 degrees on within 11 %, from 4 on within 2 %, from 9 on within 0.2 %.
    """
    free, square = np.asarray(free, np.float64), INTERVAL**2
    with np.errstate(divide="ignore", invalid="ignore"):
        second = (5 * square**2 + 16 * square + 3) / (96 * free**2)
        return np.asarray(1 + (square + 1) / (4 * free) + second)
