"""Chunk sources: what is stored, namely paths of a run, or variables computed from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from montezarr.core.checks import type_error, value_error
from montezarr.core.errors import ArgumentTypeError, MemoryBudgetError
from montezarr.core.memory import memory_limit
from montezarr.core.parameters import referred, restore_initial_states, shortened, states_in
from montezarr.core.text import show_bytes
from montezarr.core.tunables.limits import LARGE_PARAMETERS_MAX_BYTES
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Accumulator, DrawnTask
from montezarr.reduction.passes import Layout, layout_of
from montezarr.reduction.sources import DrawnBlocks, PathData, Schema, block_source_of
from montezarr.run._behind import is_untouched
from montezarr.run._dataset import to_dataset
from montezarr.run._provenance import Provenance
from montezarr.run._recipe import fingerprint
from montezarr.run._recorded import events_in
from montezarr.run._run import Run
from montezarr.run._tasks_alive import run_of_recipe
from montezarr.statistics import Statistic
from montezarr.statistics._built_in import built_in_statistics
from montezarr.statistics._names import statistics_of
from montezarr.store._arrays_by_path import check_arrays, too_many_paths
from montezarr.store._attributes import check_attributes, constant_of, plain_attribute
from montezarr.store._codes import text_of_run, with_text
from montezarr.store._run_to_write import run_to_write
from montezarr.store._values import ChunkValues
from montezarr.store.format import (
    PATH,
    Constant,
    Manifest,
    Storage,
    StoredArray,
    check_distinct,
    check_name,
    environment,
)

TIMEDELTAS = xr.coders.CFTimedeltaCoder(decode_via_units=False, decode_via_dtype=True)
"""Decodes what was a timedelta; numbers with a unit, such as days, stay numbers."""


@dataclass(frozen=True)
class ChunkSource:
    """A Dataset that can be stored chunk by chunk.

    Attributes
    ----------
    run : Run
        The run that the Dataset is computed from.
    schema : Schema
        The variables.
    chunk_function : callable or None
        Computes the variables from paths of the run; None if they are the paths.
    values : str or None
        Digest of the chunk function.
    stored : tuple of int
        Positions of the stored variables.
    layout : Layout or None
        The statistics.
    statistics : dict or None
        Description of the statistics as JSON.
    """

    run: Run
    ds: xr.Dataset
    schema: Schema
    chunk_function: Any
    values: str | None
    stored: tuple[int, ...]
    layout: Layout | None = None
    statistics: Mapping[str, Any] | None = None

    def drawn(self) -> DrawnTask:
        """Return the task that draws the variables."""
        width = self.run.path_bytes + (0 if self.chunk_function is None else self.schema.path_bytes)
        accumulator = Accumulator(()) if self.layout is None else self.layout.accumulator
        return DrawnTask(self.run.sampler, accumulator, self.chunk_function, width)

    def chunk_values(self, manifest: Manifest) -> ChunkValues:
        """Return the function that draws the chunks of a store, by its manifest."""
        return ChunkValues(self.drawn(), self.stored, manifest)

    def in_rooms(self, rooms: Mapping[str, int]) -> ChunkSource:
        """Return the source with room for so many events, by dimension, where that is known.

        It is not where variables are computed from paths, or statistics are taken of them: their
        shapes follow from the Dataset.
        """
        run = self.run.with_rooms(rooms)
        if run is self.run or self.values is not None or self.layout is not None:
            return self
        known = run.max_events
        variables = tuple(
            replace(v, shape=tuple(map(known.get, v.dims, v.shape))) for v in self.schema.variables
        )
        return replace(self, run=run, schema=replace(self.schema, variables=variables))

    def check_names(self, manifest: Manifest) -> None:
        """Raise if names of a new store would collide on some file system.

        Stores of earlier versions may have such names, and can be continued in place.

        Raises
        ------
        ArgumentValueError
            With both names.
        """
        check_distinct(manifest.names)
        if self.layout is not None:
            check_distinct([name for name, _ in self.layout.results()])

    def manifest(self, storage: Storage, first_path: int) -> Manifest:
        """Return the manifest of a store of this source.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If a variable cannot be stored.
        """
        storage.check_chunk(self.run.chunk)
        sampler = self.run.sampler
        scenarios = {dim for v in sampler.variables for dim in v.dims[: v.lead]}
        if not scenarios:  # the option says nothing then
            storage = replace(storage, scenario_chunk="each")
        arrays = tuple(self._array(i, storage, scenarios) for i in self.stored)
        if not any(array.times_cut(storage) for array in arrays):
            storage = replace(storage, time_chunk=None)  # the option says nothing then
        plain, chunk = replace(storage, inner_chunk=None), self.run.chunk
        if storage.inner_chunk == chunk and all(a.inner_shape(chunk, plain) for a in arrays):
            storage = plain  # its files do not tell them apart
        self._check_filled(arrays)
        used = {dim for array in arrays for dim in array.dims}
        if not arrays and self.layout is None:
            raise value_error("variables", "variables, or statistics, or both", [])
        coords = {str(name): c for name, c in self.ds.coords.items() if set(c.dims) <= used}
        text = text_of_run(self.run.recipe)
        constants = tuple(constant_of(name, c, text.get(name)) for name, c in coords.items())
        others = sorted(name for name, c in coords.items() if c.dims != (name,))
        if others:  # a coordinate that is no index is named in the attributes of variables
            attribute = {"coordinates": " ".join(others)}
            arrays = tuple(replace(a, attributes={**a.attributes, **attribute}) for a in arrays)
        recipe, parameters = shortened(self.run.recipe)
        room = LARGE_PARAMETERS_MAX_BYTES - sum(array.nbytes for array in parameters.values())
        x0, states = referred(self.run.given_inputs, room)
        return Manifest(
            recipe=json.dumps(recipe),
            parameters={**parameters, **states},
            whole=self.run.fingerprint if parameters else None,
            x0=x0,
            values=self.values,
            policies={"on_error": sampler.on_error, "on_nonfinite": sampler.on_nonfinite},
            first_path=first_path,
            chunk=self.run.chunk,
            arrays=arrays,
            constants=constants,
            storage=storage,
            statistics=self.statistics,
            environment=environment(),
        )

    def _check_filled(self, arrays: tuple[StoredArray, ...]) -> None:
        """Raise if a chunk that is larger than the run cannot be padded in memory."""
        size = self.run.chunk * max([array.path_bytes for array in arrays], default=0)
        if self.run.chunk - self.run.length >= BLOCK and size > memory_limit():
            raise MemoryBudgetError(
                f"chunks: expected chunks that fit into memory, got {self.run.chunk:,} paths ="
                f" {show_bytes(size)}, with {show_bytes(memory_limit())} to use. A store keeps to"
                " what was asked for, also with fewer paths: ask simulate for smaller chunks."
            )

    def _array(self, i: int, storage: Storage, scenarios: Collection[str]) -> StoredArray:
        variable = self.schema.variables[i]
        source = self.ds[variable.name]
        kind = storage.stored_dtype(variable.dtype)
        sampler = self.run.sampler
        masks = sampler.may_mask
        if masks and self.chunk_function is not None and kind.kind != "f":
            raise value_error(
                "ds", "real variables made of paths of which some may be masked", variable.name,
                "Masked paths are NaN: take .astype(float), or choose on_error='raise'.",
            )  # fmt: skip
        fill: float = float("nan") if kind.kind == "f" else False if kind.kind == "b" else 0
        check_attributes(variable.name, source.attrs)
        if "masked_value" in source.encoding:
            fill = int(source.encoding["masked_value"])
        dims = tuple(str(dim) for dim in source.dims)
        is_cut = storage.scenario_chunk == "each"
        return StoredArray(
            name=check_name(variable.name),
            dims=dims,
            shape=variable.shape,
            dtype=kind.name,
            fill=fill,
            attributes={str(k): plain_attribute(k, v) for k, v in source.attrs.items()},
            scenarios=tuple(dim for dim in dims if dim in scenarios) if is_cut else (),
        )


def source_of(
    ds: Any,
    process: Any = None,
    variables: Any = None,
    statistics: Any = None,
    *,
    is_stored: bool = False,
) -> ChunkSource:
    """Check all arguments, and return a Dataset as a chunk source.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not a lazy Dataset computed from one run, path by path.
    ReplayError
        If the sampler is not at hand.
    """
    if isinstance(ds, xr.DataArray):
        raise ArgumentTypeError(
            "ds: expected a Dataset, got a DataArray. Write the Dataset that it comes from, or of"
            " one that has it, ds.assign(y=...), variables=['y'] alone."
        )
    made = Provenance.of(ds)
    run = run_to_write(made, process)
    if run.is_endless:
        raise value_error("ds", "a number of paths", None, "Pass n_paths= to simulate.")
    block_source, values = _drawn(ds, made, run)
    schema = block_source.schema
    names = [variable.name for variable in schema.variables]
    layout, told = None, None
    if statistics is not None:
        layout, told = _layout(schema, statistics, names, is_stored)
    return ChunkSource(
        run=run.in_chunks(run.store_chunk),
        ds=ds,
        schema=schema,
        chunk_function=block_source.function_of_paths,
        values=values,
        stored=_stored(variables, names),
        layout=layout,
        statistics=told,
    )


def source_in(
    manifest: Manifest, n_paths: int, ds: Any = None, process: Any = None, statistics: Any = None
) -> ChunkSource:
    """Return the chunk source of a store with `n_paths` paths, to draw chunks again.

    Parameters
    ----------
    ds : Dataset, optional
        What was written, with any number of paths, if the recipe is not sufficient.

    Raises
    ------
    ArgumentValueError
        If a Dataset is needed and was not given, or is a different one.
    ReplayError
        If the sampler is not at hand.
    """
    if manifest.statistics is not None and statistics is None:
        statistics = statistics_from(manifest.statistics)
    names = [array.name for array in manifest.arrays]
    known: tuple[Constant, ...] = ()
    if ds is None:
        ds, known = made_again(manifest, process), manifest.constants
        process = None
    source = source_of(ds, process, names, statistics, is_stored=True)
    if source.run.inputs is None:
        run = replace(source.run.in_chunks(manifest.chunk), n_paths=n_paths)
    elif source.run.length >= n_paths:
        run = source.run.in_chunks(manifest.chunk)
    else:
        raise too_many_paths(source.run, n_paths)
    source = replace(source, run=run).in_rooms(rooms_in(manifest))
    mine = source.manifest(manifest.storage, manifest.first_path).with_constants(known)
    differing = manifest.differences(mine)
    if differing:
        check_arrays(manifest.recipe_dict, mine.recipe_dict)
        name, there, here = differing[0]
        raise value_error("ds", f"the one that was written: {name} = {there}", here)
    return source


def made_again(manifest: Manifest, process: Any) -> xr.Dataset:
    """Return the Dataset of the run of a store, by its recipe and its stored attributes."""
    attributes = {array.name: array.attributes for array in manifest.arrays}
    names = [constant.name for constant in manifest.constants]
    ds = drawn_again(manifest, process)
    return as_described(ds, attributes, names, manifest.constants)


def drawn_again(
    manifest: Manifest, process: Any, rooms: Mapping[str, int] | None = None
) -> xr.Dataset:
    """Return the Dataset of the run of a store, by its recipe only.

    The room for events, by dimension, is that of the stored arrays, unless it is given.
    """
    if manifest.values is not None:
        raise value_error(
            "ds", "the Dataset that was written, since its variables are made by an expression",
            None,
        )  # fmt: skip
    x0, n_paths = None, manifest.chunk
    is_alive = process is None and run_of_recipe(manifest.fingerprint) is not None
    if manifest.x0 is not None and not is_alive:
        x0, n_paths = restore_initial_states(manifest.x0), states_in(manifest.x0)
    if rooms is None:
        rooms = rooms_in(manifest)
    run = Run.from_recipe(manifest.recipe, process, n_paths, x0=x0, max_events=rooms)
    policies: Any = manifest.policies
    run = run.under(replace(run.policies, **policies))
    return to_dataset(run.in_chunks(manifest.chunk))


def rooms_in(manifest: Manifest) -> dict[str, int]:
    """Return the room for events by dimension, which the stored arrays have."""
    dims, rooms = events_in(manifest.recipe_dict), dict[str, int]()
    for array in manifest.arrays:
        sizes = dict(zip(array.dims, array.whole(0), strict=True))
        rooms |= {dim: sizes[dim] for dim in dims if dim in sizes}
    return rooms


def as_described(
    ds: xr.Dataset,
    attributes: Mapping[str, Mapping[str, Any]],
    names: Collection[str],
    constants: Iterable[Constant],
) -> xr.Dataset:
    """Return the Dataset of a recipe with stored attributes and coordinates; paths do not change.

    Parameters
    ----------
    attributes : dict
        By stored variable; other variables keep those of the recipe.
    names : collection of str
        Names of the coordinates to keep; others were dropped.
    constants : iterable of Constant
        Coordinates with known values; others are those of the recipe.
    """
    known = xr.Dataset({c.name: (c.dims, c.values, dict(c.attributes)) for c in constants})
    # Text coordinates decoded, so that results have them as those of a new store do.
    found = with_text(xr.decode_cf(known, decode_timedelta=TIMEDELTAS)).variables
    stored = {dim for name in attributes if name in ds for dim in ds[name].dims}
    others = [n for n, c in ds.coords.items() if set(c.dims) <= stored and n not in names]
    ds = ds.drop_vars(others)
    order = [name for name in dict.fromkeys([*ds.coords, *found]) if name in found]
    ds = ds.assign_coords({name: found[name] for name in order})
    for name in attributes.keys() & ds.data_vars.keys():
        mine, theirs = ds[name].attrs, dict(attributes[name])
        theirs.pop("coordinates", None)  # it names coordinates, which are set by now
        for key in [key for key in mine if key not in theirs]:
            del mine[key]
        for key, value in theirs.items():
            if key not in mine or plain_attribute(key, mine[key]) != value:
                mine[key] = value
    return ds


def _drawn(ds: xr.Dataset, made: Provenance, run: Run) -> tuple[DrawnBlocks, str | None]:
    """Return the block source of a Dataset, and the digest of the expression that it is.

    The digest is None for the paths of a run as they are drawn.
    """
    for name, coordinate in ds.coords.items():
        if PATH in coordinate.dims:
            raise value_error(
                "ds", "no coordinate of the paths: a path's index is its position", name,
                "Drop it by ds.drop_vars, or make it a variable by ds.reset_coords.",
            )  # fmt: skip
    if PATH not in ds.dims:
        raise value_error("ds", f"variables with the dimension {PATH!r}", dict(ds.sizes))
    for name, variable in made.variables.items():
        if PATH not in variable.dims:
            raise value_error(
                "ds", f"variables with the dimension {PATH!r}", name, "Drop it, or compute it."
            )
    data = PathData.of(ds)
    if is_untouched(made, run):
        return DrawnBlocks(run, data.schema), None
    block_source = block_source_of(data)
    if not isinstance(block_source, DrawnBlocks):
        raise value_error(
            "ds", "lazy variables made path by path of what simulate returned",
            block_source.how,
            "Pass them all lazy, of all paths, in chunks of whole paths; or write them with their"
            " own to_zarr.",
        )  # fmt: skip
    return block_source, block_source.key()


def _stored(variables: Any, names: list[str]) -> tuple[int, ...]:
    if variables is None:
        return tuple(range(len(names)))
    if isinstance(variables, str) or not isinstance(variables, (list, tuple)):
        raise type_error("variables", "a list of names, which may be empty", variables)
    for name in variables:
        if name not in names:
            raise value_error("variables", f"names among {names}", name)
    return tuple(i for i, name in enumerate(names) if name in variables)


def _layout(
    schema: Schema, statistics: Any, names: list[str], is_stored: bool
) -> tuple[Layout, dict[str, Any]]:
    """Return the layout of statistics, and their description as JSON."""
    wanted: Any
    if isinstance(statistics, Mapping):
        for name in statistics:
            if name not in names:
                raise value_error("statistics", f"names of variables among {names}", name)
        wanted = {str(name): statistics_of(entry) for name, entry in statistics.items()}
        told: Any = {name: [s.to_dict() for s in entry] for name, entry in wanted.items()}
    else:
        wanted = statistics_of(statistics)
        told = [s.to_dict() for s in wanted]
    layout = layout_of(_in_order(schema), wanted, is_stored=is_stored)
    for reduced in layout.accumulator.reduced_variables:
        for statistic in reduced.statistics:
            if not statistic.is_one_pass:
                raise value_error(
                    "statistics", "statistics that take one pass", statistic,
                    "Take it of the stored paths: mz.reduce(mz.open(path), ...).",
                )  # fmt: skip
    identity = json.loads(json.dumps(layout.identity()))
    return layout, {"of": told, "digest": fingerprint(identity)}


def _in_order(schema: Schema) -> Schema:
    """Return a schema whose coordinates have attributes in the order that a manifest keeps.

    Results keep this order, so that their bytes are the same when a store is written again.
    """
    coords = {
        name: coordinate.drop_attrs(deep=False).assign_attrs(sorted(coordinate.attrs.items()))
        for name, coordinate in schema.coords.items()
    }
    return replace(schema, coords=coords)


def statistics_from(described: Mapping[str, Any]) -> Any:
    """Return the statistics in a manifest, which must be of this package.

    Raises
    ------
    ArgumentValueError
        If one is a user's class.
    """

    def made(entry: Mapping[str, Any]) -> Statistic:
        if entry["name"] not in built_in_statistics():
            expected = "those that the store was begun with"
            raise value_error("statistics", expected, entry["name"], "Pass them as statistics=.")
        return built_in_statistics()[entry["name"]].from_dict(entry)

    told = described["of"]
    if isinstance(told, Mapping):
        return {name: [made(entry) for entry in entries] for name, entries in told.items()}
    return [made(entry) for entry in told]
