"""Which lazy arrays hold paths of which run: arrays of `simulate`, and those of opened stores.

What an object is made of stands in its graph. It is followed from its ends to the first arrays of
paths, and no further: what these are made of, such as initial states, is no part of it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr
from dask.base import is_dask_collection

from montezarr.core.compat.dask import Blockwise, contents_of
from montezarr.core.fork import ForkLock
from montezarr.core.parameters import identity_of
from montezarr.core.tunables.keeping import STORE_VARIABLES_KEPT
from montezarr.random.seeding import as_root_seed
from montezarr.run._task import RunTask, chunk_from, chunk_of
from montezarr.run._tasks_alive import run_named
from montezarr.run._variables import variables_of
from montezarr.samplers import recorded_interface, recorded_stream
from montezarr.samplers.schema import PATH

SIMULATED = "simulate-"
"""How the names of the arrays of runs begin."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of an array that holds paths as they were drawn, or as they are stored.

    Attributes
    ----------
    recipe : dict
        The recipe of the run.
    axis : int
        Position of the dimension of the paths.
    shape : tuple of int
        Shape of the array.
    chunk : int
        Paths per Dask chunk.
    first : int
        Index of the first path in the run.
    run : Run or None
        The run, where it is one of this process.
    """

    recipe: Mapping[str, Any]
    axis: int
    shape: tuple[int, ...]
    chunk: int
    first: int = 0
    run: Any = None

    @property
    def identity(self) -> str:
        """What the origins of one run have in common, and of another one not."""
        return identity_of(self.recipe)

    @property
    def noise(self) -> str:
        """What two runs agree in that are driven by the same random numbers."""
        stream = recorded_stream(self.recipe)
        seed: Any = self.recipe.get("seed")
        try:  # by its state: seeds that are written in several ways may be one
            root = as_root_seed(seed)
            is_counted = recorded_interface(self.recipe).takes_ranges
            sequence = root.sequence() if is_counted else root.path_sequence(0)
            seed = sequence.generate_state(4).tolist()
        except (TypeError, ValueError):  # of a store of somebody else
            pass
        return json.dumps([seed, stream], sort_keys=True)

    @property
    def model(self) -> str:
        """Process and initial state, with all that is known of code and options."""
        parts = ("process", "code", "options", "x0")
        return identity_of({part: self.recipe.get(part) for part in parts})

    @property
    def starts_alike(self) -> bool:
        """Whether the first time of every path is x0, the same or known, and no draw."""
        keep, variables = self.recipe.get("keep"), self.recipe.get("variables", [])
        is_known = recorded_interface(self.recipe).takes_ranges and len(variables) == 1
        return is_known and (keep is None or keep[0] == 0)


_stored: OrderedDict[str, Origin] = OrderedDict()
_lock = ForkLock()


def remember_origin(ds: xr.Dataset, recipe: Mapping[str, Any], first: int = 0) -> None:
    """Note from where the lazy variables of an opened store are, from path `first` on.

    The name of an array in the graph stands for it.
    """
    with _lock:
        for variable in variables_of(ds).values():
            data = variable.data
            if PATH not in variable.dims or not is_dask_collection(data):
                continue
            axis = variable.dims.index(PATH)
            chunk = max(data.chunks[axis], default=1)
            _stored[data.name] = Origin(recipe, axis, data.shape, chunk, first)
            _stored.move_to_end(data.name)
        while len(_stored) > STORE_VARIABLES_KEPT:
            _stored.popitem(last=False)


def origin_of(name: str) -> Origin | None:
    """Return where the array of that name is from, or None where it is not paths as they are."""
    run = run_named(name)
    if run is None:
        return _stored.get(name)
    variables = run.sampler.variables
    # Of several variables a block has all, by their names, and no dimension but that of the paths.
    beside = variables[0].shape(run.sampler.n_times) if len(variables) == 1 else ()
    return Origin(run.recipe, 0, (run.length, *beside), run.chunk, run=run)


def origins_behind(arrays: Iterable[Any]) -> dict[str, Origin]:
    """Return by name the arrays of paths that lazy arrays are made of."""
    found: dict[str, Origin] = {}
    for array in arrays:
        if not is_dask_collection(array):
            continue
        dependencies = getattr(array.dask, "dependencies", {})
        waiting, seen = [array.name], {array.name}
        while waiting:
            name = waiting.pop()
            origin = found.get(name) or origin_of(name)
            if origin is not None:
                found[name] = origin
                continue
            new = set(dependencies.get(name, ())) - seen
            seen |= new
            waiting += new
    return found


def lazy_data(obj: xr.DataArray | xr.Dataset) -> list[Any]:
    """Return the lazy arrays of an object."""
    arrays = variables_of(obj).values()
    return [array.data for array in arrays if is_dask_collection(array.data)]


def origins_in(obj: Any) -> dict[str, Origin]:
    """Return by name the arrays of paths that an object is made of; of what is in memory, none."""
    return origins_behind(lazy_data(obj)) if isinstance(obj, (xr.DataArray, xr.Dataset)) else {}


def only_run(origins: Mapping[str, Origin]) -> Any:
    """Return the `Run` of this process among origins; None if there is none, or several."""
    runs = [origin.run for origin in origins.values() if origin.run is not None]
    return runs[0] if len(runs) == 1 else None


def run_in(obj: Any) -> Any:
    """Return the `Run` of this process that an object is made of; None if of none or of several."""
    return only_run(origins_in(obj))


def is_simulated(obj: xr.DataArray | xr.Dataset) -> bool:
    """Return whether lazy variables are made of arrays of `simulate`, in whichever process."""
    return any(
        draws_paths(name, layer)
        for data in lazy_data(obj)
        for name, layer in getattr(data.dask, "layers", {}).items()
    )


def draws_paths(name: str, layer: Mapping[Any, Any]) -> bool:
    """Return whether a layer of a graph draws paths, which its tasks tell.

    Anybody may give a layer such a name; the name alone spares a look at the tasks of others.
    """
    if SIMULATED not in name:
        return False
    if isinstance(layer, Blockwise):  # one task, and what it is given, stand for all
        return _draws([layer.task, *(part for part, _ in layer.indices)])
    return any(map(_draws, layer.values()))


def _draws(part: Any) -> bool:
    """Return whether a part of a task is what draws a chunk, or holds it."""
    if isinstance(part, RunTask) or part is chunk_of or part is chunk_from:
        return True
    inner = part if isinstance(part, (list, tuple)) else contents_of(part)
    if isinstance(part, dict):
        inner = list(part.values())
    return inner is not None and any(map(_draws, inner))
