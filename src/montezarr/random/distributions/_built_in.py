"""Distributions by name, of recipes, and of what a caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.lazy import public_subclasses
from montezarr.random import distributions
from montezarr.random.distributions._base import Distribution


@cache
def built_in_distributions() -> dict[str, type[Distribution]]:
    """Return every built-in distribution by name; configuration files and stores may name these."""
    return public_subclasses(distributions.__name__, Distribution)


def distribution_from_dict(data: Mapping[str, Any]) -> Distribution:
    """Return the distribution that `to_dict` described.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the name is not that of a built-in distribution or "scipy", or a parameter is invalid.
    ReplayError
        If SciPy has other quantiles now than those that were recorded.
    MissingDependencyError
        If SciPy is needed and not installed.
    """
    name = data.get("name")
    known = built_in_distributions()
    if name == "scipy":
        from montezarr.random.distributions._scipy_stats import ScipyDistribution

        return ScipyDistribution.from_dict(data)
    if not isinstance(name, str) or name not in known:
        raise value_error("name", f"one of {', '.join([*known, 'scipy'])}", name)
    return known[name].from_dict(data)


def as_distribution(value: Any) -> Distribution | None:
    """Return what a caller gives as a distribution, None if it is none.

    Raises
    ------
    ArgumentTypeError
        For a distribution of SciPy that is not frozen, or not on the list.
    """
    if isinstance(value, Distribution):
        return value
    if not any(_is_scipys(kind) for kind in type(value).__mro__):
        return None
    from montezarr.random.distributions._scipy_stats import ScipyDistribution

    return ScipyDistribution.of(value)


def _is_scipys(kind: type) -> bool:
    # SciPy itself is not imported to look: a distribution of it comes with it.
    return str(kind.__module__).startswith("scipy.stats") and (
        hasattr(kind, "ppf") or hasattr(kind, "icdf") or hasattr(kind, "rvs")
    )
