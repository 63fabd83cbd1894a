"""Distributions and designs of a job: the names and parameters that they have in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from montezarr.cli.job.config import Config
from montezarr.core.checks import did_you_mean, show
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, MissingDependencyError
from montezarr.random.designs._base import Design
from montezarr.random.designs._built_in import DESIGNS
from montezarr.random.distributions._base import Distribution
from montezarr.random.distributions._built_in import built_in_distributions

DISTRIBUTION, DESIGN = "distribution", "design"

SCIPY = "scipy.stats."
"""What the name of a distribution of SciPy begins with."""

Errors = (ArgumentTypeError, ArgumentValueError, MissingDependencyError)


def names_of(config: Config, key: str) -> tuple[str, ...]:
    """Return the parameters that a key of [vary] names: several, with commas, of a joint one."""
    names = tuple(name.strip() for name in key.split(","))
    if not all(names):
        raise config.error(
            "vary", key, f'expected names of parameters, such as "mu, sigma", got {show(key)}.'
        )
    return names


def distribution_of(config: Config, key: str, table: Mapping[str, Any]) -> Distribution:
    """Return the distribution of an entry such as ``{ distribution = "Normal", mean = 0 }``.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest, or other parameters than its own.
    """
    entries = dict(table)
    name = entries.pop(DISTRIBUTION)
    known = built_in_distributions()
    if not isinstance(name, str):
        raise _wrong(config, key, f"expected a name, got {show(name)}.")
    try:
        if name.startswith(SCIPY):
            from montezarr.random.distributions._scipy_stats import KNOWN, ScipyDistribution

            _check_name(config, key, name, [SCIPY + one for one in KNOWN])
            return ScipyDistribution(name.removeprefix(SCIPY), entries)
        _check_name(config, key, name, list(known), f'one of SciPy, such as "{SCIPY}triang"')
        made: Distribution = _made(config, key, known[name], entries, DISTRIBUTION)
    except Errors as error:
        raise _wrong(config, key, str(error)) from error
    return made


def design_of(config: Config, table: Any, parameters: Mapping[Any, Distribution]) -> Design:
    """Return the design of the key ``design``, for all parameters that have a distribution.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest, other entries than its own, or no distribution.
    """
    if isinstance(table, str):
        table = {"name": table}
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise config.error(
            "vary",
            DESIGN,
            f'expected {{ name = "saltelli" }} or another design, got {show(table)}.',
        )
    if not parameters:
        raise config.error("vary", DESIGN, "expected parameters with a distribution beside it.")
    entries = dict(table)
    name = entries.pop("name")
    _check_name(config, DESIGN, name, list(DESIGNS), part="name")
    given = {"parameters": dict(parameters), "n": None}
    make: Any = DESIGNS[name]
    try:
        design: Design = _made(config, DESIGN, make, entries, "name", given)
    except Errors as error:
        raise config.error("vary", DESIGN, str(error)) from error
    return design


def _check_name(
    config: Config, key: str, name: str, known: list[str], also: str = "", part: str = DISTRIBUTION
) -> None:
    if name not in known:
        listed = ", ".join(known) if len(known) < 20 else f"those of the list: {', '.join(known)}"
        hint = did_you_mean(name, known)
        expected = f"expected {listed}{f', or {also}' if also else ''}, got {show(name)}."
        raise config.error("vary", key, f"{part}: {expected} {hint}".rstrip())


def _made(
    config: Config, key: str, make: Callable[..., Any], entries: Mapping[str, Any], first: str,
    given: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Call a class or function with the entries of a table, which must be its parameters."""
    parameters = inspect.signature(make).parameters
    own = [name for name in parameters if name not in (given or {})]
    for name in entries:
        if name not in own:
            listed = ", ".join([first, *own])
            hint = did_you_mean(name, own, quoted=False)
            raise config.error("vary", key, f"unknown key {name}. Known: {listed}. {hint}".rstrip())
    for name in own:
        if name not in entries and parameters[name].default is inspect.Parameter.empty:
            raise config.error("vary", key, f"{name}: missing.")
    return make(**(given or {}), **entries)


def _wrong(config: Config, key: str, problem: str) -> Exception:
    return config.error("vary", key, f"{DISTRIBUTION}: {problem}")
