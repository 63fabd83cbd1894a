"""The samplers of the benchmark, in a module that a worker imports in no time."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

RARE, HEAVY = 0.01, 100
"""One path in a hundred costs a hundred times as much."""


class PythonLoop:
    """A path written as a loop: `work` rounds of arithmetic for each of its steps."""

    def __init__(self, work: int):
        self.work = work

    def sample_path(self, T: int, x0: Any, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a random walk of which each step is worked out the long way."""
        return self._path(T, rng, self.work)

    def _path(self, T: int, rng: np.random.Generator, work: int) -> NDArray[np.float64]:
        x = np.zeros(T + 1)
        level = 0.0
        for k, z in enumerate(rng.standard_normal(T).tolist()):
            for _ in range(work):
                level = 0.5 * level + z
            x[k + 1] = level
        return x


class Uneven(PythonLoop):
    """The same, of which one path in a hundred costs a hundred times as much."""

    def sample_path(self, T: int, x0: Any, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a path, cheap or dear by its own stream."""
        return self._path(T, rng, self.work * (HEAVY if rng.random() < RARE else 1))


def empty_task(item: Any) -> None:
    """Do nothing: what this takes is overhead."""


def nap() -> None:
    """Last long enough that every worker gets one of these."""
    time.sleep(0.02)


def resident(item: Any) -> tuple[int, int]:
    """Return the id of this process, and the bytes of memory that it has."""
    import psutil

    return os.getpid(), int(psutil.Process().memory_info().rss)
