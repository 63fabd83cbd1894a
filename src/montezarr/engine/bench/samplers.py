"""The samplers of the benchmark, in a module that a worker imports quickly."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

RARE, HEAVY = 0.01, 100
"""One path in a hundred costs a hundred times as much."""


class PythonLoop:
    """A sampler with a Python loop: `work` rounds of arithmetic for each step."""

    def __init__(self, work: int):
        self.work = work

    def sample_path(self, T: int, x0: Any, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a random walk, each step of which takes `work` rounds."""
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
    """A `PythonLoop` of which one path in a hundred costs a hundred times as much."""

    def sample_path(self, T: int, x0: Any, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a path; its stream decides whether it is cheap or expensive."""
        return self._path(T, rng, self.work * (HEAVY if rng.random() < RARE else 1))


def empty_task(item: Any) -> None:
    """Do nothing: its time is the overhead of a task."""


def nap() -> None:
    """Sleep long enough for every worker to get one of these tasks."""
    time.sleep(0.02)


def resident(item: Any) -> tuple[int, int]:
    """Return the id of this process and its bytes of resident memory."""
    import psutil

    return os.getpid(), int(psutil.Process().memory_info().rss)
