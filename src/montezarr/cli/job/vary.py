"""The section [vary] of a job: parameters by scenario, as lists, and by path, as distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from montezarr.cli.job.config import Config, fraction
from montezarr.core.checks import did_you_mean, show
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random.distributions._built_in import distribution_from_dict

NOISE = "noise"
"""The key of [vary] that is no parameter."""

LIST_KEYS = ("values", "dim")


def vary_of(config: Config) -> dict[str, Any]:
    """Return the arguments `vary` and `noise` of `simulate`; none without the section.

    Raises
    ------
    ConfigError
        For a value that is neither a list of numbers nor a distribution.
    """
    table = dict(config.sections.get("vary", {}))
    noise = table.pop(NOISE, "common")
    if noise not in ("common", "independent"):
        expected = f'expected "common" or "independent", got {show(noise)}.'
        raise config.error("vary", NOISE, expected)
    if not table:
        if "vary" in config.sections:
            raise config.error("vary", None, "expected a parameter, such as sigma = [0.1, 0.2].")
        return {}
    vary = {key: _values(config, key, value) for key, value in table.items()}
    return {"vary": vary, "noise": noise}


def base_values(config: Config, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value of each parameter of a process that varies and is not given: the first one.

    A process needs all its parameters, and none of its paths has these values.
    """
    names = {field.name for field in dataclasses.fields(kind)} if _is_process(kind) else set()
    vary = vary_of(config).get("vary", {})
    return {
        name: value.values.ravel()[0].item()
        for name, value in vary.items()
        if name in names and name not in given and isinstance(value, xr.DataArray)
    }


def _is_process(kind: type) -> bool:
    return dataclasses.is_dataclass(kind)


def _values(config: Config, key: str, value: Any) -> Any:
    """Return an entry of the section as `simulate` takes it."""
    if isinstance(value, list):
        return xr.DataArray(_numbers(config, key, value), dims=key)
    if not isinstance(value, dict):
        raise config.error(
            "vary", key,
            f"expected a list, {{ values = [...], dim = \"...\" }} or {{ distribution = \"...\" }},"
            f" got {show(value)}.",
        )  # fmt: skip
    if "distribution" in value:
        return _distribution(config, key, dict(value))
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


def _distribution(config: Config, key: str, table: dict[str, Any]) -> Any:
    name = table.pop("distribution")
    if not isinstance(name, str) or name == "scipy":
        raise config.error(
            "vary", key, f"distribution: expected the name of a built-in one, got {show(name)}."
        )
    try:
        return distribution_from_dict({"name": name, **table})
    except (ArgumentTypeError, ArgumentValueError, KeyError, TypeError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise config.error("vary", key, f"distribution: {problem}") from error
