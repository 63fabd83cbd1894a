"""What the paths of an object are made of: its variables, graph and attributes, looked at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import xarray as xr
from dask.base import is_dask_collection

from montezarr.random.seeding import BLOCK
from montezarr.run._attributes import ATTRIBUTE, Carried, carried_by, check_recipe, recipe_in
from montezarr.run._origins import Origin, draws_paths, origins_behind
from montezarr.run._recorded import events_in
from montezarr.run._several import recipe_of_several
from montezarr.run._variables import variables_of
from montezarr.samplers.schema import PATH


@dataclass(frozen=True, eq=False)
class Provenance:
    """Facts about the runs behind an object; `Run.behind` finds or makes the run itself.

    Attributes
    ----------
    obj : Dataset, DataArray or any other
        The object; one that is not of xarray is made of no paths.
    variables : dict of Variable
        Its variables by name.
    """

    obj: Any
    variables: Mapping[Any, xr.Variable]

    @classmethod
    def of(cls, obj: Any) -> Provenance:
        """Return the provenance of any object."""
        is_known = isinstance(obj, (xr.Dataset, xr.DataArray))
        return cls(obj, variables_of(obj) if is_known else {})

    @cached_property
    def layers(self) -> dict[str, Any]:
        """The layers of the graphs of the lazy variables, by name."""
        graphs = [v.data.dask for v in self.variables.values() if is_dask_collection(v.data)]
        return {name: layer for g in graphs for name, layer in getattr(g, "layers", {}).items()}

    @cached_property
    def origins(self) -> dict[str, Origin]:
        """The arrays of paths that the lazy variables are made of, by their names in the graph."""
        return origins_behind(variable.data for variable in self.variables.values())

    @property
    def runs(self) -> list[Any]:
        """The `Run` of each of these arrays that is of a live run of this process, in order."""
        return [origin.run for origin in self.origins.values() if origin.run is not None]

    @property
    def run(self) -> Any:
        """The only live `Run`; None if there is none, or several."""
        return self.runs[0] if len(self.runs) == 1 else None

    @property
    def is_lazy(self) -> bool:
        """Whether all variables are lazy."""
        return all(variable.chunks is not None for variable in self.variables.values())

    @property
    def is_simulated(self) -> bool:
        """Whether lazy variables are made of arrays of `simulate`, of any process."""
        return any(draws_paths(name, layer) for name, layer in self.layers.items())

    @property
    def is_endless(self) -> bool:
        """Whether a run behind the object has no number of paths."""
        carried = self.carried
        is_told = carried is not None and carried.is_endless
        return is_told or any(run.is_endless for run in self.runs)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The recipe in the attributes; without one, that of the live runs of the lazy variables.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If there is none.
        """
        recipes = {}
        if ATTRIBUTE not in getattr(self.obj, "attrs", {}):
            recipes = {origin.identity: origin.recipe for origin in self.origins.values()}
        if len(recipes) > 1 and len(self.runs) == len(self.origins):
            return recipe_of_several([run.recipe for run in self.runs])
        if len(recipes) != 1:
            return recipe_in(self.obj)
        return check_recipe(dict(next(iter(recipes.values()))))

    @cached_property
    def carried(self) -> Carried | None:
        """What the object carries beside its recipe; None where the paths were not simulated here.

        Raises
        ------
        ArgumentValueError
            If montezarr did not write the attribute.
        """
        found = carried_by(self.obj)
        return Carried() if found is None and self.is_simulated else found  # all as by default

    @property
    def n_paths(self) -> int | None:
        """The number of paths; None if the object carries that there is no end."""
        if self.carried is not None and self.carried.is_endless:
            return None
        return max(1, int(self.obj.sizes.get(PATH, 1)))

    @property
    def max_events(self) -> dict[str, int]:
        """The room for events by dimension: what the object carries, or the size that it has."""
        if self.carried is not None and self.carried.max_events:
            return dict(self.carried.max_events)
        sizes = getattr(self.obj, "sizes", {})
        return {dim: int(sizes[dim]) for dim in events_in(self.recipe) if sizes.get(dim)}

    @property
    def asked(self) -> int | None:
        """The paths per chunk: requested ones, or those of the lazy variables if whole blocks."""
        if self.n_paths is None:
            return None
        if self.carried is not None and self.carried.asked:
            return self.carried.asked
        for variable in self.variables.values():
            chunks = dict(zip(variable.dims, variable.chunks or (), strict=False)).get(PATH)
            if chunks and chunks[0] % BLOCK == 0:
                return int(chunks[0])
        return None
