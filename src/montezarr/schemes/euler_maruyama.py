"""The Euler-Maruyama scheme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from montezarr.schemes._base import Coefficient, Rows, Scheme, apply_noise, evaluate_coefficient


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EulerMaruyama(Scheme):
    r"""Euler-Maruyama, :math:`Y_{k+1} = Y_k + a(t, Y_k)\,dt + b(t, Y_k)\,dW`.

    Strong order 1/2 (1 if the diffusion does not depend on the state), weak order 1. Supports
    any noise: diagonal, or a matrix of shape (variables, noises, n).

    References
    ----------
    Maruyama, "Continuous Markov processes and stochastic equations", 1955,
    doi:10.1007/BF02846028. Kloeden and Platen, Numerical Solution of Stochastic Differential
    Equations, 1992, section 10.2, doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import montezarr as mz
    >>> process = mz.Diffusion(
    ...     drift=lambda t, x: -x, diffusion=lambda t, x: 0.3 + 0 * x, scheme=mz.EulerMaruyama()
    ... )
    >>> ds = mz.simulate(process, n_paths=10_000, T=50, dt=0.02, x0=1.0, seed=1)
    >>> ds.x.isel(time=-1).mean("path").compute().round(2).item()  # exp(-1) = 0.37
    0.37
    """

    strong_order: ClassVar[float] = 0.5
    weak_order: ClassVar[float] = 1.0

    def step(
        self, drift: Coefficient, diffusion: Coefficient, t: float, x: Rows, dt: float, dw: Rows
    ) -> Rows:
        """Return the state after one step; see `Scheme.step`."""
        a = evaluate_coefficient("drift", drift, t, x)
        b = evaluate_coefficient("diffusion", diffusion, t, x)
        out: Rows = x + a * dt + apply_noise(b, dw, x)
        return out
