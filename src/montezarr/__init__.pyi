"""The public names, one line each; `montezarr.core.lazy` says how."""

from montezarr import plot as plot
from montezarr.core.errors import ArgumentTypeError as ArgumentTypeError
from montezarr.core.errors import ArgumentValueError as ArgumentValueError
from montezarr.core.errors import BackendError as BackendError
from montezarr.core.errors import CommonNoiseWarning as CommonNoiseWarning
from montezarr.core.errors import ConfigError as ConfigError
from montezarr.core.errors import HeavyTailWarning as HeavyTailWarning
from montezarr.core.errors import MaskedPathsWarning as MaskedPathsWarning
from montezarr.core.errors import MemoryBudgetError as MemoryBudgetError
from montezarr.core.errors import MissingDependencyError as MissingDependencyError
from montezarr.core.errors import MontezarrError as MontezarrError
from montezarr.core.errors import MontezarrWarning as MontezarrWarning
from montezarr.core.errors import ReplayError as ReplayError
from montezarr.core.errors import SamplerError as SamplerError
from montezarr.core.errors import StoreError as StoreError
from montezarr.core.errors import StoreExistsError as StoreExistsError
from montezarr.core.errors import StoreLockedError as StoreLockedError
from montezarr.core.errors import StoreMismatchError as StoreMismatchError
from montezarr.core.errors import StoreNotFoundError as StoreNotFoundError
from montezarr.core.errors import WorkerDied as WorkerDied
from montezarr.core.errors import WorkerTimeout as WorkerTimeout
from montezarr.core.version import __version__ as __version__
from montezarr.engine._batches import batches as batches
from montezarr.engine._engine import MonteCarloEngine as MonteCarloEngine
from montezarr.engine._planning import plan as plan
from montezarr.engine._result import Path as Path
from montezarr.engine._result import SimulationResult as SimulationResult
from montezarr.engine._result import State as State
from montezarr.execute import Backend as Backend
from montezarr.execute import backend as backend
from montezarr.monitor.display import live as live
from montezarr.monitor.html_report import Report as Report
from montezarr.monitor.html_report import report as report
from montezarr.processes import *
from montezarr.random.designs import *
from montezarr.random.distributions import *
from montezarr.random.draws import Draws as Draws
from montezarr.random.seeding import generate_path_seeds as generate_path_seeds
from montezarr.reduction.passes import reduce as reduce
from montezarr.reduction.sources import in_state as in_state
from montezarr.reduction.streaming import PathCount as PathCount
from montezarr.reduction.streaming import Seconds as Seconds
from montezarr.reduction.streaming import Snapshot as Snapshot
from montezarr.reduction.streaming import StandardError as StandardError
from montezarr.reduction.streaming import Stream as Stream
from montezarr.reduction.streaming import Until as Until
from montezarr.reduction.streaming import stream as stream
from montezarr.run._card import Recipe as Recipe
from montezarr.run._events_frame import events_frame as events_frame
from montezarr.run._events_frame import events_ragged as events_ragged
from montezarr.run._on_grid import on_grid as on_grid
from montezarr.run._plan import Plan as Plan
from montezarr.run._replay import replay as replay
from montezarr.run._scenario_table import scenarios as scenarios
from montezarr.run._simulate import simulate as simulate
from montezarr.run.cost import optimal_batch_size as optimal_batch_size
from montezarr.run.cost import optimal_n_jobs as optimal_n_jobs
from montezarr.run.cost import should_parallelize as should_parallelize
from montezarr.samplers.stopping import *
from montezarr.schemes import *
from montezarr.statistics import *
from montezarr.store import Problem as Problem
from montezarr.store import Storage as Storage
from montezarr.store import Verification as Verification
from montezarr.store import VirtualStore as VirtualStore
from montezarr.store import extend as extend
from montezarr.store import merge as merge
from montezarr.store import open as open
from montezarr.store import repair as repair
from montezarr.store import verify as verify
from montezarr.store import write as write

Paths = PathCount  # its earlier name
