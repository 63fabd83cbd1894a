"""Facts about the interfaces by which samplers are called.

Code that runs samplers uses these facts, and never tests for an interface by name.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """How a sampler is called, and what a run may therefore do with it.

    Attributes
    ----------
    text : str
        Description for messages.
    method : str
        Name of the method that draws; empty for a function.
    order : tuple of str
        Positional arguments of the method.
    unit : int
        Number of paths that are always drawn together: 1, or a block.
    is_vectorised : bool
        Whether it spends its time in NumPy or Numba, which release the GIL, not in Python loops.
    takes_ranges : bool
        Whether one call draws any range of paths, from one array of their initial states.
    uses_global_state : bool
        Whether it draws from the global state of np.random, of which each process has one.
    stream : str
        Kind of its random numbers: two runs with the same seed and kind have the same noise.
    """

    text: str
    method: str = ""
    order: tuple[str, ...] = ()
    unit: int = 1
    is_vectorised: bool = False
    takes_ranges: bool = False
    uses_global_state: bool = False
    stream: str = "paths"

    def function_of(self, process: Any) -> Any:
        """Return the function or method of a process that draws."""
        return getattr(process, self.method) if self.method else process

    def drawn_with(self, path: int, stop: int) -> tuple[int, int]:
        """Return the range of paths that are drawn together with `path`, up to `stop`."""
        low = path // self.unit * self.unit
        return low, min(low + self.unit, stop)


def compiled_from(function: Any) -> Any:
    """Return the Python function that Numba compiled, or `function` itself."""
    return getattr(function, "py_func", function) if is_compiled(function) else function


def is_compiled(function: Any) -> bool:
    """Return whether Numba compiled a function."""
    return type(function).__module__.startswith("numba.")


def signature(function: Any) -> inspect.Signature:
    """Return the signature of a Python or Numba-compiled function."""
    return inspect.signature(compiled_from(function))


def named_parameters(function: Any) -> frozenset[str]:
    """Return the names by which a function takes arguments, none for one without a signature."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return frozenset(p.name for p in _parameters(function) if p.kind not in several)


def accepts(function: Any, *keywords: str) -> bool:
    """Return whether a function takes any of some keywords, by name or through ``**``."""
    unnamed = inspect.Parameter.VAR_POSITIONAL
    return any(
        p.kind is inspect.Parameter.VAR_KEYWORD or (p.kind is not unnamed and p.name in keywords)
        for p in _parameters(function)
    )


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Return the parameters of a function, none of one that is written in C without a signature."""
    try:
        return list(signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
