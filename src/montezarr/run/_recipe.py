"""The recipe of a run: everything that determines its values, as JSON, and its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.core.parameters import digest_of_whole
from montezarr.processes import Process
from montezarr.processes._built_in import runs_user_code
from montezarr.random.draws import FORMAT
from montezarr.run.digests import digest_of
from montezarr.samplers import Sampler, recorded_interface

FORMATS = (1, FORMAT)
"""Formats of recipes; a change of any draw, or of a process's use of the draws, makes a new one.

A recipe records the oldest format that gives its paths: format 2 keeps float32 states made of
counter-based draws in float64; all other recipes are of format 1.
"""

RECIPE_KEYS = {"format", "sampler", "process", "grid", "x0", "seed", "variables"}
"""Keys that every recipe has."""


def recipe_of(sampler: Sampler, x0_digest: str | None) -> dict[str, Any]:
    """Return the recipe of a run; it has no number of paths, which determines no value.

    Parameters
    ----------
    sampler : Sampler
        The bound sampler.
    x0_digest : str or None
        Digest of the initial states if they differ from path to path.
    """
    process = sampler.target
    built_in = isinstance(process, Process) and not runs_user_code(process)
    x0 = {"digest": x0_digest} if x0_digest is not None else _plain(sampler.x0)
    out: dict[str, Any] = {
        "format": sampler.format,
        "sampler": sampler.kind,
        "process": process.to_dict() if isinstance(process, Process) else {"name": sampler.name},
        "grid": sampler.grid.to_dict(),
        "x0": x0,
        "seed": sampler.seed.to_dict(),
        "variables": [variable.to_dict() for variable in sampler.variables],
    }
    own = {dim for variable in sampler.variables for dim in variable.dims[variable.lead :]}
    coords = {dim: list(labels) for dim, labels in sampler.coords.items() if dim in own}
    if coords:
        out["coords"] = coords
    if sampler.asks is not None:
        out["asks"] = list(sampler.asks)
    if not built_in:
        out["code"] = digest_of(process)
    if sampler.keep is not None:
        out["keep"] = list(sampler.keep)
    if sampler.options:
        out["options"] = digest_of(dict(sampler.options), "options")
    return out


def formats_of(recipe: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the formats that a recipe of this kind may have."""
    try:
        entries = [*recipe.get("vary", ()), *recipe.get("design", {}).get("parameters", ())]
        varied = {name for entry in entries for name in entry["names"]}
        # Parameters by path are float64 variables in runs of any dtype.
        states = [
            v for v in recipe["variables"] if v["name"] not in varied and not v.get("derived")
        ]
        dtypes = {str(variable["dtype"]) for variable in states}
    except (TypeError, LookupError, AttributeError):  # not a recipe of montezarr
        dtypes = set()
    reals = {dtype for dtype in dtypes if dtype.startswith("float")}
    is_counted = recorded_interface(recipe).takes_ranges
    return FORMATS if is_counted and reals == {"float32"} else (1,)


def format_note(recipe: Mapping[str, Any]) -> str:
    """Return a note for users about an old format; empty for the newest one of its kind."""
    if recipe.get("format") == formats_of(recipe)[-1]:
        return ""
    return "; format 1, of an earlier version: float32 states in float32, drawn by NumPy: slow"


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """Return 128 bits of SHA-256 over a recipe's canonical JSON, with its large parameters."""
    return digest_of_whole(recipe)[:32]


def _plain(x0: Any) -> Any:
    """Return a plain initial state as JSON, any other as its digest."""
    if isinstance(x0, (np.generic, np.ndarray)):
        x0 = x0.tolist()
    if isinstance(x0, Mapping):
        return {str(key): _plain(item) for key, item in x0.items()}
    if isinstance(x0, (list, tuple)):
        return [_plain(item) for item in x0]
    if x0 is None or isinstance(x0, (bool, int, float, str)):
        return x0
    return {"digest": digest_of(x0, "x0")}
