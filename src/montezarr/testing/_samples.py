"""Samples of many distributions, for the conformance suite of statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from montezarr.random.seeding import BLOCK

Array = NDArray[np.float64]

SAMPLE_PATHS_MAX = 7_000
"""Most paths of a sample: almost seven blocks, whose merge tree ends in three nodes."""

SAMPLE_CELLS = 6
"""Cells of every sample: half the number of distributions."""


def _extreme(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return values from the smallest floats to large ones."""
    values: Array = np.power(10.0, rng.uniform(-300.0, 30.0, shape))
    values[rng.random(shape) < 0.05] = 5e-324
    values[rng.random(shape) < 0.5] *= -1.0
    return values


def _payoff(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return values of one sign, many of them zeros of both signs."""
    values: Array = np.maximum(rng.normal(size=shape), 0.0) * rng.choice([-1.0, 1.0])
    values[(values == 0.0) & (rng.random(shape) < 0.5)] *= -1.0
    return values


KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "poisson": lambda rng, shape: rng.poisson(3.0, shape).astype(np.float64),
    "lognormal": lambda rng, shape: rng.lognormal(sigma=5.0, size=shape),
    "payoff": _payoff,
    "pareto": lambda rng, shape: rng.pareto(1.5, shape),
    "rounded": lambda rng, shape: np.round(rng.normal(size=shape), 1),  # with zeros of both signs
    "three": lambda rng, shape: np.full(shape, 3.0),
    "zero": lambda rng, shape: np.full(shape, -0.0),
    "tenth": lambda rng, shape: np.full(shape, 0.1),
    "extreme": _extreme,
    "empty": lambda rng, shape: np.full(shape, np.nan),
    "huge": lambda rng, shape: 1e300 * rng.normal(size=shape),
}
"""Distributions by name."""

USUAL = tuple(kind for kind in KINDS if kind != "huge")
"""Distributions whose squares are finite."""

INEXACT = ("tenth", "extreme", "huge")
"""Distributions that do not test a formula: only rounding is left, or it overflows."""


class Case(NamedTuple):
    """The parameters of a sample.

    Attributes
    ----------
    mix : int
        Distributions: 0 and 1 for every other one, 2 for a single one chosen by the seed.
    n : int
        Number of paths.
    seed : int
        Seed of the values.
    holes : float
        Largest share of missing values.
    """

    mix: int
    n: int
    seed: int
    holes: float


def values_of(case: Case, kinds: Sequence[str], axis: tuple[int, ...] = ()) -> Array:
    """Return the values of a case, ([axis,] cells, paths); one cell has whole blocks missing."""
    alone = [kinds[case.seed % len(kinds)]]
    chosen = alone if case.mix == 2 else kinds[case.mix :: 2] or kinds
    rng = np.random.default_rng(case[:3])
    shape = *axis, case.n
    cells = [KINDS[kind](rng, shape) for kind in islice(cycle(chosen), SAMPLE_CELLS)]
    values = np.stack(cells, axis=-2)
    if case.holes:
        values[rng.random(values.shape) < case.holes * rng.random((SAMPLE_CELLS, 1))] = np.nan
        first, stop = np.sort(rng.integers(0, SAMPLE_PATHS_MAX, 2))
        values[..., 1, first:stop] = np.nan
    return values


def cases(least: int = 0) -> st.SearchStrategy[Case]:
    """Return a strategy for cases with at least `least` paths."""
    edges = (0, 1, BLOCK, BLOCK + 1, 3 * BLOCK, SAMPLE_PATHS_MAX)
    return st.builds(
        Case,
        mix=st.integers(0, 2),
        n=st.one_of(
            st.integers(least, SAMPLE_PATHS_MAX), st.sampled_from([n for n in edges if n >= least])
        ),
        seed=st.integers(0, 99),
        holes=st.sampled_from((0.0, 0.02, 0.5)),
    )
