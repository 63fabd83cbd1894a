"""The interface of block sources: paths, as tasks that fold them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import xarray as xr

from montezarr.core.checks import value_error
from montezarr.execute import Backend, configured
from montezarr.execute.run_monitor import RunMonitor
from montezarr.execute.threads import Threads
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, Arrays, PartialState
from montezarr.reduction.sources._dataset_function import DatasetFunction
from montezarr.reduction.sources._schema import Schema
from montezarr.run.digests import digest_of
from montezarr.run.in_parts import results_of
from montezarr.samplers import FailureReport

FingerprintFunction = Callable[[], str]
"""Returns the identity of the values."""

Result = tuple[list[tuple[int, PartialState]], FailureReport]
"""What a task returns: the end and partial state of each part, and a failure report."""


SplitsBetween = Callable[[int, int], tuple[int, ...]]
"""From a range of paths (start, stop) to the splits in it."""


def no_splits(start: int, stop: int) -> tuple[int, ...]:
    """Return no splits."""
    return ()


class BlockSource(ABC):
    """The paths of an object, as tasks that fold them.

    Attributes
    ----------
    schema : Schema
        The variables that statistics see.
    n_paths : int or None
        Number of paths; None for a run without end.
    backend : Backend
        Where tasks run.
    how : str
        How paths are drawn or computed, for `plan`.
    key : function
        Returns the identity of the values, for states that are resumed.
    process : str
        Name of the simulated process, where it is known.
    transform : DatasetFunction or None
        What the user makes of the paths before statistics see them.
    marks_masked : bool
        Whether masked paths are known by themselves, not by their values.
    grain : int
        A stream has its snapshots at multiples of so many paths: those that are drawn together.
    """

    schema: Schema
    n_paths: int | None
    backend: Backend
    how: str
    key: FingerprintFunction
    process: str = ""
    transform: DatasetFunction | None = None
    marks_masked: bool = False
    grain: int = BLOCK

    def apply_transform(self, transform: Callable[[xr.Dataset], Any], first: Arrays) -> None:
        """Let statistics see what a function of the user makes of the paths.

        Parameters
        ----------
        transform : callable
            From a Dataset in memory to what statistics see in its place.
        first : list of array
            The first paths, on which it is checked.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If it is no such function.
        """
        for variable in self.schema.variables:
            if variable.masked is not None and not self.marks_masked:
                raise value_error(
                    "transform", "a Dataset without masked integers", variable.name,
                    "Mask them before, by x.where(x != x.masked_value).drop_attrs().",
                )  # fmt: skip
        self.transform = DatasetFunction(transform, self.schema)
        self.schema = self.transform.schema_of_result(first)
        key = self.key
        # The argument was called observe when the first states were saved: those can be resumed.
        self.key = lambda: f"{key()}-{digest_of(transform, 'observe')}"

    @abstractmethod
    def task(self, accumulator: Accumulator) -> Callable[[Any], Result]:
        """Return the task, a function of an item."""

    def whole_task(self, accumulator: Accumulator) -> Callable[[Any], Result]:
        """Return the task of a pass over all paths, after which no paths are added."""
        return self.task(accumulator)

    @abstractmethod
    def size(self) -> int:
        """Return the number of paths that one task should cover."""

    def graph_size(self) -> int:
        """Return the number of paths of a task in a Dask graph, the same at every call."""
        return self.size()

    @abstractmethod
    def items(
        self, start: int, stop: int, size: int, splits: SplitsBetween = no_splits
    ) -> Iterator[Any]:
        """Yield the items that cover the paths start ... stop-1, of about `size` paths each.

        An item is (start, stop, splits, what else the task needs).
        """

    @property
    def part(self) -> int | None:
        """Paths of a task if it draws a part of an item, which is then folded in this thread."""
        return None

    def results(
        self, task: Callable[[Any], Result], items: Iterable[Any], monitor: RunMonitor,
        **options: Any,
    ) -> Generator[tuple[int, int, Result | None], None, None]:  # fmt: skip
        """Yield first path and end of what a task has done, and the result of a finished item.

        The options are those of `windowed`.
        """
        return results_of(self.backend, None, None, task, items, monitor, **options)

    @property
    def seconds(self) -> float | None:
        """Seconds that drawing all paths takes, where known."""
        return None

    @property
    @abstractmethod
    def block_bytes(self) -> int:
        """Bytes that a worker holds at once."""

    def bytes_with(self, accumulator: Accumulator) -> int:
        """Return the bytes that a worker holds at once to fold paths by this accumulator."""
        return self.block_bytes

    def part_bytes(self, share: float) -> int:
        """Return `block_bytes` for an expression that takes this share of the values."""
        return int(share * self.block_bytes)


@contextmanager
def noting_range(start: int, stop: int) -> Iterator[None]:
    """Note on an exception from where it came: a selection has its paths at other positions."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"while paths {start} to {stop - 1}, by their position, were folded into statistics"
        )
        raise


def any_backend() -> Backend:
    """Return the backend in force, or threads, for what no sampler draws."""
    return configured() or Threads(reason="auto: what releases the GIL, mostly")
