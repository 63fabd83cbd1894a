"""The result of fitting a process to data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr._checks import check_array, value_error
from montezarr._html import Card, Formula, count
from montezarr.processes._base import Process
from montezarr.processes._describe import equation_rows, symbol

SHOWN = 3
"""Rows of a matrix that are shown number by number in a notebook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted process with the standard errors of its parameters.

    Attributes
    ----------
    process : Process
        The process at the estimates.
    standard_errors : dict
        Asymptotic standard error of each parameter, under the parameter's name.
    n : int
        Number of transitions that the fit used.

    Examples
    --------
    >>> import montezarr as mz
    >>> fit = mz.MarkovChain.fit(["calm", "calm", "storm", "calm", "storm", "storm", "calm"])
    >>> fit.n
    6
    >>> print(fit)
    MarkovChain, 6 transitions
      transition
        0.3333 ± 0.27       0.6667 ± 0.27
        0.6667 ± 0.27       0.3333 ± 0.27
    """

    process: Process
    standard_errors: dict[str, Any]
    n: int

    def __str__(self) -> str:
        lines = [f"{type(self.process).__name__}, {self.n} transitions"]
        for name, error in self.standard_errors.items():
            value = getattr(self.process, name)
            if isinstance(error, float):
                lines.append(f"  {name:<6} {value:.6g} ± {error:.2g}")
            else:
                lines.append(f"  {name}")
                lines += [_matrix_row(*pair) for pair in zip(value, error, strict=True)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        kind = type(self.process)
        rows = [*equation_rows(kind.equation), ("data", count(self.n, "transition"))]
        table = [("parameter", "estimate", "standard error")]
        for name, error in self.standard_errors.items():
            value = getattr(self.process, name)
            if isinstance(error, float):
                table.append((Formula(symbol(name)), f"{value:.6g}", f"{error:.2g}"))
            elif len(value) > SHOWN:
                table.append((name, f"{len(value):,} × {len(value):,} numbers", ""))
            else:
                table += [
                    (f"{name}[{i}, {j}]", f"{one:.4g}", f"{its:.2g}")
                    for i, pair in enumerate(zip(value, error, strict=True))
                    for j, (one, its) in enumerate(zip(*pair, strict=True))
                ]
        return Card(f"Fit of {kind.__name__}", rows, table).html()


def _matrix_row(values: Any, errors: Any) -> str:
    cells = [f"{value:.4g} ± {error:.2g}" for value, error in zip(values, errors, strict=True)]
    return "    " + "  ".join(f"{cell:<18}" for cell in cells).rstrip()


def check_series(
    name: str, values: Any, *, minimum: int, positive: bool = False
) -> NDArray[np.float64]:
    """Return a time series as a one-dimensional array of at least `minimum` finite numbers."""
    series = check_array(name, values, ndim=1)
    if len(series) < minimum:
        raise value_error(name, f"at least {minimum} values", values)
    if positive and not (series > 0).all():
        worst = float(series.min())
        raise value_error(name, "positive numbers only", worst)
    return series
