"""Tables of an inverse distribution function, made from its density alone.

The method is that of Derflinger, Hörmann and Leydold, "Random variate generation by numerical
inversion when only the density is known", 2010, doi:10.1145/1842722.1842723. The line is divided
into intervals. In each, the masses between nodes are integrated by Gauss and Legendre's rule, and
the polynomial in Newton's form that takes these masses to the nodes is the inverse. Intervals are
halved until it is exact to `TOLERANCE`.

Masses are summed from both ends, so that both tails are as exact as the middle, and are divided by
their total: no constant of the density is needed. All operations are those of `draws.reference`,
and sums are correctly rounded, so that a table has the same bits on every machine. Values of paths
are made of them: the constants of this file are part of the format of recipes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from montezarr.random.draws import reference as ref

Array = NDArray[Any]

NODES = 14
"""Degree of the polynomials."""

FIRST_INTERVALS = 32
MAX_HALVINGS = 40
TOLERANCE = 4e-15, 4e-16
"""Errors of polynomials that are accepted, absolute, and relative to the value."""

LEAST = 2.0**-54
"""The smallest probability of a tail that is looked up."""

LOG_DEPTH = 80.0
"""Logarithm of the density, below its maximum, at which a table ends: what lies beyond is less
than rounding beside `LEAST`."""

FARTHEST = 800.0
"""Distance that stands for infinity: e**800 and e**-800 are not numbers of float64."""

_i = np.arange(2 * NODES + 1) / (2.0 * NODES)
_POINTS = _i[::2] * _i[::2] * (3.0 - 2.0 * _i[::2])  # dense at both ends, as Chebyshev's are
_CUTS = np.empty(2 * NODES + 1)  # the nodes, and where the polynomial is tried, between them
_CUTS[::2] = _POINTS
_CUTS[1::2] = 0.5 * (_POINTS[1:] + _POINTS[:-1])


def _gauss_legendre() -> tuple[list[float], list[float]]:
    """Return the five points and weights of the rule on [-1, 1], by square roots alone."""
    inner = math.sqrt(5 - 2 * math.sqrt(10 / 7)) / 3
    outer = math.sqrt(5 + 2 * math.sqrt(10 / 7)) / 3
    light, heavy = (322 - 13 * math.sqrt(70)) / 900, (322 + 13 * math.sqrt(70)) / 900
    return [-outer, -inner, 0.0, inner, outer], [light, heavy, 128 / 225, heavy, light]


class Table(NamedTuple):
    """The two halves of an inverse, each by the probability of its own tail.

    Row j of `rows` has, for probabilities from ``starts[j]`` on: the reciprocal of the mass of the
    interval, the `NODES` + 1 coefficients of Newton's form, and its nodes but for the first, 0.
    """

    lower_starts: Array
    lower_rows: Array
    upper_starts: Array
    upper_rows: Array

    def shifted(self, by: float) -> Table:
        """Return the table of Y + by."""
        rows = [self.lower_rows.copy(), self.upper_rows.copy()]
        for part in rows:
            part[1:-1, 1] = part[1:-1, 1] + by  # not of the rows that stand for infinity
        return Table(self.lower_starts, rows[0], self.upper_starts, rows[1])


def end_of(log_density: Callable[[Array], Array], width: float, sign: float) -> float:
    """Return a place beyond the maximum at 0 where the density is below exp(-`LOG_DEPTH`) of it."""
    places = [sign * width / 16]
    while len(places) < 250:
        places.append(places[-1] * 1.125)
    candidates = np.array(places)
    with np.errstate(over="ignore", invalid="ignore"):
        found = candidates[log_density(candidates) <= -LOG_DEPTH]
    return float(found[0]) if len(found) else places[-1]


def build(
    log_density: Callable[[Array], Array], low: float, high: float, rates: tuple[float, float]
) -> Table:
    """Return the table of the distribution with this density, up to a factor, on the line.

    Parameters
    ----------
    log_density : function
        Logarithm of the density, elementwise, at most about 0.
    low, high : float
        Ends of the table; quantiles beyond them are -FARTHEST and FARTHEST.
    rates : (float, float)
        Exponential rates of the density at both ends and beyond, or infinity for no mass there.
    """
    with np.errstate(all="ignore"):  # a density far out is 0, and so is its mass
        return _build(log_density, low, high, rates)


def _build(
    log_density: Callable[[Array], Array], low: float, high: float, rates: tuple[float, float]
) -> Table:
    edges = low + (high - low) * (np.arange(FIRST_INTERVALS + 1) / FIRST_INTERVALS)
    pending = (edges[:-1], edges[1:])
    done: list[tuple[Array, Array]] = []
    for halving in range(MAX_HALVINGS + 1):
        y, masses = _masses(log_density, *pending)
        is_exact = _errors(y, masses) <= 1.0
        if halving == MAX_HALVINGS:
            is_exact[:] = True
        done.append((y[is_exact], masses[is_exact]))
        if is_exact.all():
            break
        a, b = pending[0][~is_exact], pending[1][~is_exact]
        middle = 0.5 * (a + b)
        pending = (np.concatenate([a, middle]), np.concatenate([middle, b]))
    y, masses = (np.concatenate(parts) for parts in zip(*done, strict=True))
    order = np.argsort(y[:, 0])
    y, masses = y[order], masses[order]
    ends = ref.exp(log_density(np.array([low, high])))
    below, above = float(ends[0]) / rates[0], float(ends[1]) / rates[1]
    total = math.fsum([below, above, *masses.ravel().tolist()])
    return Table(
        *_half(y, masses, below, total, -FARTHEST),
        *_half(y[::-1, ::-1], masses[::-1, ::-1], above, total, FARTHEST),
    )


def _masses(log_density: Callable[[Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    """Return the cuts of intervals (m, 2 NODES + 1), and the masses between them."""
    y = low[:, None] + (high - low)[:, None] * _CUTS
    y[:, -1] = high
    centre, radius = 0.5 * (y[:, 1:] + y[:, :-1]), 0.5 * (y[:, 1:] - y[:, :-1])
    out = np.zeros_like(centre)
    for point, weight in zip(*_gauss_legendre(), strict=True):
        out = out + weight * ref.exp(log_density(centre + radius * point))
    return y, radius * out


def _errors(y: Array, masses: Array) -> Array:
    """Return the largest error of the polynomials of intervals, in units of what is tolerated."""
    worst = np.zeros(len(y))
    for flip in (1, -1):
        cuts, parts = y[:, ::flip], masses[:, ::flip]
        t = np.add.accumulate(parts, axis=1)  # one after the other
        t = t / t[:, -1:]
        nodes, coefficients = _newton(cuts, t)
        for k in range(0, 2 * NODES, 2):
            found = _value(nodes, coefficients, t[:, k])
            true = cuts[:, k + 1]
            worst = np.maximum(
                worst, np.abs(found - true) / (TOLERANCE[0] + TOLERANCE[1] * np.abs(true))
            )
    return worst


def _newton(cuts: Array, t: Array) -> tuple[Array, Array]:
    """Return the nodes and coefficients (m, NODES + 1) of Newton's form of the inverse."""
    nodes = np.concatenate([np.zeros((len(t), 1)), t[:, 1::2]], axis=1)
    table = cuts[:, ::2].copy()
    for k in range(1, NODES + 1):  # divided differences, in place
        table[:, k:] = (table[:, k:] - table[:, k - 1 : -1]) / (nodes[:, k:] - nodes[:, :-k])
    return nodes, table


def _value(nodes: Array, coefficients: Array, t: Array) -> Array:
    out = coefficients[:, NODES]
    for k in range(NODES - 1, -1, -1):
        out = coefficients[:, k] + (t - nodes[:, k]) * out
    return out


def _half(
    y: Array, masses: Array, before: float, total: float, beyond: float
) -> tuple[Array, Array]:
    """Return the first probabilities and the rows of the intervals that tails up to 1/2 reach.

    The first and the last row are of what lies before and beyond the table.
    """
    t = np.add.accumulate(masses, axis=1)
    sizes = [math.fsum(row) for row in masses.tolist()]
    bounds = [math.fsum([before, *sizes[:j]]) / total for j in range(len(sizes) + 1)]
    keep = [j for j in range(len(y)) if bounds[j] < 0.5 and bounds[j + 1] > 0.5 * LEAST]
    nodes, coefficients = _newton(y[keep], (t / t[:, -1:])[keep])
    scale = total / np.array(sizes)[keep]
    rows = np.zeros((len(keep) + 2, 2 * NODES + 1))
    rows[1:-1] = np.concatenate([scale[:, None], coefficients, nodes[:, 1:NODES]], axis=1)
    rows[0, 1], rows[-1, 1] = beyond, -beyond
    end = bounds[keep[-1] + 1] if keep else 1.0
    return np.array([0.0, *(bounds[j] for j in keep), end]), rows
