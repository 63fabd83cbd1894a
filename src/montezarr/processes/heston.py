"""Heston's stochastic volatility, by Andersen's quadratic-exponential scheme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple, Self, final

import numpy as np

from montezarr.core import buffers
from montezarr.core.checks import check_real, value_error
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes._per_path import check_lengths, square
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws

PSI_SWITCH = 1.5
"""Above this ratio of variance to squared mean the exponential branch is used (Andersen)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Heston(Process):
    r"""Heston model with variables ``s`` (price) and ``v`` (variance).

    .. math::
        dS_t &= \mu S_t\,dt + \sqrt{V_t} S_t\,dW_t \\
        dV_t &= \kappa(\theta - V_t)\,dt + \xi\sqrt{V_t}\,dZ_t \\
        d\langle W, Z\rangle_t &= \rho\,dt

    Sampled by the quadratic-exponential scheme with martingale correction (QE-M): the first two
    conditional moments of V are matched exactly, and S is a martingale after discounting. V never
    becomes negative.

    The scheme is not exact. The bias of option prices is small at the money even with a few steps
    per year, but larger on either side. In case 1 of Broadie and Kaya (one year, spot 100), calls
    at the strikes 85, 100 and 115, worth 18.46, 6.81 and 0.85, are off by +0.27, +0.19 and -0.20
    with one step, by -0.01, +0.01 and -0.06 with four. And V has an atom at 0, which the continuous
    process does not have: 22 % of the paths end at 0 with one step and 15 % with four, where 3 %
    should be below 0.0001; in case I of Andersen 89 % and 84 %, where 71 % should. The page on
    processes has tables of both.

    Parameters
    ----------
    mu : float
        Growth rate of the mean price, per unit of time.
    kappa : float
        Speed of reversion of the variance, > 0.
    theta : float
        Long-run variance, > 0.
    xi : float
        Volatility of the variance, at least 1e-8; below that the terms with 1/xi lose all digits.
    rho : float
        Correlation of price and variance, in [-1, 1].

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For a parameter that is not a finite number in its range.

    References
    ----------
    Heston, "A closed-form solution for options with stochastic volatility", 1993,
    doi:10.1093/rfs/6.2.327. Andersen, "Simple and efficient simulation of the Heston stochastic
    volatility model", 2008, doi:10.21314/JCF.2008.189, equations (17) to (35), gamma 1/2.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9).variables
    ('s', 'v')
    """

    equation: ClassVar[str] = "dS = μ S dt + √V S dW\ndV = κ (θ − V) dt + ξ √V dZ\nd⟨W, Z⟩ = ρ dt"
    is_one_pass: ClassVar[bool] = True

    mu: float = field(metadata=checked(check_real))
    kappa: float = field(metadata=checked(check_real, above=0.0))
    theta: float = field(metadata=checked(check_real, above=0.0))
    xi: float = field(
        metadata=checked(
            check_real,
            minimum=1e-8,
            hint="A variance that does not move is a GeometricBrownianMotion.",
        )
    )
    rho: float = field(metadata=checked(check_real, minimum=-1.0, maximum=1.0))

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        calm = cls(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
        return calm, cls(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9)

    @property
    def variables(self) -> tuple[str, ...]:
        """Price and variance."""
        return ("s", "v")

    def default_x0(self) -> tuple[float, float]:
        """Return a price of 1 and the long-run variance."""
        return 1.0, self.theta

    def check_x0(self, x0: Any, dtype: str) -> Rows:
        """Return (s, v) as an array; see `Process.check_x0`."""
        # Zero-argument super() fails in a dataclass with slots=True, which creates a new class.
        out = Process.check_x0(self, x0, dtype)
        if (out[0] <= 0).any():
            raise value_error("x0['s']", "prices > 0", x0)
        if (out[1] < 0).any():
            raise value_error("x0['v']", "variances >= 0", x0)
        return out

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return rows of s and v; slots 0 and 1 drive v, slot 2 drives s. See `Process.sample`."""
        check_lengths(self.arrays_per_path(), draws.n)
        rows = buffers.recycled_empty((2, grid.T + 1, draws.n), draws.dtype)
        rows[:, 0] = x0
        v = rows[1, 0].astype(np.float64)
        log_s = np.zeros(draws.n)
        of_step = _coefficients_by_length(self)
        if draws.implementation == "kernel" and _compiled(self, draws, grid, v, log_s, rows):
            return rows
        streams = zip(
            draws.rows("normal", grid.T, 0),
            draws.rows("exponential", grid.T, 1),
            draws.rows("normal", grid.T, 2),
            grid.steps.tolist(),
            strict=True,
        )
        for k, (normal, exponential, normal_s, dt) in enumerate(streams):
            v_next, log_s = _step(of_step(dt), v, log_s, normal, exponential, normal_s)
            with np.errstate(over="ignore"):  # on_nonfinite handles infinities
                np.multiply(rows[0, 0], np.exp(log_s), out=rows[0, k + 1], casting="same_kind")
            rows[1, k + 1] = v = v_next
        return rows

    def mean(self, t: Any, x0: Any = None) -> dict[str, Any]:
        """Return E[S_t] = s exp(mu t) and E[V_t] = theta + (v - theta) exp(-kappa t)."""
        s, v = self.check_x0(x0, "float64").squeeze(-1)
        decay = np.exp(-self.kappa * t)
        return {"s": s * np.exp(self.mu * t), "v": self.theta + (v - self.theta) * decay}

    def deviation(self, t: float, x0: Rows) -> Rows:
        r"""Return the standard deviations of S_t and V_t, (2, n); see `HasDeviation`.

        That of V is exact (Cox, Ingersoll and Ross 1985, doi:10.2307/1911242, equation 19). That of
        S is :math:`E[S_t] \sqrt{e^w - 1}` with w the mean of the integral of V, as for a constant
        variance: correct to first order in w.
        """
        s, v = x0
        decay, gap = np.exp(-self.kappa * t), -np.expm1(-self.kappa * t)
        integral = self.theta * t + (v - self.theta) * gap / self.kappa
        variance = (v * decay + self.theta * gap / 2) * self.xi**2 * gap / self.kappa
        price = s * np.exp(self.mu * t) * np.sqrt(np.expm1(integral))
        return np.stack(np.broadcast_arrays(price, np.sqrt(variance)))


class _Coefficients(NamedTuple):
    """What a step takes of the parameters and its length: numbers, or arrays with one per path."""

    decay: Any
    mean: Any
    variance: Any
    """The part of the variance of V that is proportional to V."""
    variance_rest: Any
    a_star: Any
    k0: Any
    """For the paths for which the martingale correction does not exist."""
    k1: Any
    k2: Any
    k3: Any
    k4: Any
    drift: Any

    @classmethod
    def of(cls, process: Heston, squares: tuple[Any, Any], dt: float) -> Self:
        """Return the coefficients of a step of the length `dt`, given xi**2 and rho**2."""
        kappa, theta, xi, rho = process.kappa, process.theta, process.xi, process.rho
        xi_square, rho_square = squares
        decay, gap = _number(np.exp(-kappa * dt)), _number(-np.expm1(-kappa * dt))
        # Coefficients of the log-price, with the integral of V by the trapezium (gamma = 1/2).
        slope = 0.5 * dt * (kappa * rho / xi - 0.5)
        k1, k2 = slope - rho / xi, slope + rho / xi
        k3 = k4 = 0.5 * dt * (1 - rho_square)
        return cls(
            decay=decay,
            mean=theta * gap,
            variance=xi_square * decay * gap / kappa,
            variance_rest=theta * xi_square * square(gap) / (2 * kappa),
            a_star=k2 + 0.5 * k4,
            k0=-rho * kappa * theta * dt / xi,
            k1=k1,
            k2=k2,
            k3=k3,
            k4=k4,
            drift=process.mu * dt,
        )


def _number(value: Any) -> Any:
    return value if np.ndim(value) else float(value)


def _coefficients_by_length(process: Heston) -> Callable[[float], _Coefficients]:
    """Return a function of the length of a step that keeps its last result: most are of one."""
    squares = square(process.xi), square(process.rho)
    return lru_cache(maxsize=1)(partial(_Coefficients.of, process, squares))


WINDOW = 8
"""Steps whose coefficients are in memory together where both paths and steps have their own."""


def _compiled(
    process: Heston, draws: Draws, grid: TimeGrid, v: Rows, log_s: Rows, rows: Rows
) -> bool:
    """Fill rows by compiled code with the same bits; return whether that is possible."""
    # Imported here, since Numba takes half a second to import and a lazy Dataset needs none.
    from montezarr.processes._kernels import heston as kernel

    if not kernel.can_compile():
        return False
    squares = square(process.xi), square(process.rho)
    arrays = process.arrays_per_path()
    window = WINDOW if arrays and grid.dt is None else max(grid.T, 1)
    for step in range(0, grid.T, window):
        lengths, which = np.unique(grid.steps[step : step + window], return_inverse=True)
        parts = [_Coefficients.of(process, squares, dt) for dt in lengths.tolist()]
        n = (draws.n,) if arrays else ()
        table = np.array([[np.broadcast_to(value, n) for value in part] for part in parts])
        table = np.ascontiguousarray(table.swapaxes(0, 1))
        kernel.fill_paths(draws, step, table, which.astype(np.int64), v, log_s, rows)
    return True


def _step(
    of_step: _Coefficients, v: Rows, log_s: Rows, normal: Rows, exponential: Rows, normal_s: Rows
) -> tuple[Rows, Rows]:
    a_star, k1, k2, k3, k4 = of_step.a_star, of_step.k1, of_step.k2, of_step.k3, of_step.k4
    mean = of_step.mean + v * of_step.decay
    variance = v * of_step.variance + of_step.variance_rest
    # The branch not used may divide by zero or take the root of a negative number, harmlessly.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        psi = variance / mean**2
        inverse = 2 / psi
        b2 = inverse - 1 + np.sqrt(inverse) * np.sqrt(inverse - 1)
        a = mean / (1 + b2)
        quadratic = a * (np.sqrt(b2) + normal) ** 2
        room = 1 - 2 * a_star * a
        k0_quadratic = -a_star * b2 * a / room + 0.5 * np.log(room)
        # q = 1-p = P(v > 0), in a form that does not cancel where p is nearly 1.
        q = 2 / (psi + 1)
        beta = q / mean
        # u > p exactly where -log(1-u) > -log(q), and then v = log(q/(1-u)) / beta.
        tail = np.maximum(exponential + np.log(q), 0.0) / beta
        k0_tail = -np.log1p(q * a_star / (beta - a_star))
        few = psi <= PSI_SWITCH
        v_next = np.where(few, quadratic, tail)
        k0 = np.where(few, k0_quadratic, k0_tail) - (k1 + 0.5 * k3) * v
        # Where the moment of the martingale correction does not exist, leave it out.
        exists = np.where(few, room > 0, beta > a_star)
        k0 = np.where(exists, k0, of_step.k0)
    noise = np.sqrt(k3 * v + k4 * v_next) * normal_s
    return v_next, log_s + (of_step.drift + k0 + k1 * v + k2 * v_next + noise)
