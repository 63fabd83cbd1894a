"""The names of this package, one line each."""

from montezarr.engine._batches import batches as batches
from montezarr.engine._engine import MonteCarloEngine as MonteCarloEngine
from montezarr.engine._planning import plan as plan
from montezarr.engine._result import Path as Path
from montezarr.engine._result import SimulationResult as SimulationResult
from montezarr.engine._result import State as State
