r"""The mean time at which a Brownian bridge reaches a level, given that it does.

A bridge goes in a step h from the distance a > 0 before the level to the distance b on either side
of it. The density of its first passage at time s is that of Brownian motion, times the transition
density from there to the end, over that of the whole step (Borodin and Salminen, Handbook of
Brownian Motion, 2002, part II, 1.2.0.2, doi:10.1007/978-3-0348-8163-0):

.. math::
    f(s) \propto s^{-3/2} (h - s)^{-1/2}
    \exp\Bigl(-\frac{a^2}{2 \sigma^2 s} - \frac{b^2}{2 \sigma^2 (h - s)}\Bigr).

The end counts only by b²: given a passage, a bridge that ends on the near side has the law of its
reflection, which ends beyond. With :math:`\alpha = a / \sigma\sqrt h` and :math:`\beta = b /
\sigma\sqrt h`, :math:`u = s / (h - s)` is inverse Gaussian with the mean :math:`\alpha / \beta` and
the shape :math:`\alpha^2`, so that :math:`E e^{-w u} = e^{\alpha (\beta - \sqrt{\beta^2 + 2 w})}`.
Integrated over w with the weight :math:`e^{-w}`, that gives :math:`E\,1 / (1 + u)`, and so

.. math::
    E[s] / h = 1 - E\,\frac{1}{1 + u} = \alpha\,M(\alpha + \beta), \qquad
    M(z) = e^{z^2/2} \int_z^\infty e^{-y^2/2}\,dy.

Far from the level this is a / (a + b), the time of a straight line; for b = 0 and small a it is
near 0, since a bridge that crosses at once returns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montezarr.core.tunables.memory import BRIDGE_INTEGRALS_AT_ONCE
from montezarr.statistics._sums import compiled

Array = NDArray[np.float64]

ABOVE = (
    45364.858490153157, 67586.790161454618, 49458.405306492774, 22732.743609333388,
    7117.1807611730262, 1551.4073465085184, 230.77693050911861, 21.633305273455785,
)  # fmt: skip
BELOW = (
    36195.920192299387, 82806.622269630134, 87434.263338636426, 56123.964803834352,
    24240.886988276668, 7345.9576234121780, 1573.0406528303229, 231.77693050107824,
    21.633305273476838,
)  # fmt: skip
"""Coefficients, ascending, below the leading 1: M(z) = above(z) / below(z) for z >= 0.

The best rational function of degrees 8 and 9 that tends to 1/z, found by Remez' algorithm with 60
digits: its relative error is at most 1.7e-14, and all its terms are positive, so none cancel.
"""

FAR = 1e30
"""Standard deviations beyond which z M(z) is 1, before its powers are too large."""

PASSING_MIN = 1e-300


def add_passage_times(
    late: Array, passing: Array, before: Array, after: Array, start: float, step: float, per: float
) -> None:
    """Add to `late` the mean time of passage in one step, weighted by `passing`, path by path.

    Parameters
    ----------
    late : array
        The array that is added to.
    passing : array of the same shape
        Probability of passing in this step; 0 for a path that has passed before it.
    before, after : arrays of the same shape
        Distances of the two ends from the level, >= 0.
    start, step : float
        Time at which the step begins, and its length h.
    per : float
        1 / (sigma sqrt(h)).
    """
    kernel = compiled()
    arrays = late, passing, before, after
    if kernel is not None and all(array.flags.c_contiguous for array in arrays):
        flat = (array.reshape(-1) for array in arrays)
        kernel.add_passage_times(*flat, start, step, per, ABOVE, BELOW, FAR, PASSING_MIN)
        return
    reference_add_passage_times(*arrays, start, step, per)


def reference_add_passage_times(
    late: Array, passing: Array, before: Array, after: Array, start: float, step: float, per: float
) -> None:
    """Define `add_passage_times` in NumPy."""
    total = before + after
    z = np.minimum(total * per, FAR)
    above, below = z + ABOVE[-1], z + BELOW[-1]
    for value in ABOVE[-2::-1]:
        above = above * z + value
    for value in BELOW[-2::-1]:
        below = below * z + value
    share = before / np.maximum(total, PASSING_MIN) * (above * z / below)
    late += passing * (start + step * share)


def shares_by_integral(a: Array, b: Array) -> Array:
    r"""Return the mean time of passage as a share of the step.

    The oracle for `add_passage_times`, by an integral.

    With y = log(s / (h - s)) the density is :math:`\exp(-y/2 - a^2 e^{-y} / 2 - b^2 e^y / 2)`, and
    the trapezium rule around its mode gives full precision.
    """
    a, b = np.broadcast_arrays(a, b)
    pairs, out = np.stack([a.ravel(), b.ravel()]), np.empty(a.size)
    for start in range(0, a.size, BRIDGE_INTEGRALS_AT_ONCE):
        part = slice(start, start + BRIDGE_INTEGRALS_AT_ONCE)
        out[part] = _shares_by_integral(*pairs[:, part])
    return out.reshape(a.shape)


def _shares_by_integral(a: Array, b: Array) -> Array:
    a, b = np.maximum(np.abs(a), 1e-150)[..., None], np.abs(b)[..., None]
    mode = 2 * a**2 / (1 + np.sqrt(1 + 4 * (a * b) ** 2))  # of s / (h - s)
    width = np.sqrt(2 / (a**2 / mode + b**2 * mode))
    y = width * np.arange(-12.0, 60.0, 0.2)
    with np.errstate(over="ignore", under="ignore"):
        rise = a**2 / mode * np.expm1(-y) + b**2 * mode * np.expm1(y)
        weight = np.exp(-(y + rise) / 2)
        share = 1 / (1 + np.exp(-y) / mode)
    return np.asarray((share * weight).sum(axis=-1) / weight.sum(axis=-1))
