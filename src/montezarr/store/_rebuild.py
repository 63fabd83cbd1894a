"""Rebuild a lost commit log and manifest from the root and the chunks of a store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from montezarr.core.errors import ArgumentValueError, StoreError
from montezarr.core.json import parse_json
from montezarr.core.parameters import is_same_recipe, references
from montezarr.execute import cores
from montezarr.run._recorded import events_in
from montezarr.store._digest import file_digest
from montezarr.store._regenerate import compare_regenerated
from montezarr.store._results import RESULTS
from montezarr.store._root import validated_nodes
from montezarr.store._source import as_described, drawn_again, source_of
from montezarr.store._where import read_root_document
from montezarr.store.format import (
    BESIDE,
    MANTISSA_BITS_OF,
    PATH,
    RECIPE_ATTRIBUTE,
    SCENARIOS,
    STORE_ATTRIBUTE,
    Checksum,
    ChunkRecord,
    CommitState,
    Constant,
    Manifest,
    Storage,
    StoredArray,
    _parameters,
    chunk_key,
    decode,
    dims_of,
    environment,
    read_alone,
    with_checksum,
)
from montezarr.store.format._layout import TIME
from montezarr.store.locations import ReadableLocation

WITHOUT = {"on_error": "raise", "on_nonfinite": "raise"}
"""Default policies of `simulate`; a root does not have any."""


def rebuilt(location: ReadableLocation, ds: Any, process: Any, statistics: Any) -> CommitState:
    """Return the commit state of a store by its root, with the chunks that are whole.

    The root has the recipe and the metadata of all arrays, and each chunk its own checksum. One
    chunk is drawn again, to check that chunks hold the paths of the recipe and not values computed
    from them.

    Parameters
    ----------
    ds, process, statistics
        As for `repair`: what the root does not contain.

    Raises
    ------
    StoreError
        If the root is lost too, or is not sufficient.
    ReplayError
        If the sampler is not at hand.
    """
    found = read_root_document(location)
    if found is None:
        raise StoreError(
            f"path: expected a root, a commit log or a manifest, got none: {location}."
        )
    text, document = found
    info = document["attributes"][STORE_ATTRIBUTE]
    recipe = parse_json(document["attributes"][RECIPE_ATTRIBUTE])
    _parameters.remember_parameters(location, references(recipe))
    nodes = validated_nodes(location, document, info)
    if statistics is None and location.size(f"{RESULTS}/zarr.json") is not None:
        raise StoreError(
            "path: expected a commit log, which tells the statistics of a store, got none:"
            f" {location}. Pass statistics=, as to write."
        )
    constants = {k: _constant(location, k, v) for k, v in nodes.items() if _is_constant(v)}
    manifest = _manifest(document["attributes"], nodes, constants, ds, process, statistics)
    manifest = manifest.with_rooms(info.get("rooms", {}))
    counts = info["n_paths"], info["target"], info["committed"], info["status"] == "complete"
    if manifest.files(*counts)["zarr.json"] != text:
        raise StoreError(
            f"path: expected a root as this recipe has it, got another: {location}. Pass the"
            " Dataset that was written, ds=, or move the store away."
        )
    commits = CommitState(manifest, info["target"], environments=[manifest.environment], bad=1)
    adopt(commits, location, info)
    return commits if ds is not None else _as_drawn(commits, location, process, info["n_paths"])


def adopt(commits: CommitState, location: ReadableLocation, info: Mapping[str, Any]) -> None:
    """Record the chunks whose files are whole, if the files suffice to write the commit log.

    They do not suffice for masked paths and states of statistics: such chunks are drawn again.
    """
    manifest = commits.manifest
    if "mask" in manifest.policies.values() or manifest.statistics is not None:
        return
    count = commits.n_chunks if manifest.arrays else 0
    pool = ThreadPoolExecutor(cores())
    try:
        found = pool.map(
            lambda chunk: _record(commits, location, chunk, info["n_paths"]), range(count)
        )
        for chunk, record in enumerate(found):
            if record is not None:
                commits.put(chunk, record)
    finally:
        pool.shutdown(cancel_futures=True)  # also on Ctrl-C


def _record(
    commits: CommitState, location: ReadableLocation, chunk: int, shown: int
) -> ChunkRecord | None:
    """Return the record of a chunk if all of its files are whole, else None.

    In a store that was to grow, the last chunk is recorded with the paths that readers see; it may
    have more already.
    """
    manifest = commits.manifest
    n, before = manifest.paths_in(chunk, commits.target), shown - chunk * manifest.chunk
    # Without a commit log nothing tells a piece that is lost from one that was never needed.
    files = {
        key: _checksum(array, manifest, location, key)
        for array in manifest.arrays for key in array.keys(chunk)
    }  # fmt: skip
    good = {key: checksum for key, checksum in files.items() if checksum is not None}
    if len(good) < len(files):
        return None
    return ChunkRecord(min(n, before) if before > 0 else n, good)


def _checksum(
    array: StoredArray, manifest: Manifest, location: ReadableLocation, key: str
) -> Checksum | None:
    """Return size and digest of a file whose own checksum is right, else None."""
    data = location.get(key, manifest.largest_file(array))
    if data is None:
        return None
    try:
        decode(array, manifest.chunk, manifest.storage, data)
    except Exception:  # codecs may raise anything
        return None
    return file_digest([data])


def _manifest(
    attributes: Mapping[str, Any],
    nodes: Mapping[str, Any],
    constants: Mapping[str, Constant | None],
    ds: Any,
    process: Any,
    statistics: Any,
) -> Manifest:
    info, recipe = attributes[STORE_ATTRIBUTE], attributes[RECIPE_ATTRIBUTE]
    with_paths = {name: node for name, node in nodes.items() if PATH in dims_of(node)}
    is_masked = any("masked_value" in node["attributes"] for node in with_paths.values())
    if is_masked and ds is None:
        raise ArgumentValueError(
            "ds: expected the Dataset that was written, since some paths may be masked and nothing"
            " tells any more by which policy, got None."
        )
    bare = Manifest(
        recipe=recipe, values=None, policies=WITHOUT, first_path=info["first_path"],
        chunk=info["chunk"], arrays=(), constants=(), storage=Storage(),
    )  # fmt: skip
    known: list[Constant] = []
    if ds is None:
        attributes = {name: node["attributes"] for name, node in with_paths.items()}
        known = [constant for constant in constants.values() if constant is not None]
        described = drawn_again(bare, process, _rooms(recipe, with_paths.values()))
        ds = as_described(described, attributes, constants, known)
        process = None
        others = sorted(set(with_paths) - set(map(str, ds.data_vars)))
        if others:
            raise ArgumentValueError(
                f"ds: expected the Dataset that was written, since {others[0]!r} is no variable of"
                " the recipe, got None."
            )
    source = source_of(ds, process, list(with_paths), statistics, is_stored=True)
    source = source.in_rooms(_rooms(recipe, with_paths.values()))
    source = replace(source, run=source.run.in_chunks(info["chunk"]))
    types = {v.name: v.dtype for v in source.schema.variables}
    found = _storage(with_paths, types)
    for storage in _like(found, info["chunk"]):
        manifest = source.manifest(storage, info["first_path"]).with_constants(known)
        if _is_stored_so(manifest, with_paths, info):
            break
    told = parse_json(recipe)
    if not is_same_recipe(told, manifest.recipe_dict):
        raise ArgumentValueError(
            "ds: expected the Dataset that was written, got one of another recipe."
        )
    if not references(told):  # as in earlier versions
        manifest = replace(manifest, whole=None)
    if info["format"] < BESIDE:
        manifest = replace(manifest, x0=None)
    return replace(manifest, recipe=recipe, environment=environment())


def _rooms(recipe: str, nodes: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the room for events by dimension that a store was begun with: that of its chunks."""
    dims, rooms = events_in(parse_json(recipe)), dict[str, int]()
    for node in nodes:
        chunk = node["chunk_grid"]["configuration"]["chunk_shape"]
        sizes = dict(zip(dims_of(node), chunk, strict=True))
        rooms |= {dim: sizes[dim] for dim in dims if dim in sizes}
    return rooms


def _is_constant(node: Mapping[str, Any]) -> bool:
    return node["node_type"] == "array" and PATH not in dims_of(node)


def _constant(location: ReadableLocation, name: str, node: Mapping[str, Any]) -> Constant | None:
    """Return a coordinate as it was stored, or None if its values are lost."""
    shape, dims = node["shape"], dims_of(node)
    data = location.get(chunk_key(name, dims)) or b""
    kind = np.dtype(node["data_type"]).newbyteorder("<")
    values = np.frombuffer(data[:-4], np.uint8)
    if values.nbytes != math.prod(shape) * kind.itemsize or with_checksum(values)[1] != data[-4:]:
        return None
    return Constant(
        name=name, dims=dims, values=values.view(kind).reshape(shape), attributes=node["attributes"]
    )


def _storage(nodes: Mapping[str, Any], types: Mapping[str, np.dtype[Any]]) -> Storage:
    """Return the Storage of arrays by their metadata, which do not have `keep_bits`."""
    times = _times_alone(nodes.values())
    for name, node in nodes.items():
        inner, codecs = None, node["codecs"]
        for codec in codecs:
            if codec["name"] == "sharding_indexed":
                alone = dict(zip(dims_of(node), codec["configuration"]["chunk_shape"], strict=True))
                inner = alone[PATH]
                codecs = codec["configuration"]["codecs"]
        kind = types[name]
        is_other = kind.kind == "f" and node["data_type"] != kind.name
        options: dict[str, Any] = {"dtype": node["data_type"]} if is_other else {}
        for codec in codecs:
            if codec["name"] in ("zstd", "gzip", "blosc"):
                configuration = codec["configuration"]
                level = configuration.get("level", configuration.get("clevel"))
                options |= {"compression": codec["name"], "level": level}
        if kind.kind == "f" or len(nodes) == 1:
            return Storage(inner_chunk=inner, time_chunk=times, **options)
    return Storage(inner_chunk=inner, time_chunk=times, **options) if nodes else Storage()


def _times_alone(nodes: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the times that an inner chunk of a shard has, if it has not all of them."""
    for node in nodes:
        sizes = zip(dims_of(node), node["shape"], read_alone(node), strict=True)
        for dim, size, part in sizes:
            if dim == TIME and part < size:
                return part
    return None


def _like(storage: Storage, chunk: int) -> Iterator[Storage]:
    """Yield what a Storage may have been: shards may have been made for scenarios alone."""
    for scenarios in ("each", "all"):
        found = replace(storage, scenario_chunk=scenarios)
        if found.inner_chunk == chunk:
            yield replace(found, inner_chunk=None)
        yield found


def _is_stored_so(manifest: Manifest, nodes: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Return whether the inner chunks of all arrays are those in their metadata."""
    # The format tells inner chunks of scenarios from others, also if there is one scenario only.
    if manifest.format != info["format"] and SCENARIOS in (manifest.format, info["format"]):
        return False
    return all(
        array.metadata(info["n_paths"], manifest.chunk, manifest.storage)["codecs"]
        == nodes[array.name]["codecs"]
        for array in manifest.arrays
    )


def _as_drawn(
    commits: CommitState, location: ReadableLocation, process: Any, shown: int
) -> CommitState:
    """Return the commit state with the storage under which a chunk drawn again is as stored.

    Raises
    ------
    StoreError
        If there is none.
    """
    manifest = commits.manifest
    if not manifest.arrays:
        return commits
    trial = CommitState(manifest, commits.target, environments=commits.environments)
    for first in range(commits.n_chunks):
        record = _record(commits, location, first, shown)
        if record is not None:
            trial.put(first, record)
            break
    else:
        raise StoreError(
            f"path: expected a chunk that is whole, got none: {location}. Nothing but the root is"
            " left: take it away, and write anew."
        )
    kept = _kept_bits(location, manifest, first)
    for bits in [None] if kept is None else [kept, None]:
        storage = replace(manifest.storage, keep_bits=bits)
        trial.manifest = replace(manifest, storage=storage)
        problems, _ = compare_regenerated(location, trial, [first], None, process)
        if not problems:
            commits.manifest = trial.manifest
            return commits
    raise StoreError(
        f"path: expected the paths of the recipe in the root, got others in chunk {first} of"
        f" {location}: {problems[0].text}. Pass the Dataset that was written, ds=."
    )


def _kept_bits(location: ReadableLocation, manifest: Manifest, chunk: int) -> int | None:
    """Return the number of mantissa bits used in a chunk, if the last ones are all zero."""
    used, most = 0, 0
    for array in manifest.arrays:
        kind = np.dtype(array.dtype)
        if kind.kind != "f":
            continue
        data = location.get(array.key(chunk), manifest.largest_file(array)) or b""
        values = decode(array, manifest.chunk, manifest.storage, data)
        bits = np.ascontiguousarray(values[np.isfinite(values)]).view(f"u{kind.itemsize}")
        most = MANTISSA_BITS_OF[kind.name]
        mantissa = int(np.bitwise_or.reduce(bits, initial=0)) & ((1 << most) - 1)
        zeros = (mantissa & -mantissa).bit_length() - 1 if mantissa else most
        used = max(used, most - zeros)
    return used if 0 < used < most else None
