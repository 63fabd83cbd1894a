"""What a worker runs: a sampler bound to grid, seed and types, from path range to rows."""

from __future__ import annotations

import copy
import math
import traceback as tracebacks
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from montezarr import _buffers
from montezarr._checks import show
from montezarr.errors import SamplerError
from montezarr.grid import TimeGrid
from montezarr.processes import Process
from montezarr.sampling.interfaces import INTERFACES, Interface, Kind
from montezarr.seeding import BLOCK_PREFIX, RootSeed, describe_seed

Rows = NDArray[Any]
"""States of a range of paths: (variables, kept times, paths), the paths contiguous."""

OnError = Literal["raise", "mask", "retry"]
OnNonfinite = Literal["raise", "keep", "mask", "retry"]

RETRIES = 3
"""How often a failing path is drawn again where the policy is to retry."""

EVENT_TIME = "event_time"
"""Variable that holds the times of paths which bring their own, such as those of a queue."""

SLICE = 4096
"""Paths simulated at once where only some times are kept: what is dropped stays in the cache."""

SLICE_BYTES = 2**25
"""Bytes that such a slice may take; long paths are simulated fewer at a time."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A component of the state: its name in the Dataset, its dtype, and its labels if any."""

    name: str
    dtype: str
    labels: tuple[str | int, ...] | None = None

    @property
    def masked(self) -> float | int:
        """What stands in the place of a masked path: NaN, or a number that is no state."""
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            return math.nan
        if kind.kind == "u":
            return int(np.iinfo(kind).max)
        return -1 if self.labels is not None else int(np.iinfo(kind).min)


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Sampling:
    """A sampler with all that its paths depend on; the same value gives the same paths anywhere.

    Attributes
    ----------
    target : object
        The process or function.
    kind : str
        Which of its interfaces is used, a key of `INTERFACES`.
    grid : TimeGrid
        Times of the simulation.
    seed : RootSeed
        Root entropy.
    variables : tuple of Variable
        What the first path declared.
    x0 : object
        Initial state of every path, as the caller gave it; ignored where `rows` gets one per path.
    keep : tuple of int or None
        Positions of the grid that are kept, increasing; None keeps all.
    on_error : {"raise", "mask", "retry"}
        What to do about a path on which the sampler fails.
    on_nonfinite : {"raise", "keep", "mask", "retry"}
        What to do about NaN and infinities.
    retries : int
        How often a path is drawn again, from the same stream, where the policy is "retry".
    own_times : bool
        Whether the grid is the one that the first path brought along, so all paths must have it.
    foreground : bool
        Whether an exception of the sampler goes through as it is, for a debugger, with a note.
    options : dict
        Further keyword arguments for the sampler.
    format : int
        Format of the recipe: 1, or where counter draws make float32 states, the newest, unless an
        older recipe says otherwise; see `montezarr.draws.FORMAT`.
    """

    target: Any
    kind: Kind
    grid: TimeGrid
    seed: RootSeed
    variables: tuple[Variable, ...]
    x0: Any = None
    keep: tuple[int, ...] | None = None
    on_error: OnError = "raise"
    on_nonfinite: OnNonfinite = "raise"
    retries: int = RETRIES
    own_times: bool = False
    foreground: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    format: int = 1
    _dtype: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Once: it is asked for each variable of each path, and there may be thousands of them.
        if self.variables:
            found = np.result_type(*(np.dtype(variable.dtype) for variable in self.variables))
            object.__setattr__(self, "_dtype", found)

    @property
    def interface(self) -> Interface:
        """What follows from how the sampler is called."""
        return INTERFACES[self.kind]

    @property
    def name(self) -> str:
        """Name of the process or function, as it shows in task names and messages."""
        if not self.interface.method:
            return str(getattr(self.target, "__name__", type(self.target).__name__))
        return type(self.target).__name__

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that holds every variable."""
        found: np.dtype[Any] = self._dtype
        return found

    @property
    def may_mask(self) -> bool:
        """Whether paths may be masked: then one number of integers stands for that."""
        return "mask" in (self.on_error, self.on_nonfinite)

    @property
    def n_times(self) -> int:
        """Number of times in the result."""
        return self.grid.T + 1 if self.keep is None else len(self.keep)

    @property
    def times(self) -> NDArray[np.float64]:
        """The times in the result."""
        times = self.grid.times
        return times if self.keep is None else times[list(self.keep)]

    def state_at_start(self, x0: Any, position: int) -> Any:
        """Return the initial state of one path out of those of a range, or the common one."""
        if x0 is None:
            return self.common_x0()
        value = x0[..., position]
        if value.dtype.names is not None:
            state = dict(zip(value.dtype.names, value.item(), strict=True))
            return own(state) if value.dtype.hasobject else state
        return value.item() if value.ndim == 0 else value.copy()

    def common_x0(self) -> Any:
        """Return the initial state of every path, a copy where the sampler could change it."""
        if self.x0 is None or isinstance(self.x0, (int, float, str, np.generic)):
            return self.x0
        return own(self.x0)

    def thin(self, rows: Rows) -> Rows:
        """Return the kept times of complete rows (..., T+1, n)."""
        return rows if self.keep is None else rows[..., list(self.keep), :]

    @property
    def slice_paths(self) -> int:
        """Number of complete paths that are simulated at once where only some times are kept."""
        path_bytes = (self.grid.T + 1) * len(self.variables) * self.dtype.itemsize
        return max(1, min(SLICE, SLICE_BYTES // path_bytes))

    def new_rows(self, n: int) -> Rows:
        """Return uninitialised rows for `n` paths."""
        return _buffers.empty((len(self.variables), self.n_times, n), self.dtype)

    def attempt(self, function: Callable[[], Any], path: int, x0: Any, where: str = "") -> Any:
        """Return what the user's code returns, or raise the failure of a path.

        Raises
        ------
        SamplerError
            For any exception, also SystemExit, which would end a worker without a word.
        """
        try:
            return function()
        except (KeyboardInterrupt, SamplerError):
            raise
        except BaseException as error:
            failed = self.failure(path, x0, where + describe_error(error), error)
            if self.foreground:
                annotate(error, failed)
                raise
        # Here, so that the cause does not hang on it: that may not be fit to be sent to a process.
        raise failed

    def failure(self, path: int | None, x0: Any, message: str, error: Any = None) -> SamplerError:
        """Return the error of a path, with what is needed to see it again."""
        if path is None:
            key, line = describe_seed(self.seed), "mz.replay(ds, path)"
        elif self.interface.unit > 1:
            key = describe_seed(self.seed, BLOCK_PREFIX, path // self.interface.unit)
            line = f"mz.replay(ds, {path})"
        elif self.interface.takes_ranges:
            key, line = describe_seed(self.seed), f"mz.replay(ds, {path})"
        else:
            key, line = describe_seed(self.seed, path), f"mz.replay(ds, {path})"
        context = {
            "seed key": key,
            "T": str(self.grid.T),
            "x0": show(x0),
            "parameters": show(describe(self.target), 300),
            "replay": line,
        }
        text = "".join(tracebacks.format_exception(error)).rstrip() if error is not None else ""
        # A cluster replaces errors of over 10,000 characters by others.
        text = text if len(text) <= 6000 else f"{text[:2000]}\n...\n{text[-4000:]}"
        message = message if len(message) <= 1000 else message[:997] + "..."
        where = "a range of paths" if path is None else f"path {path}"
        return SamplerError(f"{self.name}: {where}: {message}", path, context, text)


def own(value: Any) -> Any:
    """Return a copy of a value, which no one else changes; itself, if it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # it holds a thing that cannot be copied
        return value


Draw = Callable[[Sampling, int, int, Any], Rows]
"""From (sampling, start, stop, x0 per path or None) to rows; one per kind."""


def describe(target: Any) -> Any:
    """Return the parameters of a process for messages: its dict form, state or name."""
    if isinstance(target, Process):
        return target.to_dict()
    state = getattr(target, "__dict__", None)
    return {"name": type(target).__name__, **state} if state and not callable(target) else target


def annotate(error: BaseException, failure: SamplerError) -> None:
    """Note on an exception where it came from."""
    error.add_note(str(failure).partition("\n  original traceback")[0])


def describe_error(error: BaseException) -> str:
    """Return an exception as one line, also one whose message cannot be had."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
