"""Base class of schemes: one step of an approximation to an Itô equation."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import check_callable, plain_array, type_error
from montezarr.core.errors import ArgumentValueError
from montezarr.core.value import Value
from montezarr.schemes._arguments import BoundCoefficient, bind_arguments, is_compiled

Rows = NDArray[Any]
Coefficient = Callable[[float, Rows], Any]
"""A drift or diffusion f(t, x), for x of shape (n,) or (variables, n)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(Value, ABC):
    """Base of the schemes: frozen values whose `step` is a pure function.

    Examples
    --------
    >>> import montezarr as mz
    >>> scheme = mz.Milstein()
    >>> isinstance(scheme, mz.Scheme), scheme.strong_order, scheme.weak_order
    (True, 1.0, 1.0)
    """

    strong_order: ClassVar[float]
    """Order of E|X_T - Y_T| in the step length, under the usual smoothness conditions."""

    weak_order: ClassVar[float]
    """Order of abs(E f(X_T) - E f(Y_T)) in the step length."""

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

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the functions among its fields, by name; they get arguments as coefficients do."""
        return {}

    def with_arguments(self, values: Mapping[str, Any]) -> Self:
        """Return the scheme whose functions get those of `values` that they ask for by name."""
        bound = {name: bind_arguments(f, values) for name, f in self.functions().items()}
        return replace(self, **bound) if bound else self

    def check_trial(
        self, drift: Coefficient, diffusion: Coefficient, t: float, x: Rows, dt: float
    ) -> None:
        """Raise if the scheme does not support these coefficients, judged at time `t` and `x`.

        `simulate` calls this at some times of the first paths. Arguments are those of `step`.

        Raises
        ------
        ArgumentValueError
            Names the scheme to use instead.
        """
        return


def evaluate_coefficient(name: str, coefficient: Coefficient, t: float, x: Rows) -> Rows:
    """Return a coefficient at (t, x), checked to fit the shape of `x`."""
    value = plain_array(name, _call(name, coefficient, t, x))
    if value.dtype.kind not in "iuf":
        raise ArgumentValueError(f"{name}: expected numbers from f(t, x), got dtype {value.dtype}.")
    variables, whole = (x.shape[0] if x.ndim == 2 else 1), x.shape
    shape: tuple[int, ...] = value.shape
    if name == "diffusion" and value.ndim == 3:
        shape, whole = (value.shape[0], value.shape[2]), (variables, x.shape[-1])
    # One number, or as many axes as x: one axis alone could mean variables or paths.
    fits = not shape or len(shape) == len(whole)
    fits = fits and all(got in (1, want) for got, want in zip(shape, whole, strict=False))
    if not fits:
        matrix = f" or ({variables}, noises, {x.shape[-1]})" * (name == "diffusion")
        raise ArgumentValueError(
            f"{name}: expected shape {x.shape}{matrix} from f(t, x), got {value.shape}."
            " It must work on arrays of paths along the last axis."
        )
    return value


def _call(name: str, coefficient: Coefficient, t: float, x: Rows) -> Any:
    """Call a user's coefficient with a read-only view of the states."""
    shown = x.view()
    shown.flags.writeable = False
    try:
        return coefficient(t, shown)
    except TypeError:
        own = coefficient.function if isinstance(coefficient, BoundCoefficient) else coefficient
        if not is_compiled(own):
            raise
        return coefficient(t, x.copy())  # compiled for writable arrays alone
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        what = "x and its arguments as they are, got one that writes into them"
        if not isinstance(coefficient, BoundCoefficient):
            what = "x as it is, got one that writes into it"
        raise ArgumentValueError(
            f"{name}: expected a function that leaves {what}: {error}. Let it work on a copy."
        ) from error


def check_coefficient(name: str, function: Any) -> Coefficient:
    """Return `function` if it is a function f(t, x), as far as its parameter names show.

    Arguments are positional: a function f(x, t) would take the time for the states.

    Raises
    ------
    ArgumentTypeError
        If it cannot be called, or its second parameter is a time and its first one is not.
    """
    coefficient: Coefficient = check_callable(name, function, "f(t, x)")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C, and without a signature
        return coefficient
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    if len(names) > 1 and names[1].lower() in TIMES and names[0].lower() not in TIMES:
        got = ", ".join(names[:2])
        raise type_error(name, f"a function of (t, x) in this order, got one of ({got})", function)
    return coefficient


TIMES = ("t", "time", "times", "tau")
"""Names of parameters that are a time."""


def apply_noise(g: Rows, dw: Rows, x: Rows) -> Rows:
    """Return diffusion times increments, for diagonal noise or a matrix (variables, noises, n).

    Raises
    ------
    ArgumentValueError
        If the number of increments is not that of the matrix's columns, or of the variables.
    """
    if g.ndim != 3:
        if dw.shape != x.shape:
            raise ArgumentValueError(
                f"diffusion: expected a matrix (variables, noises, n) for increments {dw.shape} of"
                f" states {x.shape}, got shape {g.shape}."
            )
        return g * dw
    columns = np.atleast_2d(dw)
    if g.shape[1] != len(columns):
        raise ArgumentValueError(
            f"diffusion: expected one column per noise ({len(columns)}), got shape {g.shape}."
        )
    total = weighted_sum(g.swapaxes(0, 1), columns)
    return np.broadcast_to(total, np.atleast_2d(x).shape).reshape(x.shape)


def weighted_sum(weights: Iterable[Any], rows: Iterable[Rows]) -> Rows:
    """Return the sum of weight times row, term by term in this order.

    A product by `einsum` or `@` adds in an order that depends on the number of columns, so the
    last bits of a path would depend on the paths that are computed along with it.
    """
    total: Any = 0
    for weight, row in zip(weights, rows, strict=True):
        total = total + weight * row
    return np.asarray(total)
