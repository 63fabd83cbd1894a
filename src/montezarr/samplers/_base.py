"""Base class of samplers: bound to grid, seed and variables, they draw a range of paths."""

from __future__ import annotations

import copy
import traceback as tracebacks
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from montezarr.core import buffers
from montezarr.core.checks import show
from montezarr.core.errors import ArgumentValueError, SamplerError
from montezarr.core.tunables.scheduling import PATH_RETRIES
from montezarr.processes import Process
from montezarr.processes.time_grid import TimeGrid
from montezarr.random.seeding import BLOCK_PREFIX, RootSeed, describe_seed
from montezarr.samplers.context import NO_CONTEXT, DrawContext
from montezarr.samplers.interfaces import Interface
from montezarr.samplers.returned import ReturnedVariable, coords_of
from montezarr.samplers.schema import PathArrays, Variable, padding_in

OnError = Literal["raise", "mask", "retry"]
OnNonfinite = Literal["raise", "keep", "mask", "retry"]
InTimes = Literal["whole", "from the start", "resumed"]


SLICE = 4096
"""Paths simulated at once if only some times are kept: complete paths then stay in the cache."""

SLICE_BYTES = 2**25
"""Bytes of such a slice, at most; fewer long paths are simulated at once."""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Sampler(ABC):
    """A sampler with all that its paths depend on; equal samplers give equal paths anywhere.

    `CodeSampler` is the base of the ways to call code that draws. The sampler of a run with varying
    parameters has one such sampler for each scenario.

    Attributes
    ----------
    target : object
        The process or function.
    kind : str
        Name of the interface, a key of `interfaces`.
    grid : TimeGrid
        Times of the simulation.
    seed : RootSeed
        Root entropy.
    variables : tuple of Variable
        Variables that the first path declared.
    coords : dict of str to tuple
        Labels along dimensions of the variables, other than path and time.
    x0 : object
        Initial state of every path, as the caller gave it; ignored if `draw` gets one per path.
    keep : tuple of int or None
        Positions of the grid that are kept, increasing; None keeps all.
    on_error : {"raise", "mask", "retry"}
        Policy for paths on which the sampler fails.
    on_nonfinite : {"raise", "keep", "mask", "retry"}
        Policy for NaN and infinities.
    retries : int
        How often a path is drawn again, from the same stream, under the policy "retry".
    own_times : bool
        Whether the grid is that of the first path, so that all paths must have it.
    foreground : bool
        Whether an exception of the sampler is raised unchanged, for a debugger, with a note.
    options : dict
        Further keyword arguments for the sampler.
    asks : tuple of str or None
        Arguments that a function gets by name; None if the interface determines them.
    format : int
        Format of the recipe: 1, or for counter-based draws with float32 states the newest, unless
        an older recipe says otherwise; see `montezarr.random.draws.FORMAT`.
    context : DrawContext
        In a run with varying parameters: scenario, and parameters by path, of the range to draw.
    """

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
    context: DrawContext = field(default=NO_CONTEXT, compare=False, repr=False)

    # --- implemented by subclasses -----------------------------------------------------------

    @property
    @abstractmethod
    def interface(self) -> Interface:
        """The facts of the interface by which the code is called."""

    @abstractmethod
    def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
        """Return the kept times of paths start ... stop-1, without applying the policies.

        `x0` has the initial state of each of these paths, or is None if they have a common one.

        Raises
        ------
        SamplerError
            If a path fails.
        """

    def draw_under(self, draw: DrawUnder, start: int, stop: int, x0: Any) -> Any:
        """Return what `draw` makes of this sampler and a range: paths under the policies of a run.

        A sampler of several scenarios calls it for each of them, since policies apply to each.
        """
        return draw(self, start, stop, x0)

    def masked_in(self, report: Any, start: int, n: int) -> dict[str, NDArray[np.bool_]] | None:
        """Return where variables of the paths start ... start+n-1 are masked, by name.

        None stands for all variables of the paths in the report. A sampler of several scenarios
        returns arrays (scenarios ..., n) of those variables that scenarios mask.
        """
        return None

    def scenarios_apart(self, x0: Any) -> int:
        """Return the number of scenarios if `draw_apart` can draw them a few at a time, else 0."""
        return 0

    def draw_apart(self, start: int, stop: int, at_once: int) -> Iterator[NDArray[Any]]:
        """Yield the paths start ... stop-1 of a few scenarios after the other.

        Each array (scenarios, times, paths) is valid until the next one is requested.
        """
        raise NotImplementedError

    def is_surely_finite(self, x0: Any) -> bool:
        """Return whether it is proven that no value of these paths can be NaN or infinite."""
        return False

    def draws_key(self) -> Any:
        """Return what samplers have in common that can share their draws; None if none can."""
        return None

    def with_targets(self, change: Callable[[Any], Any]) -> Sampler:
        """Return the sampler with what a function makes of its target."""
        return replace(self, target=change(self.target))

    @property
    def is_one_pass(self) -> bool:
        """Whether many paths at once are drawn as fast as few, path by path, as one pass does.

        Otherwise NumPy is called at each step, for an array of all paths that are drawn at once.
        """
        return not self.interface.takes_ranges

    @property
    def releases_gil(self) -> bool:
        """Whether threads can draw in parallel."""
        return self.interface.is_vectorised

    @property
    def has_events(self) -> bool:
        """Whether some variable differs in length from path to path."""
        return any(variable.has_events for variable in self.variables)

    @property
    def draws_single_paths(self) -> bool:
        """Whether each path is drawn alone, so that a block may be drawn in parts."""
        return self.interface.unit == 1 and not self.interface.is_vectorised

    # --- derived facts -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the process or function, as shown in task names and messages."""
        if not self.interface.method:
            return str(getattr(self.target, "__name__", type(self.target).__name__))
        return type(self.target).__name__

    @property
    def title(self) -> str:
        """Name of the process, with the number of scenarios if there are several."""
        return self.name

    @property
    def may_mask(self) -> bool:
        """Whether paths may be masked: one value of integer variables is then reserved."""
        return "mask" in (self.on_error, self.on_nonfinite)

    @property
    def returned(self) -> tuple[Variable, ...]:
        """The variables that the code returns; others are made of these."""
        return tuple(variable for variable in self.variables if not variable.derived)

    def with_rooms(self, rooms: Mapping[str, int], cuts: bool | None = None) -> Self:
        """Return the sampler with room for so many events, by dimension.

        With `cuts`, paths with more events are cut off; else they fail.
        """
        variables = [v.with_room(rooms) for v in self.variables]
        if cuts is not None:
            variables = [replace(v, cuts=cuts) if v.has_events else v for v in variables]
        return replace(self, variables=tuple(variables))

    @property
    def n_times(self) -> int:
        """Number of times in the result."""
        return self.grid.T + 1 if self.keep is None else len(self.keep)

    @property
    def leads(self) -> dict[str, int]:
        """Number of dimensions of scenarios, which come before the paths, by variable."""
        return {variable.name: variable.lead for variable in self.variables}

    @property
    def times(self) -> NDArray[np.float64]:
        """The times in the result."""
        times = self.grid.times
        return times if self.keep is None else times[list(self.keep)]

    def keeping(self, positions: tuple[int, ...]) -> Sampler | None:
        """Return the sampler that keeps these of its times, increasing, and takes less time.

        Its paths are the same, with the same failures. None if there is no such sampler.
        """
        return None

    def only(self, names: Collection[str]) -> Sampler | None:
        """Return the sampler that draws these of its variables, at least, and takes less time.

        Their values are the same, with the same failures. None if there is no such sampler.
        """
        return None

    @property
    def in_times(self) -> InTimes:
        """How paths are drawn a few times at a time.

        "whole": not at all. "from the start": by `first_times`. "resumed": by `later_times` too.
        """
        return "whole"

    def first_times(self, start: int, stop: int, x0: Any, last: int) -> PathArrays:
        """Return the times 0 ... last of the paths start ... stop-1, as `draw` has them."""
        raise NotImplementedError

    def later_times(
        self, paths: NDArray[np.int64], first: int, last: int, states: PathArrays
    ) -> PathArrays:
        """Return the times first ... last of paths, as `draw` has them.

        Parameters
        ----------
        paths : array (n,)
            Their indices, increasing.
        first, last : int
            Positions of the grid.
        states : dict of str to array (..., n)
            Their values at `first`.
        """
        raise NotImplementedError

    def padding(self, variable: Variable, arrays: PathArrays) -> NDArray[np.bool_] | None:
        """Return where a variable of paths has no values but padding; None for nowhere."""
        return padding_in(variable, self.variables, arrays) if variable.has_events else None

    def auxiliary_coords(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Return dims and values of coordinates that are none of a dimension, as CF calls them."""
        return {}

    @property
    def path_bytes(self) -> int:
        """Bytes of one path with its kept times."""
        return sum(variable.bytes(self.n_times) for variable in self.variables)

    @property
    def whole_path_bytes(self) -> int:
        """Bytes of one path with all its times."""
        return sum(variable.bytes(self.grid.T + 1) for variable in self.variables)

    @property
    def drawn_path_bytes(self) -> int:
        """Bytes of one path with all its times while it is drawn: of one scenario at a time."""
        return self.whole_path_bytes

    @property
    def slice_paths(self) -> int:
        """Number of complete paths that are simulated at once if only some times are kept."""
        return max(1, min(SLICE, SLICE_BYTES // max(1, self.whole_path_bytes)))

    def scratch_bytes(self, length: int) -> int:
        """Return the bytes of complete paths that drawing takes beside those that are kept.

        Needed if only some times are kept, and by a sampler of whole blocks. `length` is the number
        of paths of the run.
        """
        at_once = 0 if self.keep is None else 1
        if self.interface.unit > 1:
            at_once = self.interface.unit
        elif at_once and self.interface.takes_ranges:
            at_once = min(self.slice_paths, length)
        return at_once * self.drawn_path_bytes

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
        """Return the initial state of the path at `position` in a range, or the common one."""
        if x0 is None:
            return self.common_x0()
        value = x0[..., position]
        if value.dtype.names is not None:
            state = dict(zip(value.dtype.names, value.item(), strict=True))
            return own(state) if value.dtype.hasobject else state
        return value.item() if value.ndim == 0 else value.copy()

    def common_x0(self) -> Any:
        """Return the common initial state, as a copy if the sampler could change it."""
        if self.x0 is None or isinstance(self.x0, (int, float, str, np.generic)):
            return self.x0
        return own(self.x0)

    # --- failures ----------------------------------------------------------------------------

    def attempt(self, function: Callable[[], Any], path: int, x0: Any, where: str = "") -> Any:
        """Call the user's code, and raise its exceptions as the failure of a path.

        Raises
        ------
        SamplerError
            For any exception, also SystemExit, which would end a worker silently.
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
        # Outside the except block, so that the original error, which may not be picklable, is not
        # attached as its context.
        raise failed

    def read(self, path: int, x0: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function that reads a returned value, and raise its errors as those of the path.

        The user's code may return any object. Without this, an error in reading it would name no
        path, and no policy would apply.
        """
        try:
            return function(*arguments)
        except SamplerError:
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, ArgumentValueError) else describe_error(error)
            raise self.failure(path, x0, reason) from None

    def check_names(self, parts: Mapping[str, ReturnedVariable], path: int, x0: Any) -> None:
        """Raise if a path, or a block, has other variables than the first one."""
        names = [variable.name for variable in self.returned]
        if set(parts) != set(names):
            raise self.failure(path, x0, f"returned {sorted(parts)}, expected {names}.")

    def in_order(
        self, variable: Variable, part: ReturnedVariable, path: int, x0: Any, lead: int = 0
    ) -> NDArray[Any]:
        """Return a returned variable with its named axes, after the first `lead`, in order.

        A single axis keeps its place under any name: `dims` of `simulate` may rename it.
        """
        if part.dims is None or part.dims == variable.dims or len(part.dims) == 1:
            return part.array
        if set(part.dims) != set(variable.dims):
            message = f"{variable.name}: returned {part.dims}, expected {variable.dims}."
            raise self.failure(path, x0, message)
        order = [lead + part.dims.index(dim) for dim in variable.dims]
        return part.array.transpose([*range(lead), *order])

    def check_labels(self, value: Any, path: int, x0: Any) -> None:
        """Raise if a returned value has other labels than the first path.

        Values are stored by position, so other labels would be lost.
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

    def _varied(self, path: int | None) -> dict[str, str]:
        """Return the entry of an error's context with the varying parameters, if there are any."""
        varied = self.context.scenario if path is None else self.context.at(path)
        return {"varied": ", ".join(f"{k}={show(v)}" for k, v in varied.items())} if varied else {}

    def failure(self, path: int | None, x0: Any, message: str, error: Any = None) -> SamplerError:
        """Return the error of a path, with the context that reproduces it."""
        context = {
            "seed key": self.seed_key(path),
            "T": str(self.grid.T),
            "x0": show(x0),
            "parameters": show(describe(self.target), 300),
            **self._varied(path),
            "replay": self.context.replay_line(path),
        }
        text = "".join(tracebacks.format_exception(error)).rstrip() if error is not None else ""
        # Dask replaces errors of over 10,000 characters by other ones.
        text = text if len(text) <= 6000 else f"{text[:2000]}\n...\n{text[-4000:]}"
        message = message if len(message) <= 1000 else message[:997] + "..."
        where = "a range of paths" if path is None else f"path {path}"
        return SamplerError(f"{self.name}: {where}: {message}", path, context, text)


DrawUnder = Callable[[Sampler, int, int, Any], Any]
"""Function that draws a range of paths of a sampler under the policies of a run."""


def own(value: Any) -> Any:
    """Return a deep copy of a value; the value itself if it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # it holds an object that cannot be copied
        return value


def describe(target: Any) -> Any:
    """Return the parameters of a process for messages: its dict form, state or name."""
    if isinstance(target, Process):
        return target.to_dict()
    state = getattr(target, "__dict__", None)
    return {"name": type(target).__name__, **state} if state and not callable(target) else target


def annotate(error: BaseException, failure: SamplerError) -> None:
    """Add a note to an exception that says which path raised it."""
    error.add_note(str(failure).partition("\n  original traceback")[0])


def describe_error(error: BaseException) -> str:
    """Return type and message of an exception; the type alone if its ``__str__`` fails."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
