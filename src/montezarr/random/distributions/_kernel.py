"""Compiled quantiles: the operations of `_reference`, in the same order, one value at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.random.distributions import _reference as reference
from montezarr.random.distributions._table import NODES, Table
from montezarr.random.draws.phases import compile_loops, exp64, inline, neg_log64

Array = reference.Array

A0, A1, A2, A3, A4, A5, A6, A7 = reference.CENTRE
_, B1, B2, B3, B4, B5, B6, B7 = reference.CENTRE_BELOW
C0, C1, C2, C3, C4, C5, C6, C7 = reference.MIDDLE
_, D1, D2, D3, D4, D5, D6, D7 = reference.MIDDLE_BELOW
E0, E1, E2, E3, E4, E5, E6, E7 = reference.OUTER
_, F1, F2, F3, F4, F5, F6, F7 = reference.OUTER_BELOW

LAST = NODES + 1  # the column of the last coefficient

uniform = reference.uniform  # fast as it is


def _tails(uniform, out):
    for j in range(len(uniform)):
        centred = (uniform[j] - 0.5) + 2.0**-54
        p = 0.5 - abs(centred)
        out[j] = -p if centred < 0.0 else p


_TAILS = compile_loops(_tails)


@inline
def _normal(tail):
    p = abs(tail)
    q = 0.5 - p
    if q <= 0.425:
        r = 0.180625 - q * q
        above = A0 + r * (A1 + r * (A2 + r * (A3 + r * (A4 + r * (A5 + r * (A6 + r * A7))))))
        below = 1.0 + r * (B1 + r * (B2 + r * (B3 + r * (B4 + r * (B5 + r * (B6 + r * B7))))))
        z = q * (above / below)
    else:
        r = np.sqrt(neg_log64(p))
        if r <= 5.0:
            r = r - 1.6
            above = C0 + r * (C1 + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * C7))))))
            below = 1.0 + r * (D1 + r * (D2 + r * (D3 + r * (D4 + r * (D5 + r * (D6 + r * D7))))))
        else:
            r = r - 5.0
            above = E0 + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * (E5 + r * (E6 + r * E7))))))
            below = 1.0 + r * (F1 + r * (F2 + r * (F3 + r * (F4 + r * (F5 + r * (F6 + r * F7))))))
        z = above / below
    return -z if tail < 0.0 else z


def _make_affine(exponential: bool) -> Any:
    def affine(tail, mean, sd, out):
        for j in range(len(tail)):
            y = mean + sd * _normal(tail[j])
            out[j] = exp64(y) if exponential else y

    return compile_loops(affine)


_AFFINE = {True: _make_affine(True), False: _make_affine(False)}


def _normals(tail, out):
    for j in range(len(tail)):
        out[j] = _normal(tail[j])


_NORMALS = compile_loops(_normals)


@inline
def _tabulated(p, starts, rows):
    place = 0
    n = len(starts)
    while n > 1:  # the last start that is at most p, without branches to mispredict
        half = n >> 1
        place = place + half if starts[place + half] <= p else place
        n -= half
    t = (p - starts[place]) * rows[place, 0]
    y = rows[place, LAST]
    for k in range(NODES - 1, 0, -1):
        y = rows[place, k + 1] + (t - rows[place, LAST + k]) * y
    return rows[place, 1] + t * y


@inline
def _of_table(tail, lower_starts, lower_rows, upper_starts, upper_rows):
    if tail < 0.0:
        return _tabulated(-tail, lower_starts, lower_rows)
    return _tabulated(tail, upper_starts, upper_rows)


def _scaled_exp(tail, lower_starts, lower_rows, upper_starts, upper_rows, scale, out):
    for j in range(len(tail)):
        y = _of_table(tail[j], lower_starts, lower_rows, upper_starts, upper_rows)
        out[j] = scale * exp64(y)


_SCALED_EXP = compile_loops(_scaled_exp)


def _logistic(tail, lower_starts, lower_rows, upper_starts, upper_rows, out):
    for j in range(len(tail)):
        y = _of_table(tail[j], lower_starts, lower_rows, upper_starts, upper_rows)
        e = exp64(-abs(y))
        out[j] = (e if y < 0.0 else 1.0) / (1.0 + e)


_LOGISTIC = compile_loops(_logistic)


def tails(uniform: Array) -> Array:
    """Compute `_reference.tails`, bit for bit."""
    out = np.empty_like(uniform)
    _TAILS(uniform, out)
    return out


def normal(tail: Array) -> Array:
    """Compute `_reference.normal`, bit for bit."""
    out = np.empty_like(tail)
    _NORMALS(tail, out)
    return out


def affine(tail: Array, mean: float, sd: float, exponential: bool) -> Array:
    """Compute `_reference.affine`, bit for bit."""
    out = np.empty_like(tail)
    _AFFINE[exponential](tail, mean, sd, out)
    return out


def scaled_exp(tail: Array, table: Table, scale: float) -> Array:
    """Compute `_reference.scaled_exp`, bit for bit."""
    out = np.empty_like(tail)
    _SCALED_EXP(tail, *table, scale, out)
    return out


def logistic(tail: Array, table: Table) -> Array:
    """Compute `_reference.logistic`, bit for bit."""
    out = np.empty_like(tail)
    _LOGISTIC(tail, *table, out)
    return out
