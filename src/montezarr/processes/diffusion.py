"""General Itô equations, given by drift and diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core import buffers
from montezarr.core.checks import check_array, check_int, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.tunables.scheduling import COEFFICIENT_TRIAL_TIMES
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws
from montezarr.schemes import EulerMaruyama, Milstein, Scheme
from montezarr.schemes._base import Coefficient, check_coefficient, weighted_sum


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion(Process):
    r"""The Itô equation :math:`dX_t = a(t, X_t)\,dt + b(t, X_t)\,dW_t`, scalar or vector.

    The functions get the time and the states of many paths at once and must work on arrays:
    x has shape (n,), or (variables, n) for several variables. Both arguments are positional, x is
    read-only, and a path must not depend on other paths: `simulate` checks this. x is float64 even
    if the paths are float32; a function that computes in float32 itself has that precision.

    Parameters
    ----------
    drift : function (t, x)
        a, of the shape of x.
    diffusion : function (t, x)
        b, of the shape of x (one noise per variable), or a matrix (variables, noises, n), where n
        may also be 1.
    scheme : Scheme
        `EulerMaruyama` (default) or `Milstein`.
    names : sequence of str
        Names of the variables; ("x",) for a scalar equation.
    correlation : array (noises, noises), optional
        Correlation of the Brownian motions, positive semi-definite with ones on the diagonal.
    noises : int, optional
        Number of Brownian motions; by default the size of `correlation`, or the number of
        variables.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For invalid arguments, also for functions whose parameter names show the order (x, t).
    SamplerError
        From `simulate`, for functions that fail, return another shape, write into x, or couple
        paths, such as by ``x.mean()``; and for noise that the scheme does not support.

    References
    ----------
    Kloeden and Platen, Numerical Solution of Stochastic Differential Equations, 1992,
    doi:10.1007/978-3-662-12616-5.

    Examples
    --------
    >>> import montezarr as mz
    >>> cir = mz.Diffusion(
    ...     drift=lambda t, x: 0.5 * (0.04 - x),
    ...     diffusion=lambda t, x: 0.1 * abs(x) ** 0.5,
    ...     scheme=mz.Milstein(),
    ... )
    >>> mz.simulate(cir, n_paths=100, T=12, dt=1 / 12, x0=0.04, seed=1).x.shape
    (100, 13)
    """

    equation: ClassVar[str] = "dX = a(t, X) dt + b(t, X) dW, a = drift, b = diffusion"
    runs_user_code: ClassVar[bool] = True

    drift: Coefficient = field(metadata=checked(check_coefficient))
    diffusion: Coefficient = field(metadata=checked(check_coefficient))
    scheme: Scheme = field(default_factory=EulerMaruyama)
    names: tuple[str, ...] = ("x",)
    correlation: tuple[tuple[float, ...], ...] | None = None
    noises: int | None = None

    def __post_init__(self) -> None:
        self.check_fields()
        if not isinstance(self.scheme, Scheme):
            raise type_error("scheme", "EulerMaruyama() or Milstein()", self.scheme)
        self.set_field("names", _check_names(self.names))
        count = len(self.names)
        if self.noises is not None:
            count = check_int("noises", self.noises, minimum=1)
        if self.correlation is not None:
            matrix = check_array("correlation", self.correlation, ndim=2)
            count = len(matrix) if self.noises is None else count
            _check_correlation(matrix, count)
            self.set_field("correlation", tuple(tuple(row) for row in matrix.tolist()))
        self.set_field("noises", count)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return instances for tests; see `Process.examples`."""
        scalar = cls(drift=_pull, diffusion=_spread, scheme=Milstein())
        pair = cls(
            drift=_pull, diffusion=_spread, names=("x", "y"), correlation=((1.0, 0.5), (0.5, 1.0))
        )
        return scalar, pair

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        return self.names

    def default_x0(self) -> Any:
        """Raise, since an equation alone has no natural start."""
        raise value_error("x0", "an initial state, since a Diffusion has no default", None)

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the scheme; noise j draws from slot j. See `Process.sample`.

        The functions get float64 states even if the paths are float32, which are rounded copies.
        """
        scalar, noises = len(self.names) == 1, self.noises or 1
        shape = (draws.n,) if scalar else (len(self.names), draws.n)
        x = np.array(np.broadcast_to(x0, shape), draws.dtype).astype(draws.state_dtype)
        rows = buffers.recycled_empty((len(self.names), grid.T + 1, draws.n), draws.dtype)
        rows[:, 0] = x
        factor = None
        if self.correlation is not None:
            factor = list(enumerate(_root(np.array(self.correlation)).tolist()))
        streams = [draws.rows("normal", grid.T, slot) for slot in range(noises)]
        times, steps = grid.times.tolist(), grid.steps.tolist()
        for k in range(grid.T):
            z = np.stack([next(stream) for stream in streams]).astype(x.dtype, copy=False)
            if factor is not None:
                z = np.stack([weighted_sum(row[: i + 1], z[: i + 1]) for i, row in factor])
            dw = z * float(np.sqrt(steps[k]))
            if scalar and noises == 1:
                dw = dw[0]
            following = self.scheme.step(self.drift, self.diffusion, times[k], x, steps[k], dw)
            if following.shape != shape:
                raise ArgumentValueError(
                    f"scheme: expected a step of shape {shape}, got {following.shape}."
                )
            # A copy, since a user's scheme may change its own array later.
            x = np.array(following, x.dtype)
            x.flags.writeable = False
            with np.errstate(over="ignore"):  # on_nonfinite handles infinities
                rows[:, k + 1] = x
        return rows[0] if scalar else rows

    def check_trial(self, grid: TimeGrid, rows: Rows) -> None:
        """Raise if the scheme does not support these coefficients; see `HasTrial`."""
        times, steps = grid.times, grid.steps
        for k in range(0, grid.T, max(1, grid.T // COEFFICIENT_TRIAL_TIMES)):
            x, t, dt = rows[0, k] if len(self.names) == 1 else rows[:, k], times[k], steps[k]
            self.scheme.check_trial(self.drift, self.diffusion, float(t), x, float(dt))

    def to_dict(self) -> dict[str, Any]:
        """Return a description with functions by name, which `from_dict` cannot read back."""
        return {
            "name": type(self).__name__,
            "drift": _function_name(self.drift),
            "diffusion": _function_name(self.diffusion),
            "scheme": type(self.scheme).__name__,
            "names": list(self.names),
            "correlation": self.correlation,
            "noises": self.noises,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raise: a description is data, and never imports the functions that it names."""
        raise ArgumentValueError(
            "Diffusion: its functions are code, which is never loaded from a description."
            " Build the same Diffusion again and pass it as `process`."
        )


def _pull(t: float, x: Rows) -> Rows:
    return 0.5 * (1.0 - x)


def _spread(t: float, x: Rows) -> Rows:
    return 0.2 * np.sqrt(np.abs(x))


def _function_name(function: Any) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', type(function).__name__)}"


def _check_names(names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, (tuple, list)):
        raise type_error("names", "a sequence of names, such as ('x', 'y')", names)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or name in ("path", "time"):
            raise value_error("names", "identifiers other than 'path' and 'time'", name)
    if not names or len(set(names)) != len(names):
        raise value_error("names", "distinct names, at least one", names)
    return tuple(names)


def _check_correlation(matrix: Rows, count: int) -> None:
    expected = f"a symmetric positive semi-definite matrix ({count}, {count}) with unit diagonal"
    if matrix.shape != (count, count):
        raise value_error("correlation", expected, matrix.tolist())
    symmetric = np.abs(matrix - matrix.T).max() < 1e-12
    if not symmetric or np.abs(np.diag(matrix) - 1).max() > 1e-12:
        raise value_error("correlation", expected, matrix.tolist())
    if np.linalg.eigvalsh(matrix).min() < -1e-10:
        raise value_error("correlation", expected, matrix.tolist())


def _root(matrix: Rows) -> Rows:
    """Return a lower-triangular L with L L' = matrix, also for a semi-definite matrix."""
    n = len(matrix)
    root = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i, j] - root[i, :j] @ root[j, :j]
            if i == j:
                root[i, i] = np.sqrt(max(rest, 0.0))
            elif root[j, j] > 1e-8:
                root[i, j] = rest / root[j, j]
    return root
