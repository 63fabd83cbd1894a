"""Initial states of consecutive ranges of paths."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.core.tunables.keeping import INITIAL_STATES_KEPT_BYTES
from montezarr.run._run import Run


class InitialStates:
    """The initial states of a run, read in consecutive ranges.

    Dask computes whole chunks. If these come from another run, a chunk may take far longer than a
    range of this one, so it is computed once for all ranges in it.
    """

    def __init__(self, run: Run):
        self.run = run
        self._low = self._high = 0
        self._values: Any = None

    def of(self, start: int, stop: int) -> Any:
        """Return the initial states of a range of paths, or None if all paths have the same."""
        run = self.run
        if run.inputs is None:
            return None
        if run.given_inputs is not None:
            return np.asarray(run.inputs[..., start:stop])
        if not (self._low <= start and stop <= self._high):
            ends = np.cumsum(run.inputs.chunks[-1])
            first = int(np.searchsorted(ends, start, "right"))
            last = int(np.searchsorted(ends, stop, "left"))
            low, high = int(ends[first - 1]) if first else 0, int(ends[last])
            values = np.asarray(run.inputs[..., low:high])
            if values.nbytes > INITIAL_STATES_KEPT_BYTES:
                return values[..., start - low : stop - low]
            self._low, self._high, self._values = low, high, values
        return self._values[..., start - self._low : stop - self._low]
