"""Monte Carlo sample paths of stochastic processes, larger than memory."""

from importlib.metadata import version as _version

from montezarr import accessor as _accessor  # registers ds.mz
from montezarr import plot
from montezarr.dataset import simulate
from montezarr.draws import Draws
from montezarr.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ConfigError,
    MemoryBudgetError,
    MissingDependencyError,
    MontezarrError,
    MontezarrWarning,
    ReplayError,
    SamplerError,
    StoreError,
    StoreExistsError,
    StoreMismatchError,
    StoreNotFoundError,
)
from montezarr.grid import TimeGrid
from montezarr.lazy import Plan
from montezarr.processes import (
    BrownianMotion,
    Diffusion,
    Fit,
    GeometricBrownianMotion,
    Heston,
    MarkovChain,
    OrnsteinUhlenbeck,
    PoissonProcess,
    Process,
    RandomWalk,
)
from montezarr.replay import plan, replay
from montezarr.schemes import EulerMaruyama, Milstein, Scheme
from montezarr.seeding import generate_path_seeds
from montezarr.store import open_store as open
from montezarr.store import write

__version__ = _version("montezarr")

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "BrownianMotion",
    "ConfigError",
    "Diffusion",
    "Draws",
    "EulerMaruyama",
    "Fit",
    "GeometricBrownianMotion",
    "Heston",
    "MarkovChain",
    "MemoryBudgetError",
    "Milstein",
    "MissingDependencyError",
    "MontezarrError",
    "MontezarrWarning",
    "OrnsteinUhlenbeck",
    "Plan",
    "PoissonProcess",
    "Process",
    "RandomWalk",
    "ReplayError",
    "SamplerError",
    "Scheme",
    "StoreError",
    "StoreExistsError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "TimeGrid",
    "generate_path_seeds",
    "open",
    "plan",
    "plot",
    "replay",
    "simulate",
    "write",
]
