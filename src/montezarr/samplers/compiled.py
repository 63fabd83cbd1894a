"""Samplers for functions compiled by Numba, one path at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from montezarr.core.compat.numba import releases_gil
from montezarr.samplers import functions
from montezarr.samplers.interfaces import is_compiled
from montezarr.samplers.path import PathSampler, _fragile


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSampler(PathSampler):
    """Sampler for a compiled function that returns one path; it may release the GIL."""

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface that a compiled function offers."""
        return functions.kind_of_one(target, options) if is_compiled(target) else None

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return a compiled function."""
        walk = _compiled(_walk)
        return (walk, {"T": 5, "dt": 0.25}), (walk, {"T": 5, "dt": 1.0, "x0": 1.0})

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return a compiled function."""
        return _compiled(_fragile), {"T": 5}

    @property
    def releases_gil(self) -> bool:
        """Whether the function was compiled with ``nogil``, so that threads run it in parallel."""
        return releases_gil(self.target)


@cache
def _compiled(function: Any) -> Any:
    from numba import njit  # imported here to keep the import of montezarr quick

    return njit(function)


def _walk(rng: Any, T: int, dt: float, x0: float = 0.0) -> Any:
    x = np.full(T + 1, x0)
    for k in range(T):
        x[k + 1] = x[k] + np.sqrt(dt) * rng.standard_normal()
    return x
