"""Python samplers, in a module that a worker process imports in no time."""

from __future__ import annotations

from typing import Any

import numpy as np

MU, SIGMA, X0, STRIKE, STEPS = 0.05, 0.2, 100.0, 105.0, 252
DT = 1 / STEPS


class PythonGBM:
    """A path written as most people write their first one: a loop over the steps."""

    def sample_path(self, T, x0, rng):
        z = rng.standard_normal(T)
        x = np.empty(T + 1)
        x[0] = x0
        a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
        for k in range(T):
            x[k + 1] = x[k] * np.exp(a + b * z[k])
        return x


def one_path(seed):
    """The same path for an executor that hands out integer seeds."""
    return PythonGBM().sample_path(STEPS, X0, np.random.default_rng(seed))


class VectorPath:
    """A path of a few NumPy calls: cheap, so that overhead shows."""

    def sample_path(self, T, x0, rng):
        steps = (MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * rng.standard_normal(T)
        return x0 * np.exp(np.concatenate([[0.0], np.cumsum(steps)]))


def one_vector_path(seed):
    """The same for integer seeds."""
    return VectorPath().sample_path(STEPS, X0, np.random.default_rng(seed))


class BatchGBM:
    """Many paths at once, as vectorised NumPy is written."""

    def sample_paths(self, n, T, x0, rng):
        steps = (MU - SIGMA**2 / 2) * DT + SIGMA * np.sqrt(DT) * rng.standard_normal((n, T))
        return x0 * np.exp(np.concatenate([np.zeros((n, 1)), np.cumsum(steps, axis=1)], axis=1))


def compiled_path() -> Any:
    """Return a path in a loop that Numba compiles."""
    import numba

    return numba.njit(_loop)


def _loop(T, x0, rng):
    a, b = (MU - SIGMA**2 / 2) * DT, SIGMA * np.sqrt(DT)
    x = np.empty(T + 1)
    x[0] = x0
    for k in range(T):
        x[k + 1] = x[k] * np.exp(a + b * rng.standard_normal())
    return x
