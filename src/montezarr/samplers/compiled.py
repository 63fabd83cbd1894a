"""Samplers for functions compiled by Numba: one compiled loop over a range of paths."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from montezarr.core.compat.numba import releases_gil
from montezarr.core.tunables.scheduling import (
    LOOP_CALL_SECONDS,
    LOOP_COMPILE_AFTER_SECONDS,
    LOOP_SAVED_SECONDS_PER_PATH,
)
from montezarr.samplers import functions
from montezarr.samplers._loop_call import LoopCall, compiled_method, frees_gil, loop_call
from montezarr.samplers.interfaces import accepts, is_compiled
from montezarr.samplers.path import PathSampler, _fragile
from montezarr.samplers.policy import take_paths
from montezarr.samplers.schema import FinitePaths, PathArrays

CHECKED_PATHS = 3
"""Paths that are drawn both by a new loop and by Python, and compared."""

WHOLE_LINES = 64
"""Paths of a multiple of which a call ends: the next one begins at a line of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSampler(PathSampler):
    """Sampler for a compiled function, or method, that returns one path.

    Where Numba can, it compiles one loop over a range of paths, which makes the stream of each
    path and calls the function without Python. Paths that fail are drawn again by Python, which
    raises the error with its context. Both ways give the same bits.
    """

    @classmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return the name of the interface that a compiled function, or object, offers."""
        if compiled_method(target, "sample_path") and accepts(target.sample_path, "rng"):
            return "sample_path"
        return functions.kind_of_one(target, options) if is_compiled(target) else None

    @classmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return a compiled function."""
        walk = _compiled(_walk)
        return (walk, {"T": 5, "dt": 0.25}), (walk, {"T": 5, "dt": 1.0, "x0": 1.0})

    @classmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return a compiled function."""
        return _compiled(_fragile), {"T": 5}

    @property
    def releases_gil(self) -> bool:
        """Whether threads run it in parallel: it was compiled with ``nogil``, or has a loop."""
        return releases_gil(self.target) or frees_gil(self)

    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1."""
        out = self.new_arrays(stop - start)
        call = loop_call(self, start, stop, x0, out) if stop - start > 1 else None
        drawing = _Drawing(self, start, stop - start, x0, out, call)
        done = 0
        while done < stop - start:
            done = drawing.by_loop(done) if drawing.is_compiled(done) else drawing.by_python(done)
        return FinitePaths(out) if drawing.is_finite else out


class _Drawing:
    """A range of paths while it is drawn: by Python until the loop is compiled, and after errors.

    Positions count from the first path of the range.
    """

    def __init__(
        self, sampler: CompiledSampler, start: int, n: int, x0: Any, out: PathArrays,
        call: LoopCall | None,
    ):  # fmt: skip
        self.sampler, self.start, self.n, self.x0, self.out = sampler, start, n, x0, out
        self.call, self.size = call, 1 if call else n  # paths that Python draws next
        self.is_by_python = False

    @property
    def is_finite(self) -> bool:
        """Whether the loop has drawn all, and has seen no NaN and no infinity."""
        return self.call is not None and not self.is_by_python and bool(self.call.done[2])

    def is_compiled(self, done: int) -> bool:
        """Return whether the loop draws the paths from `done` on; compile it if that pays."""
        if self.call is None:
            return False
        loop = self.call.loop
        if not loop.is_tried:
            saved = loop.spent + (self.n - done) * LOOP_SAVED_SECONDS_PER_PATH
            if saved < LOOP_COMPILE_AFTER_SECONDS:
                return False
        with loop.lock:
            if not loop.is_tried:
                self.call.compile()
            if loop.function is not None and not loop.is_checked:
                self._check(done, min(done + CHECKED_PATHS, self.n))
        if loop.function is None:
            self.call, self.size = None, self.n
        return loop.function is not None

    def _check(self, low: int, high: int) -> None:
        """Give the loop up if it draws other paths than Python."""
        assert self.call is not None
        self._fill(low, high)
        by_python = [array.tobytes() for array in take_paths(self.out, low, high).values()]
        try:
            self.call.run(low, high)
            by_loop = [array.tobytes() for array in take_paths(self.out, low, high).values()]
        except Exception:
            by_loop = []
        if by_loop == by_python and self.call.done[1] == high:
            self.call.loop.is_checked = True
        else:
            self.call.loop.give_up()

    def by_python(self, done: int) -> int:
        """Draw the next few paths from Python; return the position after them."""
        stop = min(done + self.size, self.n)
        began = time.perf_counter()
        self._fill(done, stop)
        seconds = time.perf_counter() - began
        if self.call is not None:
            self.call.loop.spent += seconds
            if seconds < LOOP_CALL_SECONDS:
                self.size *= 2
        return stop

    def by_loop(self, done: int) -> int:
        """Draw the next paths by the loop; return the position after them.

        A call is short, so that Ctrl-C, and what waits for the GIL, are not held up.
        """
        assert self.call is not None
        loop, steps = self.call.loop, self.sampler.grid.T + 1
        stop = done + max(1, loop.at_once // steps)
        if stop - done >= WHOLE_LINES:
            stop -= stop % WHOLE_LINES
        stop = min(stop, self.n)
        began = time.perf_counter()
        reached = self._run(done, stop)
        seconds = max(time.perf_counter() - began, 1e-9)
        in_time = int((stop - done) * steps * LOOP_CALL_SECONDS / seconds)
        loop.at_once = max(steps, min(in_time, 4 * loop.at_once))
        if self.sampler.may_mask:
            self._refuse_masks(done, reached)
        if reached < stop:  # Python raises the error of this path, or returns it
            self._fill(reached, reached + 1)
            reached += 1
        return reached

    def _run(self, low: int, high: int) -> int:
        """Run the loop; return the position of the first path that it could not draw, or `high`."""
        assert self.call is not None
        for _ in range(2):  # after an error the paths before it are drawn again, and written
            try:
                self.call.run(low, high)
            except KeyboardInterrupt:
                raise
            except BaseException:  # what the function raises: anything
                pass
            reached = int(self.call.done[1])
            if reached == high:
                return high
            high = reached
            if low == high:
                break
        return low

    def _refuse_masks(self, low: int, high: int) -> None:
        """Let Python raise for a number that stands for masked paths."""
        for variable in self.sampler.variables:
            values = self.out[variable.name][..., low:high]
            may_be = not (variable.is_real or variable.has_events)  # else the loop has looked
            if may_be and (values == variable.masked).any():
                self._fill(low, high)

    def _fill(self, low: int, high: int) -> None:
        x0 = None if self.x0 is None else self.x0[..., low:high]
        first, self.is_by_python = self.start, True
        self.sampler.fill(take_paths(self.out, low, high), first + low, first + high, x0)


@cache
def _compiled(function: Any) -> Any:
    from numba import njit  # imported here to keep the import of montezarr quick

    return njit(function)


def _walk(rng: Any, T: int, dt: float, x0: float = 0.0) -> Any:
    x = np.full(T + 1, x0)
    for k in range(T):
        x[k + 1] = x[k] + np.sqrt(dt) * rng.standard_normal()
    return x
