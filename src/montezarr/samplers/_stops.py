"""At which time the paths of a range stop, and their values there; looked for as they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.samplers.schema import PathArrays, Variable
from montezarr.samplers.stopping._base import Test

TIMES_AT_ONCE = 64
"""Times of complete paths at which a rule is evaluated together, or that are filled together."""


class NotFiniteError(Exception):
    """A value is not finite that is drawn and not handed out."""


class Stops:
    """Where the paths of a range stop.

    Attributes
    ----------
    at : array (n,)
        Position of the grid at which each path stops; -1 for a path that has not stopped.
    values : dict of str to array (..., n)
        The values of its variables there.
    unseen : tuple of str
        Variables whose values nobody sees later, and which must be finite.
    """

    def __init__(
        self, test: Test, times: NDArray[np.float64], variables: Iterable[Variable], n: int
    ):
        self.test, self.times = test, times
        self.unseen: tuple[str, ...] = ()
        self.at = np.full(n, -1, np.int64)
        self.values = {v.name: np.empty((*v.shape(1)[1:], n), v.dtype) for v in variables}

    def look(self, arrays: PathArrays, first: int, places: NDArray[Any]) -> NDArray[np.bool_]:
        """Look for stops of the paths at some places, at times from position `first` on.

        Returns
        -------
        array of bool (paths,)
            Which of them have not stopped.

        Raises
        ------
        NotFiniteError
            If a value of a variable that nobody sees later is NaN or infinite.
        """
        if not all(np.isfinite(arrays[name]).all() for name in self.unseen):
            raise NotFiniteError
        count = len(next(iter(arrays.values())))
        hits = self.test(self.times[first : first + count, np.newaxis], arrays)
        going: NDArray[np.bool_] = self.at[places] < 0
        (new,) = (hits.any(axis=0) & going).nonzero()
        if new.size:
            rows = hits[:, new].argmax(axis=0)
            self.at[places[new]] = first + rows
            self._take(arrays, rows, new, places)
            going[new] = False
        return going

    def look_at_whole(self, arrays: PathArrays, places: NDArray[Any]) -> None:
        """Look for stops of complete paths, a few times at once."""
        for first in range(0, len(self.times), TIMES_AT_ONCE):
            some = {name: array[first : first + TIMES_AT_ONCE] for name, array in arrays.items()}
            going = self.look(some, first, places)
            if not going.any():
                return
        self.end(arrays, going, places)

    def end(self, arrays: PathArrays, going: NDArray[np.bool_], places: NDArray[Any]) -> None:
        """Take the last values of those paths that have not stopped."""
        (left,) = going.nonzero()
        self._take(arrays, np.full(len(left), -1), left, places)

    def _take(
        self, arrays: PathArrays, rows: NDArray[Any], which: NDArray[Any], places: NDArray[Any]
    ) -> None:
        for name, target in self.values.items():
            # With the two indices apart, NumPy has their axis first.
            found = arrays[name][rows, ..., which]
            target[..., places[which]] = np.moveaxis(found, 0, -1)

    def fill(
        self, array: NDArray[Any], positions: NDArray[np.int64], name: str, is_held: bool
    ) -> None:
        """Fill the times after the stop with the value there, or with NaN, in place.

        Parameters
        ----------
        array : array (times, ..., n)
            A variable at the `positions` of the grid.
        """
        stopped = self.at >= 0
        if not stopped.any():
            return
        last = np.where(stopped, self.at, len(self.times))
        begin = int(np.searchsorted(positions, last.min(), side="right"))
        value = self.values[name] if is_held else np.nan
        for low in range(begin, len(positions), TIMES_AT_ONCE):
            rows = slice(low, low + TIMES_AT_ONCE)
            beyond = positions[rows, np.newaxis] > last
            shape = (len(beyond), *[1] * (array.ndim - 2), beyond.shape[1])
            np.copyto(array[rows], value, where=beyond.reshape(shape), casting="unsafe")

    def scalars(self) -> PathArrays:
        """Return the variables that say when, whether and where paths stop."""
        is_stopped = self.at >= 0
        when = np.where(is_stopped, self.times[self.at], np.nan)
        out = {STOP_TIME: when, STOPPED: is_stopped.astype(np.int8)}
        return out | {value_name(name): array for name, array in self.values.items()}


STOP_TIME, STOPPED = "stop_time", "stopped"
"""Variables of a run whose paths stop: when, and whether."""


def value_name(name: str) -> str:
    """Return the name of the variable with the value of another at the stop."""
    return f"stopped_{name}"
