"""The interfaces that a sampler may offer, and what follows from each.

Whoever runs samplers asks for these facts, and for no interface by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from montezarr.seeding import BLOCK

Kind = Literal["sample", "sample_paths", "sample_path", "rng", "seed", "legacy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """How a sampler is called, and what a run may therefore do with it.

    Attributes
    ----------
    text : str
        What it is, in words.
    method : str
        Name of the method that draws; empty for a function.
    order : tuple of str
        What the method gets by position.
    unit : int
        Paths that are drawn together or not at all: 1, or a block.
    is_vectorised : bool
        Whether it spends its time in NumPy or Numba, which release the GIL; others loop in Python.
    takes_ranges : bool
        Whether one call draws any range of paths, all variables as one array of one dtype.
    uses_global_state : bool
        Whether it draws from the global state of np.random, of which a process has one.
    stream : str
        What its random numbers are: two runs on one seed that agree in this have the same noise.
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
        """Return the range of paths that are drawn together with one, of those before `stop`."""
        low = path // self.unit * self.unit
        return low, min(low + self.unit, stop)


INTERFACES: Mapping[str, Interface] = {
    "sample": Interface(
        text="sample(draws, grid, x0), counter-based, whole ranges",
        method="sample",
        order=("draws", "grid", "x0"),
        is_vectorised=True,
        takes_ranges=True,
        stream="draws",
    ),
    "sample_paths": Interface(
        text="sample_paths(n, T, x0, rng), a block of paths at a time",
        method="sample_paths",
        order=("n", "T", "x0"),
        unit=BLOCK,
        is_vectorised=True,
        stream="blocks",
    ),
    "sample_path": Interface(
        text="sample_path(T, x0, rng), one path at a time",
        method="sample_path",
        order=("T", "x0"),
    ),
    "rng": Interface(text="a function of a Generator, one path at a time"),
    "seed": Interface(text="a function of an integer seed, one path at a time", stream="integers"),
    "legacy": Interface(
        text="sample_path on the global np.random state, one path at a time",
        method="sample_path",
        order=("T", "x0"),
        uses_global_state=True,
        stream="legacy",
    ),
}
"""By the name that recipes have for each."""


def recorded_interface(recipe: Mapping[str, Any]) -> Interface:
    """Return the interface of the sampler of a recipe; one without facts for an unknown name."""
    name = str(recipe.get("sampler", ""))
    return INTERFACES.get(name) or Interface(text=name)
