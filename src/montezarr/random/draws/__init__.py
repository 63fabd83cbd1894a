"""Stateless random numbers, addressed by (path, step, slot)."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.checks import MAX_INDEX, check_choice, check_int, type_error, value_error
from montezarr.random.draws import format1, reference
from montezarr.random.seeding import as_root_seed

__all__ = ["FORMAT", "MAX_STEPS", "Draws", "has_kernel"]

FORMAT = 2
"""Newest format of recipes: from 2 on, float32 states are float64 states, rounded once."""

MAX_STEPS = 2**32
MAX_SLOT = 2**32 - 1


def has_kernel() -> bool:
    """Return whether Numba is installed and its compiler enabled, so that draws are compiled."""
    off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return not off and _has_numba()


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of a range of paths, created by `Draws.of`.

    A draw is a function of seed, path, step, slot and dtype, so it can be computed alone and in any
    order. All methods return rows, one per step, with the paths along the last axis. Two
    distributions at the same (path, step, slot) use the same random words, so give every random
    quantity of a model a slot of its own.

    Parameters
    ----------
    key : tuple of int
        Philox key, two 32-bit words.
    start : int
        Index of the first path.
    n : int
        Number of paths.
    dtype : {"float64", "float32"}
        Precision of the numbers; the draws of the two dtypes differ.
    implementation : {"kernel", "reference"}
        Compiled with Numba, or NumPy alone; both give the same bits.
    format : int
        Format of the recipe, which decides how `gaussian_recursion` computes in float32. The draws
        themselves are the same in all formats.

    Examples
    --------
    >>> import montezarr as mz
    >>> draws = mz.Draws.of(seed=42, start=10**12, n=3)
    >>> draws.normal(0).shape, draws.normal(range(5, 9), slot=1).shape
    ((3,), (4, 3))
    """

    key: tuple[int, int]
    start: int
    n: int
    dtype: str = "float64"
    implementation: Literal["kernel", "reference"] = field(
        default_factory=lambda: "kernel" if has_kernel() else "reference"
    )
    format: int = FORMAT

    kinds: ClassVar[tuple[str, ...]] = ("uniform", "normal", "exponential")

    @classmethod
    def of(
        cls,
        seed: Any,
        *,
        start: int = 0,
        n: int = 1,
        dtype: Any = "float64",
        implementation: str | None = None,
        stream: str | None = None,
    ) -> Draws:
        """Return the draws of paths start ... start+n-1 of a run with this seed, on this stream.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            For an invalid seed, range, dtype, implementation or stream.
        """
        first = check_int("start", start)
        count = check_int("n", n, maximum=MAX_INDEX - first)
        try:
            name = np.dtype(dtype).name
        except TypeError as error:
            raise type_error("dtype", "'float64' or 'float32'", dtype) from error
        check_choice("dtype", name, ("float64", "float32"))
        default = "kernel" if has_kernel() else "reference"
        chosen = check_choice("implementation", implementation or default, ("kernel", "reference"))
        key = as_root_seed(seed, stream).philox_key()
        return cls(key, first, count, name, chosen)  # type: ignore[arg-type]

    def uniform(self, steps: int | range, slot: int = 0) -> NDArray[Any]:
        """Return uniform numbers on [0, 1), multiples of 2**-53 (float64) or 2**-24 (float32)."""
        return self._rows("uniform", steps, slot)

    def normal(self, steps: int | range, slot: int = 0) -> NDArray[Any]:
        """Return standard normal numbers (Box and Muller 1958, doi:10.1214/aoms/1177706645)."""
        return self._rows("normal", steps, slot)

    def exponential(self, steps: int | range, slot: int = 0) -> NDArray[Any]:
        """Return exponential numbers with mean 1."""
        return self._rows("exponential", steps, slot)

    def words(self, group: int, slot: int = 0) -> NDArray[np.uint32]:
        """Return the four 32-bit words (4, n) of a step group, from which its draws are computed.

        A group is steps 2*group and 2*group + 1 in float64, 4*group ... 4*group + 3 in float32.
        """
        check_int("group", group, maximum=2**32 - 1)
        check_int("slot", slot, maximum=MAX_SLOT)
        return reference.words(self.key, self.start, self.n, group, slot)

    def empty_rows(self, count: int, dtype: Any = None) -> NDArray[Any]:
        """Return uninitialised rows (count, n) for results, on recycled memory if large."""
        return buffers.recycled_empty((count, self.n), self.dtype if dtype is None else dtype)

    def fill(self, kind: str, step: int, out: NDArray[Any], slot: int = 0) -> None:
        """Fill the rows of `out` (steps, n) with draws of `kind` from step `step` on, in place."""
        check_choice("kind", kind, self.kinds)
        check_int("step", step, maximum=MAX_STEPS - len(out))
        check_int("slot", slot, maximum=MAX_SLOT)
        fits = out.ndim == 2 and out.shape[1] == self.n and out.dtype == self.dtype
        if not fits or not out.flags.writeable or not out.flags.c_contiguous:
            expected = f"a writable contiguous {self.dtype} array (steps, {self.n})"
            raise value_error("out", expected, f"{out.dtype} {out.shape}")
        self._fill(kind, step, out, slot)

    def part(self, low: int, high: int) -> Draws:
        """Return the draws of the paths low ... high-1 of these n."""
        check_int("high", high, maximum=self.n)
        check_int("low", low, maximum=high)
        return replace(self, start=self.start + low, n=high - low)

    def rows(self, kind: str, count: int, slot: int = 0) -> Iterator[NDArray[Any]]:
        """Yield the rows of steps 0 ... count-1, each valid until the next is requested."""
        ahead = 8  # whole step groups: a single step would discard the rest of its group
        buffer = self.empty_rows(min(ahead, max(count, 1)))
        for first in range(0, count, ahead):
            block = buffer[: count - first]
            self.fill(kind, first, block, slot)
            yield from block

    def gaussian_recursion(
        self,
        coefficients: NDArray[np.float64] | Callable[[slice], NDArray[np.float64]],
        x0: NDArray[Any],
        *,
        steps: int | None = None,
        exponential: bool = False,
        slot: int = 0,
    ) -> NDArray[Any]:
        """Return rows (T+1, n) of y[k+1] = a[k] y[k] + b[k] + c[k] z[k] in one fused pass.

        y and its coefficients are float64 in either precision; z and `x0` have the dtype of the
        draws. Rows of float32 are rounded when they are written, an exponential to within about one
        unit in the last place.

        Parameters
        ----------
        coefficients : array (3, T), (3, T, n) or (3, 1, n), or a function
            a, b and c of every step; of every step and path; or of every path, for all steps. A
            function gets a slice of the n paths and returns the array of these: it is called for a
            few paths at a time, so that T * n coefficients need not be in memory together.
        x0 : array, broadcast to (n,)
            Value at step 0.
        steps : int, optional
            T, for coefficients that do not show it: (3, 1, n), or a function.
        exponential : bool
            Return ``x0 * exp(y)`` with y starting at 0, instead of y starting at `x0`.
        slot : int
            Slot of the normal draws z.
        """
        check_int("slot", slot, maximum=MAX_SLOT)
        if callable(coefficients):
            count = check_int("steps", steps, maximum=MAX_STEPS)
            size = _paths_at_once(count)
            parts = [slice(low, min(low + size, self.n)) for low in range(0, self.n, size)]
            arrays: Iterable[Any] = map(coefficients, parts)
        else:
            coefficients = np.asarray(coefficients)
            if coefficients.ndim not in (2, 3) or len(coefficients) != 3:
                expected = "three rows (3, T), (3, T, n) or (3, 1, n)"
                raise value_error("coefficients", expected, coefficients.shape)
            count = coefficients.shape[1] if steps is None else check_int("steps", steps)
            parts, arrays = [slice(0, self.n)], [coefficients]
        # A writable copy: for a read-only array Numba would compile the loop again.
        first = np.array(np.broadcast_to(np.asarray(x0, self.dtype), (self.n,)))
        out, column = self._target(count + 1)
        for part, array in zip(parts, arrays, strict=True):
            draws = self if len(parts) == 1 else self.part(part.start, part.stop)
            draws._recursion(
                _fitting(array, count, draws.n), first[part], out, column + part.start,
                bool(exponential), slot,
            )  # fmt: skip
        return out if out.shape[1] == self.n else out[:, column : column + self.n]

    @property
    def state_dtype(self) -> str:
        """The dtype in which a process computes its states: float64, rounded for float32 paths.

        In a recipe of format 1 it is the dtype of the paths.
        """
        return self.dtype if self.format == 1 else "float64"

    def _fill(self, kind: str, step: int, out: NDArray[Any], slot: int) -> None:
        """Compute `fill`, its arguments checked."""
        self._module.fill(kind, self.key, self.start, step, slot, out)

    def _target(self, count: int) -> tuple[NDArray[Any], int]:
        """Return rows for the results of a recursion, and the column of the first path in them."""
        return self.empty_rows(count), 0

    def kept_rows(self, kind: str, count: int, slot: int = 0) -> NDArray[Any] | None:
        """Return rows of steps 0 ... count-1 that are kept, for reading alone; None if none are.

        Compiled code of a process takes these, and without them draws the same numbers itself.
        """
        return None

    def _recursion(
        self,
        coefficients: NDArray[np.float64],
        x0: NDArray[Any],
        out: NDArray[Any],
        column: int,
        exponential: bool,
        slot: int,
    ) -> None:
        if self.format == 1 and self.dtype == "float32":
            format1.gaussian_recursion(
                coefficients, x0, out[:, column : column + self.n], exponential,
                lambda part: self.fill("normal", 0, part, slot),
            )  # fmt: skip
            return
        self._module.gaussian_recursion(
            self.key, self.start, slot, coefficients, x0, out, exponential,
            column=column, normals=self.kept_rows("normal", len(out) - 1, slot),
        )  # fmt: skip

    def several_recursions(
        self,
        coefficients: NDArray[np.float64],
        normals: NDArray[Any],
        x0: NDArray[Any],
        out: NDArray[Any],
        column: int,
        exponential: bool,
        times: tuple[int, ...] | None = None,
    ) -> None:
        """Compute `gaussian_recursion` once per scenario, on the same normal numbers.

        Parameters
        ----------
        coefficients : array (scenarios, 3, T)
            a, b and c of every step.
        normals : array (T, n)
            The numbers z.
        x0 : array (scenarios,)
            Value at step 0, in the dtype of the draws.
        out : array (scenarios, times, ...)
            Its columns, from `column` on, become the results.
        exponential : bool
            Return ``x0 * exp(y)``.
        times : tuple of int, optional
            Positions of the times of `out`, increasing, out of 0 ... T; all by default.
        """
        self._module.several_recursions(
            coefficients, normals, x0, out, column, exponential, times
        )  # fmt: skip

    @property
    def _module(self) -> Any:
        if self.implementation == "reference":
            return reference
        # Imported here, since Numba takes half a second to import and a lazy Dataset needs none.
        from montezarr.random.draws import kernel

        return kernel

    def _rows(self, kind: str, steps: int | range, slot: int) -> NDArray[Any]:
        if isinstance(steps, range):
            if steps.step != 1:
                raise value_error("steps", "a range with step 1", steps)
            first, count = check_int("steps", steps.start), len(steps)
        else:
            first, count = check_int("steps", steps), 1
        check_int("steps", first + count, maximum=MAX_STEPS)
        out = self.empty_rows(count)
        self.fill(kind, first, out, slot)
        return out if isinstance(steps, range) else out[0]


COEFFICIENT_BYTES = 2**20
"""Bytes of coefficients that are computed together, about: they stay in the cache."""


def _paths_at_once(steps: int) -> int:
    """Return for how many paths coefficients (3, steps, paths) are computed together."""
    size = max(1, COEFFICIENT_BYTES // (24 * max(steps, 1)))
    return size if size < 16 else size // 16 * 16  # whole vector registers


def _fitting(coefficients: Any, steps: int, n: int) -> NDArray[np.float64]:
    """Return coefficients as contiguous float64, or raise if they are not of n paths."""
    array = np.ascontiguousarray(coefficients, np.float64)
    shapes = ((3, steps), (3, steps, n), (3, 1, n))
    if array.shape not in shapes:
        expected = " or ".join(map(str, dict.fromkeys(shapes)))
        raise value_error("coefficients", f"the shape {expected}", array.shape)
    return array
