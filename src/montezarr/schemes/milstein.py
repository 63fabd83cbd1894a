"""The Milstein scheme for scalar and diagonal noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from montezarr.core.errors import ArgumentValueError
from montezarr.core.value import checked
from montezarr.schemes._base import (
    Coefficient,
    Rows,
    Scheme,
    apply_noise,
    check_coefficient,
    evaluate_coefficient,
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Milstein(Scheme):
    r"""Milstein, :math:`Y_{k+1} = Y_k + a\,dt + b\,dW + \tfrac12 b\,b'\,(dW^2 - dt)`.

    Strong and weak order 1. The noise must be diagonal: component i of the diffusion depends only
    on component i of the state (the increments themselves may be correlated).

    Parameters
    ----------
    derivative : function (t, x), optional
        Derivative of each component of the diffusion by its own component of the state; it gets
        further arguments by name as the diffusion does. Without
        it b b' is replaced by the difference quotient of the derivative-free scheme, of the same
        order (Kloeden and Platen, equation 11.1.3).

    Raises
    ------
    ArgumentTypeError
        If `derivative` is not a function.
    ArgumentValueError
        From `step`, for noise given as a matrix, and from the trial of `simulate`, for a component
        of the diffusion that depends on another component.

    References
    ----------
    Milstein, "Approximate integration of stochastic differential equations", 1974,
    doi:10.1137/1119062. Kloeden and Platen 1992, sections 10.3 and 11.1,
    doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.Diffusion(
    ...     drift=lambda t, x: 0.05 * x, diffusion=lambda t, x: 0.2 * x, scheme=mz.Milstein()
    ... )
    >>> ds = mz.simulate(process, n_paths=1000, T=50, dt=0.02, x0=100.0, seed=1)
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)  # the same equation, exactly
    >>> exact = mz.simulate(gbm, n_paths=1000, T=50, dt=0.02, x0=100.0, seed=1)
    >>> abs(ds.x - exact.x).isel(time=-1).mean("path").compute().round(3).item()
    0.022
    """

    strong_order: ClassVar[float] = 1.0
    weak_order: ClassVar[float] = 1.0

    derivative: Coefficient | None = field(
        default=None, metadata=checked(check_coefficient, optional=True)
    )

    def __post_init__(self) -> None:
        self.check_fields()

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the derivative, if there is one; see `Scheme.functions`."""
        return {} if self.derivative is None else {"derivative": self.derivative}

    def check_trial(
        self, drift: Coefficient, diffusion: Coefficient, t: float, x: Rows, dt: float
    ) -> None:
        r"""Raise for noise that is not diagonal; see `Scheme.check_trial`.

        The scheme omits the terms :math:`b_j\,\partial b_i/\partial x_j` of other components
        (Kloeden and Platen, equation 10.3.3). They are not zero where a shift of component j by its
        own noise changes the diffusion of component i.
        """
        if x.ndim == 1:
            return
        with np.errstate(all="ignore"):
            b = evaluate_coefficient("diffusion", diffusion, t, x)
            if b.ndim == 3:  # `step` refuses it
                return
            b = np.broadcast_to(b, x.shape)
            for j in range(len(x)):
                moved = x.copy()
                moved[j] += b[j] * np.sqrt(dt)
                there = np.broadcast_to(
                    evaluate_coefficient("diffusion", diffusion, t, moved), x.shape
                )
                changed = (np.abs(there - b) > 1e-9 * np.abs(b)).any(axis=-1)
                changed[j] = False
                if changed.any():
                    raise ArgumentValueError(
                        "scheme: expected diagonal noise for Milstein, got a diffusion of component"
                        f" {int(changed.argmax())} that depends on component {j}, which has noise"
                        " of its own. Use EulerMaruyama()."
                    )

    def step(
        self, drift: Coefficient, diffusion: Coefficient, t: float, x: Rows, dt: float, dw: Rows
    ) -> Rows:
        """Return the state after one step; see `Scheme.step`."""
        a = evaluate_coefficient("drift", drift, t, x)
        b = evaluate_coefficient("diffusion", diffusion, t, x)
        if b.ndim == 3:
            raise ArgumentValueError(
                "scheme: expected diagonal noise for Milstein, got a diffusion matrix of shape"
                f" {b.shape}. Use EulerMaruyama()."
            )
        square = dw * dw - dt
        if self.derivative is not None:
            correction = (
                0.5 * b * evaluate_coefficient("derivative", self.derivative, t, x) * square
            )
        else:
            root = float(np.sqrt(dt))
            support = evaluate_coefficient("diffusion", diffusion, t, x + a * dt + b * root)
            correction = (support - b) * square * (0.5 / root)
        out: Rows = x + a * dt + apply_noise(b, dw, x) + correction
        return out
