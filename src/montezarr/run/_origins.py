"""Which lazy arrays hold paths of which run: arrays of `simulate`, and of opened stores.

The graph of an object is followed from its outputs to the first arrays of paths, and no further:
their inputs, such as initial states, do not count as origins.
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
"""Prefix of the names of the arrays of runs."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of an array that holds paths exactly as drawn, or as stored.

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
        The run, if it is alive in this process.
    """

    recipe: Mapping[str, Any]
    axis: int
    shape: tuple[int, ...]
    chunk: int
    first: int = 0
    run: Any = None

    @property
    def identity(self) -> str:
        """Key that is equal for origins of the same run only."""
        return identity_of(self.recipe)

    @property
    def noise(self) -> str:
        """Key that is equal for runs on the same random numbers."""
        several = self.recipe.get("runs")
        if not isinstance(several, list):
            return _noise_in(self.recipe)
        # A store of an expression of several runs.
        noises = sorted({_noise_in(run) for run in several if isinstance(run, Mapping)})
        return noises[0] if len(noises) == 1 else json.dumps(noises)

    @property
    def model(self) -> str:
        """Key of process and initial state, with the digests of code and options."""
        parts = ("process", "code", "options", "x0", "runs")
        return identity_of({part: self.recipe.get(part) for part in parts})

    @property
    def starts_alike(self) -> bool:
        """Whether the first time of every path is known to be x0, and no draw."""
        keep, variables = self.recipe.get("keep"), self.recipe.get("variables", [])
        is_known = recorded_interface(self.recipe).takes_ranges and len(variables) == 1
        return is_known and (keep is None or keep[0] == 0)


def _noise_in(recipe: Mapping[str, Any]) -> str:
    """Return the key of the random numbers of the recipe of one run."""
    stream = recorded_stream(recipe)
    seed: Any = recipe.get("seed")
    try:  # by its state: one seed can be written in several ways
        root = as_root_seed(seed)
        is_counted = recorded_interface(recipe).takes_ranges
        sequence = root.sequence() if is_counted else root.path_sequence(0)
        seed = sequence.generate_state(4).tolist()
    except (TypeError, ValueError):  # a store that montezarr did not write
        pass
    return json.dumps([seed, stream], sort_keys=True)


_stored: OrderedDict[str, Origin] = OrderedDict()
_lock = ForkLock()


def remember_origin(ds: xr.Dataset, recipe: Mapping[str, Any], first: int = 0) -> None:
    """Register the lazy variables of an opened store, from path `first` on, with its recipe.

    Arrays are registered by their names in the graph.
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
    """Return the origin of the array of that name; None if it does not hold unchanged paths."""
    run = run_named(name)
    if run is None:
        return _stored.get(name)
    variables = run.sampler.variables
    # With several variables, a block holds all by name, and has the path dimension only.
    beside = variables[0].shape(run.sampler.n_times) if len(variables) == 1 else ()
    lead = variables[0].lead if len(variables) == 1 else 0
    shape = (*beside[:lead], run.length, *beside[lead:])
    return Origin(run.recipe, lead, shape, run.chunk, run=run)


def origins_behind(arrays: Iterable[Any]) -> dict[str, Origin]:
    """Return the origins of lazy arrays, by the names of the arrays of paths.

    They are in the order in which the expression names them, which is the same in every process.
    """
    found: dict[str, Origin] = {}
    for array in arrays:
        if not is_dask_collection(array):
            continue
        graph: Any = array.dask
        waiting, seen = [array.name], {array.name}
        while waiting:
            name = waiting.pop()
            origin = found.get(name) or origin_of(name)
            if origin is not None:
                found[name] = origin
                continue
            new = [below for below in _below(graph, name) if below not in seen]
            seen |= set(new)
            waiting += reversed(new)
    return found


def _below(graph: Any, name: str) -> list[str]:
    """Return the layers that a layer depends on, in the order of its arguments where it has one."""
    names = getattr(graph, "dependencies", {}).get(name, ())
    layer = graph.layers.get(name) if names else None
    order: dict[Any, int] = {}
    if isinstance(layer, Blockwise):
        for i, (part, _) in enumerate(layer.indices):
            if isinstance(part, str):
                order.setdefault(part, i)
    return sorted(names, key=lambda below: (order.get(below, len(order)), below))


def draws_paths(name: str, layer: Mapping[Any, Any]) -> bool:
    """Return whether a layer of a graph draws paths, judged by its tasks.

    Its name is no proof, but spares a look at the tasks of layers with other names.
    """
    if SIMULATED not in name:
        return False
    if isinstance(layer, Blockwise):  # its single task and arguments represent all
        return _draws([layer.task, *(part for part, _ in layer.indices)])
    return any(map(_draws, layer.values()))


def _draws(part: Any) -> bool:
    """Return whether a part of a task draws a chunk, or contains a part that does."""
    if isinstance(part, RunTask) or part is chunk_of or part is chunk_from:
        return True
    inner = part if isinstance(part, (list, tuple)) else contents_of(part)
    if isinstance(part, dict):
        inner = list(part.values())
    return inner is not None and any(map(_draws, inner))
