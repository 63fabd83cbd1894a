"""General Itô equations, given by drift and diffusion."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, final

import numpy as np

from montezarr.core import buffers
from montezarr.core.added_fields import added
from montezarr.core.checks import check_array, check_int, check_real, type_error, value_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.tunables.scheduling import COEFFICIENT_TRIAL_TIMES
from montezarr.core.value import checked
from montezarr.processes._base import Process, Rows
from montezarr.processes._between import step_between
from montezarr.processes._fused import Fused, arguments_in_place, fused, trial_paths
from montezarr.processes._per_path import check_lengths, checked_numbers, unknown_parameter
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.draws import Draws
from montezarr.schemes import EulerMaruyama, Milstein, Scheme
from montezarr.schemes._arguments import asked_of, bind_arguments, check_complete
from montezarr.schemes._base import (
    Coefficient,
    check_coefficient,
    evaluate_coefficient,
    weighted_sum,
)
from montezarr.schemes.boundaries import Boundary


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Diffusion(Process):
    r"""The Itô equation :math:`dX_t = a(t, X_t)\,dt + b(t, X_t)\,dW_t`, scalar or vector.

    The functions get the time and the states of many paths at once and must work on arrays:
    x has shape (n,), or (variables, n) for several variables. Both arguments are positional, x is
    read-only, and a path must not depend on other paths: `simulate` checks this. x is float64 even
    if the paths are float32; a function that computes in float32 itself has that precision.

    A function may have further arguments, which are parameters of the equation. It gets by name
    those it asks for: as one number, or as a read-only array (n,) where paths differ in it. The
    functions share them by name, and an argument with a default need not be given.

    In a long run of a scalar equation the functions are compiled by Numba, if they are arithmetic
    that gives NumPy's bits; the paths are the same either way.

    Parameters
    ----------
    drift : function (t, x, ...)
        a, of the shape of x.
    diffusion : function (t, x, ...)
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
    parameters : mapping of str to float, optional
        Values of further arguments of the functions, by name; `with_parameters` changes them.
    lower, upper : Absorbing or Reflecting, optional
        Boundaries of a scalar equation with one noise: levels that paths do not pass. Those with a
        bridge correct for what happens between the times of the grid: exact for constant
        coefficients with one boundary; with two, for b^2 dt well below the square of their
        distance.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For invalid arguments, also for functions whose parameter names show the order (x, t); from
        `simulate`, for a further argument that has neither a value nor a default.
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

    An equation with parameters:

    >>> gbm = mz.Diffusion(
    ...     drift=lambda t, x, mu: mu * x,
    ...     diffusion=lambda t, x, sigma: sigma * x,
    ...     parameters={"mu": 0.05, "sigma": 0.2},
    ... )
    >>> dict(gbm.with_parameters(sigma=0.3).parameters)
    {'mu': 0.05, 'sigma': 0.3}
    """

    equation: ClassVar[str] = "dX = a(t, X) dt + b(t, X) dW, a = drift, b = diffusion"
    runs_user_code: ClassVar[bool] = True

    drift: Coefficient = field(metadata=checked(check_coefficient))
    diffusion: Coefficient = field(metadata=checked(check_coefficient))
    scheme: Scheme = field(default_factory=EulerMaruyama)
    names: tuple[str, ...] = ("x",)
    correlation: tuple[tuple[float, ...], ...] | None = None
    noises: int | None = None
    parameters: tuple[tuple[str, Any], ...] = added(())
    lower: Boundary | None = added(None)  # noqa: RUF009
    upper: Boundary | None = added(None)  # noqa: RUF009

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
        if self.parameters != ():
            self.set_field("parameters", self._check_parameters(self.parameters))
        self._check_boundaries()

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

    def with_parameters(self, **values: Any) -> Self:
        """Return the equation with other values of some arguments of its functions."""
        return replace(self, parameters={**dict(self.parameters), **values})  # type: ignore[arg-type]

    def check_values(self, name: str, values: Any) -> Rows:
        """Return the values of one argument for n paths; see `Process.check_values`."""
        self._check_name(name)
        return checked_numbers(name, values)

    def with_arrays(self, values: Mapping[str, Rows]) -> Self:
        """Return a copy with one number per path in some arguments; see `Process.with_arrays`."""
        for name in values:
            self._check_name(name)
        arrays = {name: np.asarray(array, np.float64) for name, array in values.items()}
        out = copy.copy(self)
        out.set_field("parameters", tuple(sorted({**dict(self.parameters), **arrays}.items())))
        return out

    def arrays_per_path(self) -> dict[str, Rows]:
        """Return the arguments that have one number per path; see `Process.arrays_per_path`."""
        return {name: value for name, value in self.parameters if isinstance(value, np.ndarray)}

    @property
    def resumes(self) -> bool:
        """Whether a state is all that later ones depend on, as in the schemes of montezarr."""
        return type(self.scheme) in (EulerMaruyama, Milstein)

    def sample(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths of the scheme; noise j draws from slot j. See `Process.sample`.

        The functions get float64 states even if the paths are float32, which are rounded copies.
        Where they can be compiled, and both ways give the same bits, one compiled loop makes them.
        """
        compiled = self._sample_compiled(draws, grid, x0)
        return self._sample_by_step(draws, grid, x0) if compiled is None else compiled

    def _sample_by_step(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows:
        """Return paths by a call of the functions for all paths at each step."""
        drift, diffusion, scheme = self._with_arguments(draws.n)
        scalar, noises = len(self.names) == 1, self.noises or 1
        shape = (draws.n,) if scalar else (len(self.names), draws.n)
        x = np.array(np.broadcast_to(x0, shape), draws.dtype).astype(draws.state_dtype)
        rows = buffers.recycled_empty((len(self.names), grid.T + 1, draws.n), draws.dtype)
        rows[:, 0] = x
        factor = None
        if self.correlation is not None:
            factor = list(enumerate(_root(np.array(self.correlation)).tolist()))
        streams = [draws.rows("normal", grid.T, slot) for slot in range(noises)]
        bounded = step_between(self.lower, self.upper, draws, grid.T)
        times, steps = grid.times.tolist(), grid.steps.tolist()
        for k in range(grid.T):
            z = np.stack([next(stream) for stream in streams]).astype(x.dtype, copy=False)
            if factor is not None:
                z = np.stack([weighted_sum(row[: i + 1], z[: i + 1]) for i, row in factor])
            dw = z * float(np.sqrt(steps[k]))
            if scalar and noises == 1:
                dw = dw[0]
            following = scheme.step(drift, diffusion, times[k], x, steps[k], dw)
            if following.shape != shape:
                raise ArgumentValueError(
                    f"scheme: expected a step of shape {shape}, got {following.shape}."
                )
            if bounded is not None:
                following = bounded(x, following, times[k], steps[k], diffusion)
            # A copy, since a user's scheme may change its own array later.
            x = np.array(following, x.dtype)
            x.flags.writeable = False
            with np.errstate(over="ignore"):  # on_nonfinite handles infinities
                rows[:, k + 1] = x
        return rows[0] if scalar else rows

    def _sample_compiled(self, draws: Draws, grid: TimeGrid, x0: Rows) -> Rows | None:
        """Return paths by one compiled loop; None if there is none, or not yet."""
        is_plain = len(self.names) == 1 and self.noises == 1 and self.correlation is None
        is_plain &= self.lower is None and self.upper is None
        if draws.implementation != "kernel" or not is_plain or draws.state_dtype != "float64":
            return None
        if type(self.scheme) not in (EulerMaruyama, Milstein) or not draws.n or not grid.T:
            return None
        values, functions = dict(self.parameters), tuple(self._functions().values())
        given = [arguments_in_place(function, values) for function in functions]
        if None in given:
            return None
        arguments: Any = tuple(given)
        check_lengths(self.arrays_per_path(), draws.n)
        is_milstein = type(self.scheme) is Milstein
        known = fused(functions, is_milstein)
        if known is None:
            return None
        constants = tuple(tuple(None if np.ndim(v) else v for v in one) for one in arguments)
        loop = known.loop_for(
            (grid.whole, draws.dtype, constants),
            draws.n * grid.T,
            lambda: known.compile(functions, tuple(map(len, arguments)), is_milstein),
            lambda: self._is_same(known, draws, grid.whole, x0),
        )
        return None if loop is None else _filled(loop, draws, grid, arguments, x0)

    def _is_same(self, known: Fused, draws: Draws, grid: TimeGrid, x0: Rows) -> bool:
        """Return whether compiled code gives the bits of NumPy: some paths, and all coefficients.

        The coefficients are compared too, since the last bit of an increment is often lost when it
        is added to the state. The trial does not depend on the range of paths that is asked for.
        """
        n = trial_paths(grid.T)
        part = Draws(draws.key, 0, n, draws.dtype, draws.implementation, draws.format)
        start = np.resize(x0, n)
        process = self.with_arrays({k: np.resize(v, n) for k, v in self.arrays_per_path().items()})
        values, functions = dict(process.parameters), self._functions()
        arguments: Any = tuple(arguments_in_place(f, values) for f in functions.values())
        try:
            with np.errstate(all="ignore"):
                wanted = process._sample_by_step(part, grid, start)
                found = _filled(known.loop, part, grid, arguments, start)
                if found.tobytes() != wanted.tobytes():
                    return False
                out = np.empty((len(functions), n))
                own = {name: bind_arguments(f, values) for name, f in functions.items()}
                for t, x in zip(grid.times.tolist(), wanted.astype(np.float64), strict=True):
                    known.evaluate(t, x, arguments, out)
                    for row, (name, function) in zip(out, own.items(), strict=True):
                        exact = np.broadcast_to(evaluate_coefficient(name, function, t, x), n)
                        if exact.astype(np.float64).tobytes() != row.tobytes():
                            return False
        except Exception:  # of the functions: compiled ones may raise where NumPy has infinities
            return False
        return True

    def check_trial(self, grid: TimeGrid, rows: Rows) -> None:
        """Raise if the scheme does not support these coefficients; see `HasTrial`."""
        drift, diffusion, scheme = self._with_arguments(rows.shape[-1])
        times, steps = grid.times, grid.steps
        for k in range(0, grid.T, max(1, grid.T // COEFFICIENT_TRIAL_TIMES)):
            x, t, dt = rows[0, k] if len(self.names) == 1 else rows[:, k], times[k], steps[k]
            scheme.check_trial(drift, diffusion, float(t), x, float(dt))

    def to_dict(self) -> dict[str, Any]:
        """Return a description with functions by name, which `from_dict` cannot read back."""
        described: dict[str, Any] = {
            "name": type(self).__name__,
            "drift": _function_name(self.drift),
            "diffusion": _function_name(self.diffusion),
            "scheme": type(self.scheme).__name__,
            "names": list(self.names),
            "correlation": self.correlation,
            "noises": self.noises,
        }
        if self.parameters:
            described["parameters"] = dict(self.parameters)
        ends = {"lower": self.lower, "upper": self.upper}
        return described | {name: end.to_dict() for name, end in ends.items() if end is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raise: a description is data, and never imports the functions that it names."""
        raise ArgumentValueError(
            "Diffusion: its functions are code, which is never loaded from a description."
            " Build the same Diffusion again and pass it as `process`."
        )

    def _functions(self) -> dict[str, Callable[..., Any]]:
        return {"drift": self.drift, "diffusion": self.diffusion, **self.scheme.functions()}

    def _check_boundaries(self) -> None:
        given = {"lower": self.lower, "upper": self.upper}
        known = {name: value for name, value in given.items() if value is not None}
        for name, value in known.items():
            if not isinstance(value, Boundary):
                raise type_error(name, "mz.Absorbing(level) or mz.Reflecting(level)", value)
            if len(self.names) > 1 or self.noises != 1:
                expected = "None, unless the equation has one variable and one noise"
                raise value_error(name, expected, value)
        levels = [value.level for value in known.values() if value is not None]
        if len(levels) == 2 and not levels[0] < levels[1]:
            raise value_error("upper", f"a level > {levels[0]:g}, that of lower", levels[1])

    def check_x0(self, x0: Any, dtype: str) -> Rows:
        """Return initial states, which lie between the boundaries; see `Process.check_x0`."""
        # Zero-argument super() fails in a dataclass with slots=True, which creates a new class.
        out = Process.check_x0(self, x0, dtype)
        for boundary, side in ((self.lower, 1), (self.upper, -1)):
            if boundary is not None and (side * (out - boundary.level) < 0).any():
                ends = ">=" if side > 0 else "<="
                raise value_error("x0", f"states {ends} {boundary.level:g}, the boundary", x0)
        return out

    def _check_name(self, name: str) -> None:
        """Raise unless one of the functions has an argument of this name."""
        asked = [asked_of(function) for function in self._functions().values()]
        known = {each for one in asked for each in one.names}
        if name not in known and not any(one.takes_any for one in asked):
            raise unknown_parameter(type(self).__name__, name, known)

    def _check_parameters(self, values: Any) -> tuple[tuple[str, float], ...]:
        """Return the values of arguments as pairs in the order of their names."""
        expected = "a mapping of the names of arguments to numbers"
        if not isinstance(values, (Mapping, tuple)):
            raise type_error("parameters", expected, values)
        try:
            pairs = dict(values)
        except (TypeError, ValueError) as error:
            raise type_error("parameters", expected, values) from error
        for name in pairs:
            if not isinstance(name, str):
                raise type_error("parameters", expected, values)
            self._check_name(name)
        return tuple((name, check_real(name, pairs[name])) for name in sorted(pairs))

    def _with_arguments(self, n: int) -> tuple[Coefficient, Coefficient, Scheme]:
        """Return drift, diffusion and scheme with the arguments that they ask for."""
        values = dict(self.parameters)
        check_complete(self._functions(), values)
        check_lengths(self.arrays_per_path(), n)
        if not values:
            return self.drift, self.diffusion, self.scheme
        return (
            bind_arguments(self.drift, values),
            bind_arguments(self.diffusion, values),
            self.scheme.with_arguments(values),
        )


def _filled(loop: Any, draws: Draws, grid: TimeGrid, arguments: Any, x0: Rows) -> Rows:
    """Return the paths of a compiled loop."""
    from montezarr.processes._kernels import diffusion as kernel

    rows = draws.empty_rows(grid.T + 1)
    rows[0] = np.broadcast_to(x0, (draws.n,))
    kernel.fill_paths(loop, draws, grid, arguments, rows[0].astype(np.float64), rows)
    return rows


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
