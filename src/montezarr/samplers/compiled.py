"""Functions that Numba compiled, one path at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from montezarr.core.compat.numba import releases_gil
from montezarr.samplers import functions
from montezarr.samplers.interfaces import is_compiled
from montezarr.samplers.path import PathSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSampler(PathSampler):
    """A compiled function that returns one path: as any function, but for threads."""

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return its interface that a compiled function offers."""
        return functions.kind_of_one(target, options) if is_compiled(target) else None

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return a compiled function."""
        from numba import njit  # not for the import of montezarr

        return ((njit(_walk), {"T": 5, "dt": 0.25}),)

    @property
    def releases_gil(self) -> bool:
        """Whether it was compiled so that threads run it at the same time."""
        return releases_gil(self.target)


def _walk(rng: Any, T: int, dt: float) -> Any:
    x = np.zeros(T + 1)
    for k in range(T):
        x[k + 1] = x[k] + np.sqrt(dt) * rng.standard_normal()
    return x
