"""The section [vary] of a job: parameters by scenario, as lists, and by path, as distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr.cli.job.config import Config, fraction
from montezarr.cli.job.drawn import DESIGN, design_of, distribution_of, names_of
from montezarr.core.checks import did_you_mean, show
from montezarr.processes._per_path import unknown_parameter
from montezarr.random.distributions._base import Distribution

NOISE = "noise"
"""The key of [vary], beside that of a design, that is no parameter."""

X0 = "x0"
"""The initial state; of several variables it is a table of them."""

RUN_NAMES = ("x0", "dt")
"""What may vary beside the parameters of a process."""

LIST_KEYS = ("values", "dim")


def vary_of(config: Config) -> dict[str, Any]:
    """Return the arguments `vary` and `noise` of `simulate`; none without the section.

    Raises
    ------
    ConfigError
        For a value that is neither a list of numbers nor a distribution.
    """
    table = dict(config.sections.get("vary", {}))
    noise, design = table.pop(NOISE, "common"), table.pop(DESIGN, None)
    if noise not in ("common", "independent"):
        expected = f'expected "common" or "independent", got {show(noise)}.'
        raise config.error("vary", NOISE, expected)
    if not table and design is None:
        if "vary" in config.sections:
            raise config.error("vary", None, "expected a parameter, such as sigma = [0.1, 0.2].")
        return {}
    vary = {_key(config, key): _values(config, key, value) for key, value in table.items()}
    if design is not None:
        drawn = {key: value for key, value in vary.items() if isinstance(value, Distribution)}
        made = design_of(config, design, drawn)
        vary = {key: value for key, value in vary.items() if key not in drawn}
        vary[made.names] = made
    return {"vary": vary, "noise": noise}


def _key(config: Config, key: str) -> str | tuple[str, ...]:
    """Return a key as `simulate` takes it: a name, or a tuple of those of a joint distribution."""
    names = names_of(config, key)
    return names if len(names) > 1 else names[0]


def base_values(config: Config, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value of each parameter of a process that varies and is not given.

    A process needs all its parameters, and no path of a scenario has these values: the first one
    of a list, the mean of a joint normal distribution, the median of another.

    Raises
    ------
    ConfigError
        For the name of a parameter that the process does not have.
    """
    names = {field.name for field in dataclasses.fields(kind)} if _is_process(kind) else set()
    found: dict[str, Any] = {}
    for key, value in vary_of(config).get("vary", {}).items():
        found |= _typical(key, value)
    for name in found:  # here, since without a misspelt one the process may lack a parameter
        if names and name not in {*names, *RUN_NAMES}:
            problem = str(unknown_parameter(kind.__name__, name, names))
            raise config.error("vary", entry_of(config, name), problem)
    return {name: value for name, value in found.items() if name in names and name not in given}


def entry_of(config: Config, name: str) -> str:
    """Return the key of the section that gives a parameter, alone or with others."""
    keys = [key for key in config.sections["vary"] if key not in (NOISE, DESIGN)]
    return next(key for key in keys if name in names_of(config, key))


def _typical(key: Any, value: Any) -> dict[str, Any]:
    """Return a value of each parameter of an entry of ``vary=``."""
    if isinstance(value, xr.DataArray):
        return {key: value.values.ravel()[0].item()}
    if isinstance(value, Mapping):  # initial states by variable, which are no field
        return {}
    found: dict[str, Any] = {}
    for names, distribution in value.parts(key if isinstance(key, tuple) else (key,)):
        if distribution.names:
            found |= {name: mean for name, (mean, _) in distribution.moments().items()}
        else:
            found[names[0]] = distribution.quantile(0.5)
    return found


def _is_process(kind: type) -> bool:
    return dataclasses.is_dataclass(kind)


def _values(config: Config, key: str, value: Any) -> Any:
    """Return an entry of the section as `simulate` takes it."""
    if "," in key and not (isinstance(value, dict) and "distribution" in value):
        raise config.error(
            "vary", key, f"expected a joint distribution for several names, got {show(value)}."
        )
    if key == X0 and isinstance(value, dict) and not {"distribution", *LIST_KEYS} & value.keys():
        return {name: _initial_state(config, name, part) for name, part in value.items()}
    if isinstance(value, list):
        return xr.DataArray(_numbers(config, key, value), dims=key)
    if not isinstance(value, dict):
        raise config.error(
            "vary", key,
            f"expected a list, {{ values = [...], dim = \"...\" }} or {{ distribution = \"...\" }},"
            f" got {show(value)}.",
        )  # fmt: skip
    if "distribution" in value:
        return distribution_of(config, key, value)
    for name in value:
        if name not in LIST_KEYS:
            hint = did_you_mean(name, [*LIST_KEYS, "distribution"], quoted=False)
            known = "values and dim, or distribution and its parameters"
            raise config.error("vary", key, f"unknown key {name}. Known: {known}. {hint}".rstrip())
    if not isinstance(value.get("values"), list):
        raise config.error(
            "vary", key, f"values: expected a list, got {show(value.get('values'))}."
        )
    dim = value.get("dim", key)
    if not isinstance(dim, str) or not dim:
        raise config.error("vary", key, f"dim: expected a string, got {show(dim)}.")
    return xr.DataArray(_numbers(config, key, value["values"]), dims=dim)


def _initial_state(config: Config, name: str, value: Any) -> Any:
    """Return the initial state of one of several variables: a number, or a list by scenario."""
    if isinstance(value, (list, dict)):
        return _values(config, f"{X0}_{name}", value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise config.error("vary", X0, f"{name}: expected a number or a list, got {show(value)}.")
    return value


def _numbers(config: Config, key: str, values: list[Any]) -> Any:
    """Return the numbers of a list, those of dt also as fractions; or labels, all text."""
    if not values:
        raise config.error("vary", key, "expected one value or more, got an empty list.")
    if key == "dt":
        values = [
            fraction(config, "vary", key, item) if isinstance(item, str) else item
            for item in values
        ]
    is_text = all(isinstance(item, str) for item in values)
    for place, item in enumerate(values, start=1):
        if not is_text and (isinstance(item, bool) or not isinstance(item, (int, float))):
            raise config.error("vary", key, f"value {place}: expected a number, got {show(item)}.")
    return np.array(values)
