"""Text about a process for people: its equation, and its parameters with their symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from montezarr.core.checks import show
from montezarr.core.parameters import reference_text
from montezarr.core.text import Formula

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "lambda_": "λ", "lam": "λ", "mu": "μ",
    "nu": "ν", "xi": "ξ", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω",
}  # fmt: skip
"""Symbols of parameters named after a Greek letter."""

ENTRIES = 16
"""Numbers of a parameter that are shown one by one, at most."""


def symbol(name: str) -> str:
    """Return the letter that a parameter is named after, or its name."""
    return GREEK.get(name, name)


def equation_rows(equation: Any) -> Iterator[tuple[str, Formula]]:
    """Yield the lines of an equation as entries of a card; none for an empty equation."""
    if isinstance(equation, str):
        for i, line in enumerate(equation.splitlines()):
            yield "" if i else "equation", Formula(line)


def parameter_rows(described: Any) -> Iterator[tuple[str, str]]:
    """Yield the parameters of ``to_dict()`` as entries of a card, consecutive numbers in one.

    Accepts any value, since a description may come from an untrusted store.
    """
    given = _parameters(described)
    label = "parameters"
    for is_number, names in groupby(given, key=lambda name: _is_number(given[name])):
        entries = [f"{symbol(name)} = {_value(given[name])}" for name in names]
        for entry in [Formula(", ".join(entries))] if is_number else entries:
            yield label, entry
            label = ""


def arguments_text(described: Any) -> str:
    """Return the parameters of ``to_dict()`` as the arguments of a call: ``mu=0, sigma=1``."""
    return ", ".join(
        f"{name}={show(value) if isinstance(value, str) else _value(value)}"
        for name, value in _parameters(described).items()
    )


def _parameters(described: Any) -> dict[str, Any]:
    """Return the parameters that are not None, by name; none if `described` is no mapping."""
    if not isinstance(described, Mapping):
        return {}
    return {
        str(name): value.item() if isinstance(value, np.generic) else value
        for name, value in described.items()
        if name != "name" and value is not None and not str(name).startswith("_")
    }


def one_line(equation: Any, described: Any) -> str:
    """Return equation and parameters as one line, such as ``dX = μ dt + σ dW, μ = 0, σ = 1``."""
    parts = [line for _, line in equation_rows(equation)]
    return ", ".join([*parts, *(entry for _, entry in parameter_rows(described))])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(value: Any, depth: int = 0) -> str:
    """Return a parameter in a few characters."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and depth < 2:
        shape = _shape(value)
        if shape is not None and shape[0] * shape[1] > ENTRIES:
            return f"{shape[0]:,} × {shape[1]:,} numbers"
        if len(value) > ENTRIES:
            return f"{len(value):,} values"
        return f"[{', '.join(_value(item, depth + 1) for item in value)}]"
    if isinstance(value, np.ndarray) and value.size > ENTRIES:
        return f"{' × '.join(f'{n:,}' for n in value.shape)} numbers"
    beside = reference_text(value)
    return show(value, 60) if beside is None else beside


def _shape(value: Sequence[Any]) -> tuple[int, int] | None:
    """Return the shape of rows of equal length; None for other values."""
    if not value or not all(isinstance(row, (list, tuple)) for row in value):
        return None
    lengths = {len(row) for row in value}
    return (len(value), lengths.pop()) if len(lengths) == 1 else None
