"""`open`: the committed paths of a store as a lazy Dataset. A store is data and runs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from dask.base import normalize_token
from zarr.abc.store import Store
from zarr.buffer import default_buffer_prototype
from zarr.storage import MemoryStore, WrapperStore

from montezarr.core.checks import check_choice
from montezarr.core.compat.zarr import RemadeWrapper
from montezarr.core.errors import (
    MontezarrError,
    MontezarrWarning,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
)
from montezarr.core.json import parse_json
from montezarr.core.memory import memory_limit
from montezarr.core.parameters import references
from montezarr.core.secrets import cause_of, is_clean
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._origins import remember
from montezarr.run._stored_states import remember_states
from montezarr.run.chunk_policy import MAX_CHUNKS_HARD
from montezarr.store._codes import know_labels, with_labels, with_text
from montezarr.store._digest import digest
from montezarr.store._results import ORDER, RESULTS
from montezarr.store._source import TIMEDELTAS
from montezarr.store._where import changed_by_another, place_of, read_root_document
from montezarr.store.format import (
    COMMIT_LOG,
    MANIFEST,
    PATH,
    STATUS_ATTRIBUTE,
    STORE_ATTRIBUTE,
    Checksum,
    CommitState,
    _parameters,
    as_read,
    bounded,
    buffer_of,
    check_chunks,
    check_document,
    count_chunks,
    largest_chunk,
    load_json,
)
from montezarr.store.places import Directory, LocalPlace, Place
from montezarr.store.places._remote_store import is_of_system
from montezarr.store.virtual import VirtualStore

AT_ONCE = 8
"""Files of results that are read together."""

BATCH = 10_000
"""Files of a directory that are looked for before what is missing is told."""

SMALL, GROWTH = 2**25, 64
"""Bytes that results may have whatever their files are, and times the bytes of these beyond."""


def open_store(
    path: Any, group: str | None = None, *, storage_options: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Open a store lazily, one Dask chunk per stored chunk: what is committed, and no more.

    Also while `write` or `extend` runs: then these are the first paths, up to where one is missing,
    and ``attrs["montezarr_status"]`` says how far the writer is, such as ``"incomplete, 37 %"``.
    Call it again to see more.

    Nothing that the store names is imported or run, and nothing is unpickled. Every chunk is
    checked against its checksum when it is read.

    Parameters
    ----------
    path : str, path or Zarr store
        Directory of the store, its URL, any Zarr store that holds it; or the JSON file of a
        `VirtualStore`.
    group : {"statistics"}, optional
        Open the statistics that were taken while the paths were written, in place of these.
    storage_options : dict, optional
        For a URL, what fsspec takes.

    Returns
    -------
    Dataset
        As `simulate` returned it: variables (path, time), the coordinate time, and the recipe in
        ``attrs["montezarr"]``, so that `replay` works. A store of a range of paths has its first
        one in ``attrs["montezarr_first_path"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is no place.
    StoreNotFoundError
        If no store is there.
    StoreError
        If it is damaged, or not of the format that `write` makes.

    Warns
    -----
    MontezarrWarning
        If a large parameter that lies beside the recipe is lost: the paths can be read, and
        `replay` needs ``process=``.

    Examples
    --------
    >>> import montezarr as mz, tempfile
    >>> path = tempfile.mkdtemp() + "/paths.zarr"
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=5000, T=10, seed=1)
    >>> _ = mz.write(ds, path, statistics=["mean", "std"])
    >>> mz.open(path).x.shape
    (5000, 11)
    >>> mz.open(path, "statistics").x_mean.shape
    (11,)
    """
    if group is not None:
        check_choice("group", group, (RESULTS,))
    virtual = _virtual(path)
    if virtual is not None:
        return virtual
    place = place_of(path, storage_options)
    return open_place(place) if group is None else _results(place)


def open_place(place: Place) -> xr.Dataset:
    """Open what is committed at a place."""
    text, document = _root(place)
    state = document["attributes"]
    info = state[STORE_ATTRIBUTE]
    recipe = load_json(state[ATTRIBUTE], ATTRIBUTE)
    wrong = _parameters.find(place, references(recipe))
    if wrong is not None:  # no path needs it
        warnings.warn(wrong, MontezarrWarning, stacklevel=3)
    arrays = _checked_arrays(place, document, info)
    # By the metadata in the root: those of all variables change with one rename.
    many = any(count_chunks(node) > MAX_CHUNKS_HARD for node in arrays.values())
    largest = {name: largest_chunk(node) for name, node in arrays.items()}
    with _as_store_errors(place):
        ds: xr.Dataset = xr.open_zarr(
            _Shown.of(place, text, as_read(document), largest),
            consolidated=True,
            chunks={PATH: info["chunk"]} if many else {},  # whole shards, where they are so many
            zarr_format=3,
            decode_timedelta=TIMEDELTAS,
        )
        names = _names(recipe, [str(name) for name in ds.data_vars])
    ds = with_text(ds[names])  # in the order of the process, which a directory does not keep
    if isinstance(place, LocalPlace):
        ds.encoding["source"] = str(place.path)
    attrs = {ATTRIBUTE: state[ATTRIBUTE]}
    if STATUS_ATTRIBUTE in state:
        attrs[STATUS_ATTRIBUTE] = str(state[STATUS_ATTRIBUTE])
    if info["first_path"]:
        attrs["montezarr_first_path"] = info["first_path"]
    ds.attrs = attrs
    know_labels(ds)
    remember(ds, recipe, info["first_path"])
    remember_states(recipe, partial(_states_in, place.finder()))
    for variable in ds.data_vars.values():
        if "masked_value" in variable.attrs:  # see `montezarr.run._variables.masked_attribute`
            variable.encoding["masked_value"] = variable.attrs["masked_value"]
    return ds


def _states_in(find: Callable[[], Place | None]) -> Mapping[str, Any] | None:
    """Return the form of the initial states that lie in a store; None where it has none."""
    place = find()
    commits = None if place is None else CommitState.read(place)
    return None if commits is None else commits.manifest.x0


class _Shown(RemadeWrapper, WrapperStore[Store]):
    """A store as it is read: by the root that was checked, and never without a chunk.

    Zarr takes a chunk that is gone for one of fill values, which may be paths like any others.
    """

    def __init__(self, store: Store, root: bytes | None = None, token: Any = None):
        super().__init__(store)
        self._held, self._root, self._token = store, root, token

    @classmethod
    def of(cls, place: Place, text: bytes, root: bytes, largest: Mapping[str, int]) -> _Shown:
        """Return the store of a place whose root is `text`, and is read as `root`."""
        digest = hashlib.sha256(text).hexdigest()
        if not isinstance(place, LocalPlace):
            store = place.target()
            if isinstance(store, Directory):
                store = Directory(store.root, read_only=True, largest=largest)
            return cls(store, root, (normalize_token(store), digest))
        # As xarray has it of a directory: another time, other Dask tasks.
        changed = os.stat(place.path).st_mtime_ns
        token = (str(place.path), changed, digest)
        return cls(Directory(place.path, read_only=True, largest=largest), root, token)

    def __dask_tokenize__(self) -> Any:
        return ("montezarr.open", self._token)

    def __reduce__(self) -> Any:
        # Arrays that are open have their metadata, so that no task carries those of all.
        return type(self), (self._held, None, self._token)

    def remade(self, store: Any) -> _Shown:
        """Return the same of another store."""
        return type(self)(store, self._root, self._token)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        chosen = default_buffer_prototype() if prototype is None else prototype
        try:
            data = await self._held.get(key, chosen, byte_range)
        except Exception as error:
            if isinstance(error, OSError) and is_of_system(error) and is_clean(error):
                raise
            raise StoreError(
                f"path: expected a chunk that can be read, got {type(error).__name__}: {error}:"
                f" {key}."
            ) from cause_of(error)
        return self._there(key, data)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        if self._is_root(key, byte_range):
            return self._root_as(prototype)
        store: Any = self._held  # Zarr asks whether it can do so
        return self._there(key, store.get_sync(key, prototype=prototype, byte_range=byte_range))

    def _is_root(self, key: str, byte_range: Any) -> bool:
        return key == "zarr.json" and byte_range is None and self._root is not None

    def _root_as(self, prototype: Any) -> Any:
        chosen = default_buffer_prototype() if prototype is None else prototype
        return chosen.buffer.from_bytes(self._root or b"")

    def _there(self, key: str, data: Any) -> Any:
        if data is None and key.split("/", 2)[1:2] == ["c"]:
            raise StoreError(
                f"path: expected a chunk that was there, got none: {self._held}/{key}. Call"
                " montezarr.repair, or write with the same Dataset, to draw it again."
            )
        return data


@contextlib.contextmanager
def _as_store_errors(place: Place) -> Iterator[None]:
    """Have what Zarr and xarray say of metadata as one error; those of the disk pass.

    These have a number, and Zarr's own, of which some are OSErrors too, have none.
    """
    try:
        yield
    except MontezarrError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise StoreError(
            f"path: expected metadata that montezarr writes, got some with"
            f" {type(error).__name__}: {error}: {place}. Call montezarr.repair."
        ) from error


def _root(place: Place) -> tuple[bytes, dict[str, Any]]:
    try:
        found = read_root_document(place)
    except StoreExistsError as error:
        raise StoreNotFoundError(f"path: expected a montezarr store, got {place}.") from error
    if found is None and any(place.size(key) is not None for key in (COMMIT_LOG, MANIFEST)):
        raise StoreNotFoundError(
            f"path: expected the root of a store, got nothing at {place}/zarr.json: its writer has"
            " only begun, or it is lost. Call montezarr.repair."
        )
    if found is None:
        raise StoreNotFoundError(f"path: expected a montezarr store, got nothing at {place}.")
    return found


def checked_nodes(
    place: Place, document: Mapping[str, Any], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the documents of the nodes in a root, once they are of numbers, cut as it says.

    Raises
    ------
    StoreError
        If they are not.
    """
    consolidated = document.get("consolidated_metadata")
    nodes = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(nodes, dict):
        raise StoreError(
            f"path: expected the metadata of all variables in the root, got none: {place}."
            " Call montezarr.repair."
        )
    if RESULTS in nodes:  # which zarr.consolidate_metadata puts there
        raise changed_by_another("metadata", place)
    for name, node in nodes.items():
        check_document(name, node, place)
        if node["node_type"] == "array":
            check_chunks(name, node, info, place)
    return nodes


def _checked_arrays(
    place: Place, document: Mapping[str, Any], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the documents of the arrays in a root, once all of it is as it must be."""
    nodes = checked_nodes(place, document, info)
    arrays = {name: node for name, node in nodes.items() if node["node_type"] == "array"}
    constants = {k: v for k, v in arrays.items() if PATH not in (v.get("dimension_names") or [])}
    documents = {name: f"{name}/zarr.json" for name in nodes}
    keys = {name: _key(name, node, 0) for name, node in constants.items()}
    sizes = place.sizes([*documents.values(), *keys.values()])
    for name, node in nodes.items():
        own = _document(place, documents[name], sizes)
        # A writer may have published more paths meanwhile; nothing else may differ.
        if {**own, "shape": None} != {**node, "shape": None}:
            raise StoreError(
                f"path: expected the metadata of {name!r} as the root has them, got others, damaged"
                f" or changed by another writer: {place}. Call montezarr.repair."
            )
    for name, node in constants.items():
        # Of no numbers, it is a checksum alone.
        if sizes.get(keys[name]) != _plain_size(node, node["shape"]):
            raise StoreError(
                f"path: expected the values of {name!r}, got none, or others: {place}. Call"
                " montezarr.repair."
            )
    for name, node in arrays.items():
        if name not in constants:
            _check_files(place, name, node, info)
    return arrays


def _document(place: Place, key: str, sizes: Mapping[str, int]) -> dict[str, Any]:
    text = place.get(key)
    found = "no file"
    if text is not None:
        try:
            document = parse_json(text)
            if isinstance(document, dict):
                return document
            found = "something else"
        except ValueError as error:
            found = str(error)
    raise StoreError(
        f"path: expected metadata as JSON, got {found}: {place}/{key}. Call montezarr.repair."
    )


def _names(recipe: Mapping[str, Any], found: list[str]) -> list[str]:
    """Return the variables in the order of the process, others as they come."""
    first = [v["name"] for v in recipe["variables"] if v["name"] in found]
    return [*first, *(name for name in found if name not in first)]


def _key(name: str, node: Mapping[str, Any], chunk: int) -> str:
    """Return the key of a chunk, all of whose dimensions but that of paths are whole."""
    dims = node.get("dimension_names") or []
    return "/".join([name, "c", *(str(chunk) if dim == PATH else "0" for dim in dims)])


def _check_files(place: Place, name: str, node: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    """Raise if a chunk is not there, or of another size than all are: it would read as nothing."""
    n_chunks = -(-info["n_paths"] // info["chunk"])
    size = _plain_size(node, node["chunk_grid"]["configuration"]["chunk_shape"])
    most = largest_chunk(node)
    step = BATCH if place.is_local else max(n_chunks, 1)  # others are listed, all of it at once
    for low in range(0, n_chunks, step):
        keys = [_key(name, node, chunk) for chunk in range(low, min(low + step, n_chunks))]
        sizes = place.sizes(keys)
        for chunk, key in enumerate(keys, low):
            if not 0 < sizes.get(key, 0) <= most or (size is not None and sizes[key] != size):
                raise StoreError(
                    f"path: expected {n_chunks:,} chunks of {name!r}, got none for paths from"
                    f" {info['first_path'] + chunk * info['chunk']:,} on: {place}. Call"
                    " montezarr.repair, or write with the same Dataset, to draw them again."
                )


def _plain_size(node: Mapping[str, Any], shape: list[int]) -> int | None:
    """Return the bytes of a chunk file: its numbers and 4 for the checksum; None if compressed."""
    names = [codec["name"] for codec in node["codecs"]]
    if not set(names) <= {"transpose", "bytes", "crc32c"}:
        return None
    return int(math.prod(shape)) * int(np.dtype(node["data_type"]).itemsize) + 4


def _results(place: Place) -> xr.Dataset:
    """Open the results of the statistics, in memory: they are small."""
    recipe = _root(place)[1]["attributes"]
    objects, total = _result_files(place), 0
    for key, data in objects.items():
        name, _, last = key.rpartition("/")
        if last == "zarr.json":
            document = load_json(data, f"{place}/{RESULTS}/{key}")
            is_root = isinstance(document, dict) and not name
            if is_root and document.get("node_type") != "group":
                raise StoreError(f"path: expected a group of results, got another node: {place}.")
            check_document(name or "montezarr", document, place)
            if document["node_type"] == "array":
                total += math.prod(document["shape"]) * np.dtype(document["data_type"]).itemsize
                objects[key] = json.dumps(bounded(document)).encode()
    # Zarr writes no chunk of fill values alone, but there is no result without others beside it.
    most = min(SMALL + GROWTH * sum(map(len, objects.values())), memory_limit() // 4)
    if total > most:
        raise StoreError(
            f"path: expected results of statistics of at most {most:,} bytes, as their files are,"
            f" got shapes of {total:,}: {place}. Call montezarr.repair."
        )
    with _as_store_errors(place):
        ds: xr.Dataset = xr.open_zarr(
            MemoryStore({key: buffer_of(data) for key, data in objects.items()}),
            consolidated=False,
            chunks=None,
            zarr_format=3,
            decode_timedelta=TIMEDELTAS,
        )
        ds = ds[[name for name in ds.attrs.pop(ORDER, ()) if name in ds]]
        return with_labels(ds.load(), recipe)


def _result_files(place: Place) -> dict[str, bytes]:
    """Return the files of the results, by their keys in the group, as the journal knows them.

    Raises
    ------
    StoreError
        If one is another.
    """
    key, most = "", memory_limit() // 4
    for _ in range(2):  # a writer may replace them between the looks at the journal and at them
        commits = CommitState.read(place)
        is_lost = commits is None or (commits.bad and commits.manifest.statistics is not None)
        if is_lost and (commits is None or commits.statistics is None):
            raise StoreError(
                f"path: expected a journal that tells of statistics, got none, or a damaged one:"
                f" {place}. Call montezarr.repair."
            )
        if commits is None or commits.statistics is None:
            raise StoreNotFoundError(
                f"path: expected a store with statistics, got none in {place}."
            )
        total = sum(size for size, _ in commits.statistics.values())
        if total > most:
            raise StoreError(
                f"path: expected results of statistics of at most {most:,} bytes, a quarter of the"
                f" memory, got {total:,}: {place}."
            )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda item: _intact(place, *item), commits.statistics.items())
            files = dict(zip(commits.statistics, found, strict=True))
        lost = [key for key, data in files.items() if data is None]
        if not lost:
            return {
                key.removeprefix(f"{RESULTS}/"): data
                for key, data in files.items()
                if data is not None
            }
        key = lost[0]
    raise StoreError(
        f"path: expected the results of the statistics as they were written, got damaged ones, or"
        f" a writer at work: {place}/{key}. Call montezarr.repair."
    )


def _intact(place: Place, key: str, checksum: Checksum) -> bytes | None:
    """Return a file, or None if it is not the one that the journal tells of."""
    if place.size(key) != checksum[0]:
        return None
    data = place.get(key, checksum[0])
    return data if data is not None and digest([data]) == checksum else None


def _virtual(path: Any) -> xr.Dataset | None:
    """Return the paths of a store without a disk, or None if `path` is no such thing."""
    if isinstance(path, VirtualStore):
        return path.to_dataset()
    if not isinstance(path, (str, os.PathLike)) or not os.path.isfile(path):
        return None
    return VirtualStore.load(path).to_dataset()
