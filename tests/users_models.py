"""Models as users write them: they hold and subclass montezarr's classes, and close over them.

Stores and digests under tests/data/digests cover this code as it stands here, so it never changes.
"""

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

import montezarr as mz
from montezarr.statistics import Mean


def pull(t, x):
    return 2.0 * (1.0 - x)


def spread(t, x):
    return 0.3 * np.sqrt(np.abs(x))


CIR = mz.Diffusion(drift=pull, diffusion=spread, scheme=mz.Milstein())
PAIR = mz.Diffusion(
    drift=pull, diffusion=spread, names=("x", "y"), correlation=((1.0, 0.5), (0.5, 1.0))
)
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
GRID = mz.TimeGrid.of(T=3, dt=0.5)
MODELS = {"cir": CIR, "gbm": GBM, "grid": mz.TimeGrid.of(times=[0.0, 1.0, 5.0])}
PARTS = (mz.EulerMaruyama(), mz.Milstein(), mz.Mean(), GRID)


@dataclass(frozen=True)
class HoldsDiffusion:
    model: mz.Diffusion = CIR
    grid: mz.TimeGrid = GRID
    scheme: object = mz.Milstein

    def sample_path(self, T, x0, rng):
        return 1.0 + rng.standard_normal(T + 1) * self.model.drift(0.0, 0.5)


class HoldsInADict:
    kinds = (mz.EulerMaruyama, mz.Diffusion)

    def __init__(self, scale):
        self.scale = scale
        self.parts = {"grid": GRID, "chain": mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]])}
        self.storage = mz.Storage(compression="zstd")

    def sample_path(self, T, x0, rng):
        return self.scale * rng.standard_normal(T + 1)


class Slotted:
    __slots__ = ("grid", "statistic")

    def __init__(self):
        self.grid, self.statistic = GRID, mz.Quantile(0.5)

    def sample_path(self, T, x0, rng):
        return rng.standard_normal(T + 1)


class Parts(NamedTuple):
    scheme: object
    grid: object


class OwnBrownian(mz.BrownianMotion):
    """A subclass that is no dataclass of its own."""

    def sample(self, draws, grid, x0):
        return 2.0 * super().sample(draws, grid, x0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jumping(mz.GeometricBrownianMotion):
    """A dataclass with fields of its own."""

    height: float = 1.5

    def sample(self, draws, grid, x0):
        return self.height * mz.GeometricBrownianMotion.sample(self, draws, grid, x0)


@dataclass(frozen=True)
class Restated(mz.OrnsteinUhlenbeck):
    """A dataclass that states a field of its parent anew."""

    sigma: float = 0.25


class OwnDiffusion(mz.Diffusion):
    """Like a `Diffusion`, by another name."""


@dataclass(frozen=True, kw_only=True)
class OwnProcess(mz.Process):
    rate: float
    inner: mz.Process = GBM

    def sample(self, draws, grid, x0):
        return self.rate * self.inner.sample(draws, grid, 1.0 + x0)

    def to_dict(self):
        return {"name": "OwnProcess", "rate": self.rate, "inner": self.inner.to_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamed(mz.Scheme):
    """A scheme of the user's own."""

    limit: float = 1.0
    strong_order = 0.5
    weak_order = 1.0

    def step(self, drift, diffusion, t, x, dt, dw):
        a = drift(t, x)
        return x + a * dt / (self.limit + np.abs(a) * dt) + diffusion(t, x) * dw


@dataclass(frozen=True, slots=True, kw_only=True)
class CarefulMilstein(mz.Milstein):
    limit: float = 10.0

    def step(self, drift, diffusion, t, x, dt, dw):
        return np.minimum(mz.Milstein.step(self, drift, diffusion, t, x, dt, dw), self.limit)


class LongGrid(mz.TimeGrid):
    """A subclass of the grid."""

    @property
    def horizon(self):
        return float(self.times[-1])


@dataclass(frozen=True, slots=True)
class NamedGrid(mz.TimeGrid):
    label: str = "days"


@dataclass(frozen=True)
class OwnMean(mz.Statistic):
    State = Mean.State
    grid: mz.TimeGrid = field(default_factory=lambda: GRID)

    def chunk(self, sample):
        return mz.Mean().chunk(sample)

    def merge(self, a, b):
        return mz.Mean().merge(a, b)

    def finalize(self, state, source):
        return mz.Mean().finalize(state, source)

    def reference(self, values, source):
        return mz.Mean().reference(values, source)


def uses_a_table(rng, T):
    return MODELS["gbm"].mu + rng.standard_normal(T + 1) * len(PARTS)


def closes_over(model, scheme, kind):
    def sampler(rng, T):
        return model.drift(0.0, rng.standard_normal(T + 1)) + isinstance(scheme, kind)

    return sampler


def has_defaults(rng, T, grid=GRID, *, model=PAIR):
    return rng.standard_normal(T + 1) + grid.T


def takes_options(rng, T, grid, model):
    return rng.standard_normal(T + 1) * model.sigma + grid.T


def cached(model):
    @functools.lru_cache
    def level():
        return model.sigma

    def sampler(rng, T):
        return level() + rng.standard_normal(T + 1)

    return sampler


STATED = mz.OrnsteinUhlenbeck(theta=0.7, mu=0.1, sigma=0.3)

RUNS = {
    "diffusion": (CIR, 0.5, {}),
    "holds-diffusion": (HoldsDiffusion(), None, {}),
    "holds-in-a-dict": (HoldsInADict(2.0), None, {}),
    "slotted": (Slotted(), None, {}),
    "own-brownian": (OwnBrownian(mu=1.0, sigma=0.5), 0.0, {}),
    "jumping": (Jumping(mu=0.05, sigma=0.2), 100.0, {}),
    "restated": (Restated(theta=0.7, mu=0.1), 0.1, {}),
    "own-diffusion": (OwnDiffusion(drift=pull, diffusion=spread), 0.5, {}),
    "own-process": (OwnProcess(rate=2.0), 0.0, {}),
    "tamed": (mz.Diffusion(drift=pull, diffusion=spread, scheme=Tamed()), 0.5, {}),
    "careful": (mz.Diffusion(drift=pull, diffusion=spread, scheme=CarefulMilstein()), 0.5, {}),
    "table": (uses_a_table, None, {}),
    "closure": (closes_over(CIR, mz.Milstein(), mz.Milstein), None, {}),
    "defaults": (has_defaults, None, {}),
    "options": (takes_options, None, {"grid": GRID, "model": GBM}),
    "cached": (cached(STATED), None, {}),
}
"""Process or function, x0 and options of runs whose recipes hold a digest of this code."""

VALUES = {
    "parts": Parts(mz.EulerMaruyama(), GRID),
    "models": MODELS,
    "parts-in-a-tuple": PARTS,
    "long-grid": LongGrid.of(T=2),
    "named-grid": NamedGrid(2, 1.0, None, "weeks"),
    "own-mean": OwnMean(),
    "estimate": mz.Estimate(np.array([4.0]), attrs={"grid": GRID}, power=2),
    "draws": mz.Draws.of(7, n=5),
    "source": mz.Source(name="price", times=np.array([0.0, 0.5]), units="EUR"),
    "classes": [
        HoldsDiffusion, HoldsInADict, Slotted, OwnBrownian, Jumping, Restated, OwnDiffusion,
        OwnProcess, Tamed, CarefulMilstein, LongGrid, NamedGrid, OwnMean,
    ],
}  # fmt: skip
"""Further values that users' models hold."""
