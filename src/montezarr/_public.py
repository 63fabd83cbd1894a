"""The public names, all in one place."""

from importlib.metadata import version as _version

from montezarr import accessor as _accessor  # registers ds.mz
from montezarr import plot
from montezarr.backends import Backend, backend
from montezarr.batches import batches
from montezarr.cost import optimal_batch_size, optimal_n_jobs, should_parallelize
from montezarr.dataset import simulate
from montezarr.draws import Draws
from montezarr.engine import MonteCarloEngine
from montezarr.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    ConfigError,
    MaskedPathsWarning,
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
    WorkerDied,
    WorkerTimeout,
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
from montezarr.result import Path, SimulationResult, State
from montezarr.schemes import EulerMaruyama, Milstein, Scheme
from montezarr.seeding import generate_path_seeds
from montezarr.store import open_store as open
from montezarr.store import write

__version__ = _version("montezarr")

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "Backend",
    "BrownianMotion",
    "ConfigError",
    "Diffusion",
    "Draws",
    "EulerMaruyama",
    "Fit",
    "GeometricBrownianMotion",
    "Heston",
    "MarkovChain",
    "MaskedPathsWarning",
    "MemoryBudgetError",
    "Milstein",
    "MissingDependencyError",
    "MonteCarloEngine",
    "MontezarrError",
    "MontezarrWarning",
    "OrnsteinUhlenbeck",
    "Path",
    "Plan",
    "PoissonProcess",
    "Process",
    "RandomWalk",
    "ReplayError",
    "SamplerError",
    "Scheme",
    "SimulationResult",
    "State",
    "StoreError",
    "StoreExistsError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "TimeGrid",
    "WorkerDied",
    "WorkerTimeout",
    "backend",
    "batches",
    "generate_path_seeds",
    "open",
    "optimal_batch_size",
    "optimal_n_jobs",
    "plan",
    "plot",
    "replay",
    "should_parallelize",
    "simulate",
    "write",
]
