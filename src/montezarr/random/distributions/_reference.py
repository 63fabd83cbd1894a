"""Reference quantiles: the NumPy code that specifies every value of a distribution.

A probability u is carried as the probability of its nearer tail, u or 1 - u, which is negative for
the lower tail and positive for the upper one: exact where u itself is no number of float64. As in
`draws.reference`, all operations are + - * / sqrt and exact conversions, so that quantiles have the
same bits on every machine, and `_kernel` must agree with this file in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.random.distributions._table import NODES, Table
from montezarr.random.draws import reference as ref
from montezarr.random.draws.reference import _neg_log64, _polynomial

Array = NDArray[Any]

# Wichura, "Algorithm AS 241: The percentage points of the normal distribution", 1988,
# doi:10.2307/2347330, routine PPND16; numerators and denominators, lowest order first.
CENTRE = (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
          1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
          3.3430575583588128105e4, 2.5090809287301226727e3)  # fmt: skip
CENTRE_BELOW = (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
                2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
                5.2264952788528545610e3)  # fmt: skip
MIDDLE = (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4)  # fmt: skip
MIDDLE_BELOW = (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
              1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
              1.05075007164441684324e-9)  # fmt: skip
OUTER = (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
       2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
       2.71155556874348757815e-5, 2.01033439929228813265e-7)  # fmt: skip
OUTER_BELOW = (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
             7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
             2.04426310338993978564e-15)  # fmt: skip

LOOKED_UP_AT_ONCE = 2**14
"""Values for which rows of a table are gathered at once, 4 MiB."""


def tails(uniform: Array) -> Array:
    """Return the signed tail probabilities of u = k 2**-53 + 2**-54, for `uniform` k 2**-53."""
    centred = (uniform - 0.5) + 2.0**-54  # an odd multiple of 2**-54 below 1/2: exact
    return np.copysign(0.5 - np.abs(centred), centred)


def _ratio(above: tuple[float, ...], below: tuple[float, ...], r: Array) -> Array:
    out: Array = _polynomial(r, above) / _polynomial(r, below)
    return out


def normal(tail: Array) -> Array:
    """Return quantiles of the standard normal distribution."""
    p = np.abs(tail)
    q = 0.5 - p
    r = np.sqrt(_neg_log64(p))
    inside = q * _ratio(CENTRE, CENTRE_BELOW, 0.180625 - q * q)
    outside = np.where(
        r <= 5.0, _ratio(MIDDLE, MIDDLE_BELOW, r - 1.6), _ratio(OUTER, OUTER_BELOW, r - 5.0)
    )
    return np.copysign(np.where(q <= 0.425, inside, outside), tail)


def uniform(tail: Array, low: float, high: float) -> Array:
    """Return quantiles of the uniform distribution."""
    width = high - low
    return np.where(tail < 0, low + width * np.abs(tail), high - width * np.abs(tail))


def affine(tail: Array, mean: float, sd: float, exponential: bool) -> Array:
    """Return quantiles of a normal distribution, or of that whose logarithm is normal."""
    with np.errstate(over="ignore"):
        y = mean + sd * normal(tail)
        return ref.exp(y) if exponential else y


def _tabulated(tail: Array, table: Table) -> Array:
    out = np.empty_like(tail)
    for low in range(0, len(tail), LOOKED_UP_AT_ONCE):
        part, found = tail[low : low + LOOKED_UP_AT_ONCE], out[low : low + LOOKED_UP_AT_ONCE]
        is_lower = part < 0
        found[is_lower] = _looked_up(-part[is_lower], table.lower_starts, table.lower_rows)
        found[~is_lower] = _looked_up(part[~is_lower], table.upper_starts, table.upper_rows)
    return out


def _looked_up(p: Array, starts: Array, rows: Array) -> Array:
    place = np.searchsorted(starts, p, side="right") - 1
    row = rows[place]
    t = (p - starts[place]) * row[:, 0]
    y = row[:, NODES + 1]
    for k in range(NODES - 1, 0, -1):
        y = row[:, k + 1] + (t - row[:, NODES + 1 + k]) * y
    out: Array = row[:, 1] + t * y
    return out


def scaled_exp(tail: Array, table: Table, scale: float) -> Array:
    """Return quantiles of scale * e**Y, for Y with this table."""
    with np.errstate(over="ignore"):
        out: Array = scale * ref.exp(_tabulated(tail, table))
    return out


def logistic(tail: Array, table: Table) -> Array:
    """Return quantiles of 1 / (1 + e**-Y), for Y with this table."""
    y = _tabulated(tail, table)
    e = ref.exp(-np.abs(y))
    out: Array = np.where(y < 0, e, 1.0) / (1.0 + e)
    return out
