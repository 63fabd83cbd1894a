"""Exceptions of montezarr. Each is also the built-in exception that callers expect."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "ConfigError",
    "MemoryBudgetError",
    "MissingDependencyError",
    "MontezarrError",
    "MontezarrWarning",
    "ReplayError",
    "SamplerError",
    "StoreError",
    "StoreExistsError",
    "StoreMismatchError",
    "StoreNotFoundError",
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


class ConfigError(MontezarrError, ValueError):
    """A configuration file has an unknown key, a wrong type or a missing file."""


class ReplayError(MontezarrError, LookupError):
    """The sampler of a Dataset is not at hand, so a path of it cannot be drawn again."""


class StoreError(MontezarrError, OSError):
    """Base of the errors about a store on disk."""


class StoreExistsError(StoreError, FileExistsError):
    """The place to write to holds something that montezarr did not put there."""


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

    def __reduce__(self) -> tuple[Any, ...]:
        # The default of BaseException would call __init__ with the message alone.
        return type(self), (self.message, self.path, self.context, self.traceback)

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  {name}: {text}" for name, text in self.context.items()]
        if self.traceback:
            lines += ["  original traceback:", *(f"    {s}" for s in self.traceback.splitlines())]
        return "\n".join(lines)
