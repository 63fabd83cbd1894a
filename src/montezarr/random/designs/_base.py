"""Base of the designs: parameters of groups of consecutive paths, addressed by path index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from montezarr.core.checks import MAX_INDEX, check_int, type_error, value_error
from montezarr.random.distributions._base import Array, Distribution
from montezarr.random.distributions._built_in import as_distribution
from montezarr.random.seeding import BLOCK, RootSeed

Entries = tuple[tuple[tuple[str, ...], Distribution], ...]
"""Names of parameters and their distribution, of several ones for a joint distribution."""

SIZE_MAX = BLOCK
"""Most paths of a group: statistics of groups let one extend over two blocks, and no more."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a statistic needs to know of a design: how the paths of a run belong together.

    Attributes
    ----------
    design : str
        Name of the design.
    names : tuple of str
        Its parameters, in order.
    size : int
        Paths of a group: path i belongs to group ``i // size``.
    """

    design: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Design(ABC):
    """Base of the designs: path i gets its parameters by its group and its place in the group.

    A design stands where distributions stand in ``vary=`` of `montezarr.simulate`. It has no
    state, and the parameters of a path depend on seed, stream, names, distributions and i alone: so
    a run on a design is extended, resumed and replayed as any other.

    Attributes
    ----------
    entries : tuple of (names, distribution)
        The parameters, in order.
    n : int or None
        Number of groups; None for any number. It is no part of the recipe.
    """

    name: ClassVar[str]

    entries: Entries
    n: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in order: the key of the design in ``vary=``, beside other entries."""
        return tuple(name for names, _ in self.entries for name in names)

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of paths of a group."""

    @property
    def n_paths(self) -> int | None:
        """Number of paths of the design, for `montezarr.simulate`; None without an end."""
        return None if self.n is None else self.n * self.size

    @property
    def grouping(self) -> Grouping:
        """What statistics need to know."""
        return Grouping(self.name, self.names, self.size)

    @abstractmethod
    def by_name(
        self, names: tuple[str, ...], seed: RootSeed, start: int, n: int
    ) -> dict[str, Array]:
        """Return all parameters of paths start ... start+n-1, by name; as a `Distribution` does."""

    @property
    def low(self) -> dict[str, float]:
        """The smallest value that each parameter can have."""
        return {name: _end(d.low, name) for names, d in self.entries for name in names}

    @property
    def high(self) -> dict[str, float]:
        """The largest value that each parameter can have."""
        return {name: _end(d.high, name) for names, d in self.entries for name in names}

    def slot_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of all that is drawn for these parameters."""
        return names

    def parts(self, names: tuple[str, ...]) -> Entries:
        """Return the distributions of these parameters, all of them."""
        return self.entries

    def to_dict(self) -> dict[str, Any]:
        """Return the design as JSON; parameters are a list, since their order counts."""
        parameters = [
            {"names": list(names), "distribution": distribution.to_dict()}
            for names, distribution in self.entries
        ]
        return {"name": self.name, "parameters": parameters, **self.more()}

    def more(self) -> dict[str, Any]:
        """Return what else the JSON form has."""
        return {}

    def check_paths(self, n_paths: int | None) -> None:
        """Raise unless a number of paths is one of whole groups, and that of the design.

        Raises
        ------
        ArgumentValueError
            With the next number of paths that is.
        """
        if n_paths is None:
            return
        if n_paths % self.size and self.n is None:
            following = -(-n_paths // self.size) * self.size
            raise value_error(
                "n_paths", f"a multiple of {self.size}, the paths of a group of the design"
                f" {self.name!r}, such as {following}", n_paths,
            )  # fmt: skip
        if self.n is not None and n_paths != self.n_paths:
            raise value_error(
                "n_paths", f"{self.n_paths}, as the design has {self.n} groups of {self.size}",
                n_paths, "Pass n_paths=design.n_paths, or make the design with another number.",
            )  # fmt: skip


def _end(end: Any, name: str) -> float:
    return float(end[name] if isinstance(end, Mapping) else end)


def check_entries(parameters: Any) -> Entries:
    """Return the parameters of a design, checked.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is no mapping of names, or tuples of them, to distributions, or is empty.
    """
    expected = "a mapping of names of parameters to distributions"
    if not isinstance(parameters, Mapping):
        raise type_error("parameters", expected, parameters)
    if not parameters:
        raise value_error("parameters", f"{expected}, not empty", parameters)
    entries = []
    for key, value in parameters.items():
        names = key if isinstance(key, tuple) else (key,)
        for name in names:
            # Further draws of a parameter have its name with a blank, see `SECOND`.
            if not isinstance(name, str) or not name.isidentifier():
                raise value_error("parameters", "names of parameters as keys", key)
        distribution = as_distribution(value)
        if distribution is None:
            raise type_error(f"parameters[{key!r}]", "a distribution", value)
        own = distribution.names
        if own != (names if own else ()) or (not own and len(names) != 1):
            expected = f"the names of the distribution, {own}" if own else "one name"
            raise value_error("parameters", f"{expected}, as the key of {distribution}", key)
        entries.append((names, distribution))
    known = [name for names, _ in entries for name in names]
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise value_error("parameters", "each parameter once", twice)
    return tuple(entries)


def check_groups(n: Any, size: int) -> int | None:
    """Return the number of groups of `size` paths, checked; None for any number."""
    return None if n is None else check_int("n", n, minimum=1, maximum=MAX_INDEX // size)
