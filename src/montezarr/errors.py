"""Exceptions of montezarr. Each is also the built-in exception that callers expect."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "ConfigError",
    "MaskedPathsWarning",
    "MemoryBudgetError",
    "MissingDependencyError",
    "MontezarrError",
    "MontezarrWarning",
    "ReplayError",
    "SamplerError",
    "StoreError",
    "StoreExistsError",
    "StoreLockedError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "WorkerDied",
    "WorkerTimeout",
]


class MontezarrError(Exception):
    """Base of every exception that montezarr raises on purpose."""


class MontezarrWarning(UserWarning):
    """Category of every warning that montezarr issues."""


class ArgumentTypeError(MontezarrError, TypeError):
    """An argument has a type that is not accepted."""


class ArgumentValueError(MontezarrError, ValueError):
    """An argument has an accepted type and a value, shape or size that is not."""


class MemoryBudgetError(ArgumentValueError):
    """A run or one chunk of it cannot fit; the message shows the projected bytes."""


class MissingDependencyError(MontezarrError, ImportError):
    """An optional package is absent; the message has the line that installs it."""


class MaskedPathsWarning(MontezarrWarning):
    """Some paths failed and were masked.

    Attributes
    ----------
    paths : tuple of int
        Their indices.
    """

    def __init__(self, paths: tuple[int, ...], reason: str, n_paths: int):
        super().__init__(paths, reason, n_paths)
        self.paths, self.reason, self.n_paths = paths, reason, n_paths

    def __str__(self) -> str:
        listed = ", ".join(str(path) for path in self.paths[:20])
        more = f" and {len(self.paths) - 20:,} more" if len(self.paths) > 20 else ""
        return (
            f"{len(self.paths):,} of {self.n_paths:,} paths failed and are masked: paths"
            f" {listed}{more}. The first: {self.reason.rstrip('.')}. They are NaN, or in integer"
            " variables the number in their attribute masked_value, which a mean would count. If"
            " failing depends on the path, averages over the rest are biased towards the survivors."
        )


class ConfigError(MontezarrError, ValueError):
    """A configuration file has an unknown key, a wrong type or a missing file."""


class ReplayError(MontezarrError, LookupError):
    """The sampler of a Dataset is not at hand, so a path of it cannot be drawn again."""


class StoreError(MontezarrError, OSError):
    """Base of the errors about a store on disk."""


class StoreExistsError(StoreError, FileExistsError):
    """The place to write to holds something that montezarr did not put there."""


class StoreLockedError(StoreError, BlockingIOError):
    """Somebody else is writing the store."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no montezarr store, or no committed path, at the place to read from."""


class StoreMismatchError(StoreError, ValueError):
    """The store holds another recipe than the one to be written."""


class SamplerError(MontezarrError, RuntimeError):
    """A sampler raised, or returned what it did not declare.

    Attributes
    ----------
    path : int or None
        Index of the first failing path that could be singled out.
    context : dict
        ``seed_key``, ``T``, ``x0``, ``parameters`` and ``replay`` (the line to paste), as text.
    traceback : str
        The traceback of the original exception, from the process where it was raised.
    """

    def __init__(self, message: str, path: int | None, context: dict[str, str], traceback: str):
        super().__init__(message)
        self.message = message
        self.path = path
        self.context = dict(context)
        self.traceback = traceback

    def with_replay(self, line: str | None) -> SamplerError:
        """Return the error with another line to paste, or with none."""
        context = {name: text for name, text in self.context.items() if name != "replay"}
        context |= {} if line is None else {"replay": line}
        return SamplerError(self.message, self.path, context, self.traceback)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default of BaseException would call __init__ with the message alone.
        return type(self), (self.message, self.path, self.context, self.traceback)

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  {name}: {text}" for name, text in self.context.items()]
        if self.traceback:
            lines += ["  original traceback:", *(f"    {s}" for s in self.traceback.splitlines())]
        return "\n".join(lines)


def _paths(start: int | None, stop: int | None) -> str:
    return "one task" if start is None or stop is None else f"paths {start} to {stop - 1}"


class WorkerDied(MontezarrError, RuntimeError):
    """A worker process died on a task, and again on each attempt to repeat it.

    Attributes
    ----------
    start, stop : int or None
        The range of paths that it worked on, where that is known.
    deaths : int
        How often a worker died on it.
    causes : tuple of str
        How the workers ended, as far as that is known.
    """

    def __init__(
        self,
        deaths: int,
        causes: tuple[str, ...] = (),
        start: int | None = None,
        stop: int | None = None,
    ):
        super().__init__(deaths, causes, start, stop)
        self.deaths, self.causes, self.start, self.stop = deaths, causes, start, stop

    def __str__(self) -> str:
        how = f" ({'; '.join(self.causes)})" if self.causes else ""
        return (
            f"{_paths(self.start, self.stop)}: the worker died {self.deaths} times{how}, so it was"
            " given up. Draw these paths with backend='synchronous' under a debugger, or use less"
            " memory per chunk."
        )


class WorkerTimeout(MontezarrError, TimeoutError):
    """A task took longer than `timeout=`, and its worker was killed.

    Attributes
    ----------
    start, stop : int or None
        The range of paths that it worked on, where that is known.
    timeout : float
        Seconds that a task may take.
    """

    def __init__(self, timeout: float, start: int | None = None, stop: int | None = None):
        super().__init__(timeout, start, stop)
        self.timeout, self.start, self.stop = timeout, start, stop

    def __str__(self) -> str:
        return (
            f"{_paths(self.start, self.stop)}: took longer than timeout = {self.timeout:g} s, and"
            " its worker was killed. Allow more time, take smaller batches, or look for a loop"
            " without end."
        )
