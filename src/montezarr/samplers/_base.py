"""What a worker runs: a sampler bound to grid, seed and variables, from path range to arrays."""

from __future__ import annotations

import copy
import traceback as tracebacks
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.checks import show
from montezarr.core.errors import ArgumentValueError, SamplerError
from montezarr.core.tunables.scheduling import PATH_RETRIES
from montezarr.processes import Process
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.seeding import BLOCK_PREFIX, RootSeed, describe_seed
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.returned import ReturnedVariable, coords_of
from montezarr.samplers.schema import PathArrays, Variable

OnError = Literal["raise", "mask", "retry"]
OnNonfinite = Literal["raise", "keep", "mask", "retry"]


EVENT_TIME = "event_time"
"""Variable that holds the times of paths which bring their own, such as those of a queue."""

SLICE = 4096
"""Paths simulated at once where only some times are kept: what is dropped stays in the cache."""

SLICE_BYTES = 2**25
"""Bytes that such a slice may take; long paths are simulated fewer at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Sampler(ABC):
    """A sampler with all that its paths depend on; the same value gives the same paths anywhere.

    A subclass is one way to call code that draws. It says of each of its interfaces, by the name
    that recipes have for it, what follows from it, and whether some code offers it.

    Attributes
    ----------
    target : object
        The process or function.
    kind : str
        Which of `interfaces` is used.
    grid : TimeGrid
        Times of the simulation.
    seed : RootSeed
        Root entropy.
    variables : tuple of Variable
        What the first path declared.
    coords : dict of str to tuple
        Labels along dimensions of the variables, other than path and time.
    x0 : object
        Initial state of every path, as the caller gave it; ignored where `draw` gets one per path.
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
    asks : tuple of str or None
        What a function gets by name, where the interface does not say so by itself.
    format : int
        Format of the recipe: 1, or where counter draws make float32 states, the newest, unless an
        older recipe says otherwise; see `montezarr.random.draws.FORMAT`.
    """

    interfaces: ClassVar[Mapping[str, Interface]]

    target: Any
    kind: str
    grid: TimeGrid
    seed: RootSeed
    variables: tuple[Variable, ...] = ()
    coords: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    x0: Any = None
    keep: tuple[int, ...] | None = None
    on_error: OnError = "raise"
    on_nonfinite: OnNonfinite = "raise"
    retries: int = PATH_RETRIES
    own_times: bool = False
    foreground: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] | None = None
    format: int = 1

    # --- what a subclass says ----------------------------------------------------------------

    @classmethod
    @abstractmethod
    def offered(cls, target: Any, options: Mapping[str, Any], legacy: bool) -> str | None:
        """Return which of its interfaces some code offers; None for none.

        `options` are further keyword arguments that the caller gives it, and `legacy` is whether
        code on the global np.random state is asked for.

        Raises
        ------
        ArgumentTypeError
            For code that is meant for it and lacks something.
        """

    @abstractmethod
    def bind(self, declared: Any) -> Sampler:
        """Return it with the variables that its first paths have; see `schema.Asked`."""

    @abstractmethod
    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1, whatever the policies are.

        `x0` has the initial state of each of these paths, where they differ.

        Raises
        ------
        SamplerError
            If one of them fails.
        """

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[tuple[Any, Mapping[str, Any]], ...]:
        """Return code that it draws, with arguments of `simulate`, for the conformance suite."""

    @classmethod
    @abstractmethod
    def fragile(cls) -> tuple[Any, Mapping[str, Any]]:
        """Return code that it draws, with arguments, of which some paths are no good.

        It has one variable x(time) of floats and two options, in terms of the largest value of a
        path: where that is above `limit` it raises, or else where it is above `ceiling` the last
        value is infinite. The conformance suite chooses which paths these are.
        """

    def is_surely_finite(self, x0: Any) -> bool:
        """Return whether no value of these paths can be NaN or infinite, by mathematics."""
        return False

    @property
    def releases_gil(self) -> bool:
        """Whether threads draw at the same time."""
        return self.interface.is_vectorised

    # --- what follows ------------------------------------------------------------------------

    @property
    def interface(self) -> Interface:
        """What follows from how the sampler is called."""
        return self.interfaces[self.kind]

    @property
    def name(self) -> str:
        """Name of the process or function, as it shows in task names and messages."""
        if not self.interface.method:
            return str(getattr(self.target, "__name__", type(self.target).__name__))
        return type(self.target).__name__

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

    @property
    def path_bytes(self) -> int:
        """Bytes of one path, with the times that are kept."""
        return sum(variable.bytes(self.n_times) for variable in self.variables)

    @property
    def whole_path_bytes(self) -> int:
        """Bytes of one path with all its times."""
        return sum(variable.bytes(self.grid.T + 1) for variable in self.variables)

    @property
    def slice_paths(self) -> int:
        """Number of complete paths that are simulated at once where only some times are kept."""
        return max(1, min(SLICE, SLICE_BYTES // max(1, self.whole_path_bytes)))

    def new_arrays(self, n: int) -> PathArrays:
        """Return uninitialised arrays for the kept times of `n` paths."""
        times = self.n_times
        return {
            v.name: buffers.recycled_empty((*v.shape(times), n), v.dtype) for v in self.variables
        }

    def thin(self, variable: Variable, array: NDArray[Any]) -> NDArray[Any]:
        """Return the kept times of a complete variable (dims ..., n)."""
        return array if self.keep is None else variable.at_times(array, self.keep)

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

    # --- failures ----------------------------------------------------------------------------

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

    def read(self, path: int, x0: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function reads of a path, or raise the failure of the path.

        It may be anything. Where it is returned as it is, an error would have no path, and no
        policy would know of it.
        """
        try:
            return function(*arguments)
        except SamplerError:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, ArgumentValueError) else describe_error(error)
            raise self.failure(path, x0, reason) from None

    def check_names(self, parts: Mapping[str, ReturnedVariable], path: int, x0: Any) -> None:
        """Raise where a path, or a block, has other variables than the first one had."""
        names = [variable.name for variable in self.variables]
        if set(parts) != set(names):
            raise self.failure(path, x0, f"returned {sorted(parts)}, expected {names}.")

    def in_order(
        self, variable: Variable, part: ReturnedVariable, path: int, x0: Any, lead: int = 0
    ) -> NDArray[Any]:
        """Return what was returned of a variable, its named axes after the first `lead` in order.

        One axis is what it is, whatever it was called: `dims` of `simulate` may name it anew.
        """
        if part.dims is None or part.dims == variable.dims or len(part.dims) == 1:
            return part.array
        if set(part.dims) != set(variable.dims):
            message = f"{variable.name}: returned {part.dims}, expected {variable.dims}."
            raise self.failure(path, x0, message)
        order = [lead + part.dims.index(dim) for dim in variable.dims]
        return part.array.transpose([*range(lead), *order])

    def check_labels(self, value: Any, path: int, x0: Any) -> None:
        """Raise where what was returned has other labels than the first path had.

        Values go to their places in order, so they would be those of other labels.
        """
        if not self.coords:
            return
        for dim, labels in self.read(path, x0, coords_of, value).items():
            if labels != self.coords.get(dim, labels):
                message = f"returned {dim} = {show(labels)}, expected {show(self.coords[dim])}."
                raise self.failure(path, x0, message)

    def seed_key(self, path: int | None) -> str:
        """Return the Python expression of the stream of a path, or of its block."""
        if path is None or self.interface.takes_ranges:
            return describe_seed(self.seed)
        if self.interface.unit > 1:
            return describe_seed(self.seed, BLOCK_PREFIX, path // self.interface.unit)
        return describe_seed(self.seed, path)

    def failure(self, path: int | None, x0: Any, message: str, error: Any = None) -> SamplerError:
        """Return the error of a path, with what is needed to see it again."""
        context = {
            "seed key": self.seed_key(path),
            "T": str(self.grid.T),
            "x0": show(x0),
            "parameters": show(describe(self.target), 300),
            "replay": f"mz.replay(ds, {'path' if path is None else path})",
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
