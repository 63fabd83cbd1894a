"""The argument ``vary`` of `simulate`: parameters by scenario, and by path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from montezarr.core.errors import ReplayError
from montezarr.random.designs._base import Design
from montezarr.random.designs._built_in import design_from_dict
from montezarr.random.distributions._base import Distribution
from montezarr.random.distributions._built_in import distribution_from_dict
from montezarr.run.digests import digest_of
from montezarr.samplers.schema import PATH

X0, DT = "x0", "dt"


@dataclass(frozen=True, slots=True)
class ScenarioValues:
    """The values of a parameter on dimensions of scenarios.

    Attributes
    ----------
    name : str
        The parameter.
    dims : tuple of str
        Its dimensions.
    values : array
        Numbers, one for each scenario of these dimensions.
    variable : str or None
        The variable whose initial state it is, of several: then the parameter is x0.
    """

    name: str
    dims: tuple[str, ...]
    values: NDArray[Any]
    variable: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of a recipe."""
        variable = {} if self.variable is None else {"variable": self.variable}
        return {
            "names": [self.name], **variable, "dims": list(self.dims),
            "values": self.values.tolist(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class PathArray:
    """The values of a parameter as an array with one entry per path.

    Attributes
    ----------
    name : str
        The parameter.
    dims : tuple of str
        Its dimensions of scenarios.
    values : array or dask array (scenarios ..., n_paths)
        Numbers.
    """

    name: str
    dims: tuple[str, ...]
    values: Any

    @property
    def digest(self) -> str:
        """Digest of all values; of the name in the graph, if they are lazy."""
        is_lazy = isinstance(self.values, da.Array)
        return digest_of(self.values.name if is_lazy else self.values, "vary")

    def digest_at(self, position: Mapping[str, int]) -> str:
        """Digest of the values of all paths in one scenario."""
        index = tuple(position[dim] for dim in self.dims)
        is_lazy = isinstance(self.values, da.Array)
        return digest_of([self.values.name, *index] if is_lazy else self.values[index], "vary")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Parameters that are drawn for each path.

    Attributes
    ----------
    names : tuple of str
        The parameters: several for a joint distribution, or a design.
    distribution : Distribution or Design
        Their distribution, or the design that says which draw of it a path gets.
    """

    names: tuple[str, ...]
    distribution: Distribution | Design

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The names of all that is drawn."""
        return self.distribution.slot_names(self.names)

    def each(self) -> Iterator[tuple[str, Distribution]]:
        """Yield each parameter with its distribution, also a joint one."""
        for names, distribution in self.distribution.parts(self.names):
            for name in names:
                yield name, distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Vary:
    """The checked arguments ``vary`` and ``noise`` of `simulate`.

    Attributes
    ----------
    scenarios : tuple of ScenarioValues
        Parameters by scenario.
    arrays : tuple of PathArray
        Parameters by path, as arrays.
    drawn : tuple of Drawn
        Parameters that are drawn for each path.
    lengths : dict of str to int
        Length of each dimension of scenarios.
    coords : dict of str to (dims, values)
        Coordinates along these dimensions.
    noise : {"common", "independent"}
        Whether scenarios have the same draws.
    """

    scenarios: tuple[ScenarioValues, ...] = ()
    arrays: tuple[PathArray, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    lengths: Mapping[str, int] = field(default_factory=dict)
    coords: Mapping[str, tuple[tuple[str, ...], list[Any]]] = field(default_factory=dict)
    noise: str = "common"

    @property
    def count(self) -> int:
        """Number of scenarios."""
        return math.prod(self.lengths.values())

    @property
    def names(self) -> list[str]:
        """Names of all parameters that vary."""
        return [*dict.fromkeys(p.name for p in self.scenarios), *self.by_path]

    @property
    def own_names(self) -> list[str]:
        """Names of those that are parameters of the process, not arguments of `simulate`."""
        return [name for name in self.names if name not in (X0, DT)]

    @property
    def by_path(self) -> list[str]:
        """Names of the parameters that differ from path to path."""
        return [*(p.name for p in self.arrays), *(n for d in self.drawn for n in d.names)]

    def to_recipe(self) -> dict[str, Any]:
        """Return the entries of a recipe, none where nothing varies; arrays by their digest."""
        if not self.names:
            return {}
        entries = [p.to_dict() for p in self.scenarios]
        for array in self.arrays:
            dims = [*array.dims, PATH]
            entries.append({"names": [array.name], "dims": dims, "digest": array.digest})
        out: dict[str, Any] = {"vary": entries}
        for drawn in self.drawn:
            told = drawn.distribution.to_dict()
            if isinstance(drawn.distribution, Design):
                out["design"] = told
            else:
                entries.append({"names": list(drawn.names), "distribution": told})
        coords = {
            name: {"dims": list(dims), "values": values}
            for name, (dims, values) in self.coords.items()
        }
        if coords:
            out["scenario_coords"] = coords
        if self.noise != "common":
            out["noise"] = self.noise
        return out

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any], arrays: Mapping[str, Any]) -> Vary:
        """Return what `to_recipe` described.

        Parameters
        ----------
        arrays : dict of str to array
            The parameters that came as arrays.

        Raises
        ------
        ReplayError
            If one of these arrays is missing.
        """
        scenarios, columns, drawn = [], [], []
        lengths: dict[str, int] = {}
        for entry in recipe["vary"]:
            names, dims = tuple(entry["names"]), tuple(entry.get("dims", ()))
            if "distribution" in entry:
                drawn.append(Drawn(names, distribution_from_dict(entry["distribution"])))
                continue
            if "digest" in entry:
                if names[0] not in arrays:
                    raise ReplayError(
                        f"ds: its parameter {names[0]!r} is an array, which a recipe does not hold."
                    )
                values = arrays[names[0]]
                columns.append(PathArray(names[0], dims[:-1], values))
            else:
                values = np.asarray(entry["values"])
                variable = str(entry["variable"]) if "variable" in entry else None
                scenarios.append(ScenarioValues(names[0], dims, values, variable))
            lengths.update(dict(zip(dims, values.shape, strict=True)))
        if len({p.name for p in scenarios}) < len({(p.name, not p.variable) for p in scenarios}):
            raise ValueError("one initial state, and those of variables")
        if "design" in recipe:
            design = design_from_dict(recipe["design"])
            drawn.append(Drawn(design.names, design))
        first = recipe["variables"][0]  # has all dimensions of scenarios, in order
        lengths = {dim: lengths[dim] for dim in first.get("dims", [])[: first.get("lead", 0)]}
        coords = {
            name: (tuple(entry["dims"]), entry["values"])
            for name, entry in recipe.get("scenario_coords", {}).items()
        }
        return cls(
            scenarios=tuple(scenarios), arrays=tuple(columns), drawn=tuple(drawn), lengths=lengths,
            coords=coords, noise=recipe.get("noise", "common"),
        )  # fmt: skip

    def values_of(self, position: Mapping[str, int]) -> dict[str, Any]:
        """Return the parameters of the scenario at a position along each dimension.

        Initial states of several variables are a dict.
        """
        found: dict[str, Any] = {}
        for p in self.scenarios:
            value = p.values[tuple(position[dim] for dim in p.dims)].item()
            if p.variable is None:
                found[p.name] = value
            else:
                found.setdefault(p.name, {})[p.variable] = value
        return found

    def positions(self) -> list[dict[str, int]]:
        """Return the position of every scenario, in the order of C."""
        ranges = [range(length) for length in self.lengths.values()]
        return [dict(zip(self.lengths, index, strict=True)) for index in itertools.product(*ranges)]
