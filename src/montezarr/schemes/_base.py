"""What a scheme is: one step of an approximation to an Itô equation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from montezarr.errors import ArgumentValueError

Rows = NDArray[Any]
Coefficient = Callable[[float, Rows], Any]
"""A drift or diffusion f(t, x), for x of shape (n,) or (variables, n)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(ABC):
    """Base of the schemes: frozen values whose `step` is a pure function."""

    strong_order: ClassVar[float]
    """Order of E|X_T - Y_T| in the step length, under the usual smoothness conditions."""

    weak_order: ClassVar[float]
    """Order of |E f(X_T) - E f(Y_T)| in the step length."""

    @abstractmethod
    def step(
        self, drift: Coefficient, diffusion: Coefficient, t: float, x: Rows, dt: float, dw: Rows
    ) -> Rows:
        """Return the state after one step from `x` at time `t`.

        Parameters
        ----------
        drift, diffusion : function (t, x)
            Coefficients of dX = drift dt + diffusion dW.
        t, dt : float
            Time before the step, and its length.
        x : array (n,) or (variables, n)
            States.
        dw : array (n,) or (noises, n)
            Brownian increments, variance `dt`.
        """


def evaluate(name: str, coefficient: Coefficient, t: float, x: Rows) -> Rows:
    """Return a coefficient at (t, x), checked to fit the shape of `x`."""
    value = np.asarray(coefficient(t, x))
    if value.dtype.kind not in "iuf":
        raise ArgumentValueError(f"{name}: expected numbers from f(t, x), got dtype {value.dtype}.")
    matrix = name == "diffusion" and x.ndim == 2 and value.ndim == 3
    shape = (value.shape[0], value.shape[2]) if matrix else value.shape
    try:
        fits = np.broadcast_shapes(shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        expected = f"{x.shape}" + (f" or ({x.shape[0]}, noises, {x.shape[1]})" * (x.ndim == 2))
        raise ArgumentValueError(
            f"{name}: expected shape {expected} from f(t, x), got {value.shape}."
            " It must work on arrays of paths along the last axis."
        )
    return value


def apply_noise(g: Rows, dw: Rows) -> Rows:
    """Return diffusion times increments, for diagonal noise or a matrix (variables, noises, n)."""
    if g.ndim == 3:
        return np.einsum("dmn,mn->dn", np.broadcast_to(g, (*g.shape[:2], dw.shape[-1])), dw)
    return g * dw
