"""The public names, all in one place."""

from importlib.metadata import version as _version

from montezarr import accessor as _accessor  # registers ds.mz
from montezarr import dashboard as _dashboard
from montezarr import plot
from montezarr.backends import Backend, backend
from montezarr.batches import batches
from montezarr.cost import optimal_batch_size, optimal_n_jobs, should_parallelize
from montezarr.draws import Draws
from montezarr.engine import MonteCarloEngine
from montezarr.errors import (
    ArgumentTypeError,
    ArgumentValueError,
    BackendError,
    CommonNoiseWarning,
    ConfigError,
    HeavyTailWarning,
    MaskedPathsWarning,
    MemoryBudgetError,
    MissingDependencyError,
    MontezarrError,
    MontezarrWarning,
    ReplayError,
    SamplerError,
    StoreError,
    StoreExistsError,
    StoreLockedError,
    StoreMismatchError,
    StoreNotFoundError,
    WorkerDied,
    WorkerTimeout,
)
from montezarr.grid import TimeGrid
from montezarr.live import live
from montezarr.observed import in_state
from montezarr.plan import plan
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
from montezarr.reduce import reduce
from montezarr.report import Report, report
from montezarr.result import Path, SimulationResult, State
from montezarr.run._card import Recipe
from montezarr.run._plan import Plan
from montezarr.run._replay import replay
from montezarr.run._simulate import simulate
from montezarr.schemes import EulerMaruyama, Milstein, Scheme
from montezarr.seeding import generate_path_seeds
from montezarr.statistics import (
    Autocorrelation,
    Count,
    Covariance,
    Drawdown,
    Estimate,
    Exceedance,
    ExpectedShortfall,
    Extrema,
    FirstPassage,
    Histogram,
    Mean,
    Moments,
    Proportion,
    Quantile,
    Sample,
    Source,
    StandardDeviation,
    Statistic,
    TimeAverage,
    Variance,
)
from montezarr.store import (
    Problem,
    Storage,
    Verification,
    VirtualStore,
    extend,
    merge,
    repair,
    verify,
    write,
)
from montezarr.store import open_store as open
from montezarr.stream import Paths, Seconds, Snapshot, StandardError, Stream, Until, stream

__version__ = _version("montezarr")

_dashboard.install()

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "Autocorrelation",
    "Backend",
    "BackendError",
    "BrownianMotion",
    "CommonNoiseWarning",
    "ConfigError",
    "Count",
    "Covariance",
    "Diffusion",
    "Drawdown",
    "Draws",
    "Estimate",
    "EulerMaruyama",
    "Exceedance",
    "ExpectedShortfall",
    "Extrema",
    "FirstPassage",
    "Fit",
    "GeometricBrownianMotion",
    "HeavyTailWarning",
    "Heston",
    "Histogram",
    "MarkovChain",
    "MaskedPathsWarning",
    "Mean",
    "MemoryBudgetError",
    "Milstein",
    "MissingDependencyError",
    "Moments",
    "MonteCarloEngine",
    "MontezarrError",
    "MontezarrWarning",
    "OrnsteinUhlenbeck",
    "Path",
    "Paths",
    "Plan",
    "PoissonProcess",
    "Problem",
    "Process",
    "Proportion",
    "Quantile",
    "RandomWalk",
    "Recipe",
    "ReplayError",
    "Report",
    "Sample",
    "SamplerError",
    "Scheme",
    "Seconds",
    "SimulationResult",
    "Snapshot",
    "Source",
    "StandardDeviation",
    "StandardError",
    "State",
    "Statistic",
    "Storage",
    "StoreError",
    "StoreExistsError",
    "StoreLockedError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "Stream",
    "TimeAverage",
    "TimeGrid",
    "Until",
    "Variance",
    "Verification",
    "VirtualStore",
    "WorkerDied",
    "WorkerTimeout",
    "backend",
    "batches",
    "extend",
    "generate_path_seeds",
    "in_state",
    "live",
    "merge",
    "open",
    "optimal_batch_size",
    "optimal_n_jobs",
    "plan",
    "plot",
    "reduce",
    "repair",
    "replay",
    "report",
    "should_parallelize",
    "simulate",
    "stream",
    "verify",
    "write",
]
