"""Float32 recursions of recipes of format 1, so that older stores can be drawn again.

State, coefficients and steps are float32, each rounded: a step of less than half a unit in the
last place of the state is lost, and an exponential is that of a rounded logarithm. Implemented in
NumPy alone; `reference.gaussian_recursion` replaces it from format 2 on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from montezarr.random.draws import reference
from montezarr.random.draws.reference import Array


def gaussian_recursion(
    coefficients: Array,
    x0: Array,
    out: Array,
    exponential: bool,
    normals: Callable[[Array], None],
) -> None:
    """Fill `out` (T+1, n), float32, with y[k+1] = a[k] y[k] + b[k] + c[k] z[k], all in float32.

    `normals` fills rows (T, n) with the draws z. Coefficients are as in `reference`.
    """
    rounded = coefficients.astype(np.float32)
    y = np.zeros_like(x0) if exponential else x0
    out[0] = x0
    steps = len(out) - 1
    if not steps:
        return
    z = np.empty((steps, len(x0)), np.float32)
    normals(z)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(steps):
            a, b, c = rounded[:, k if rounded.shape[1] > 1 else 0]
            y = (a * y + b) + c * z[k]
            out[k + 1] = x0 * reference.exp(y) if exponential else y
