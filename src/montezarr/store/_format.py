"""How paths lie on disk: Zarr format 3, transposed, with a checksum on every chunk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, TransposeCodec
from zarr.storage import LocalStore

from montezarr._checks import type_error, value_error
from montezarr.dataset import ATTRIBUTE, masked_attribute, variable_attributes
from montezarr.errors import StoreError, StoreExistsError, StoreNotFoundError
from montezarr.lazy import Run
from montezarr.recipe import RECIPE_KEYS
from montezarr.seeding import BLOCK

STORE_ATTRIBUTE = "montezarr_store"
"""Root attribute with the state of the store; the recipe stands beside it."""

STORE_FORMAT = 1
COMPLETE, INCOMPLETE = "complete", "incomplete"
ALLOWED_CODECS = frozenset({"bytes", "crc32c", "transpose", "zstd", "gzip", "blosc"})
"""Codecs that only move bytes about; a store that names another one is not opened."""


def check_path(path: Any) -> Path:
    """Return the place of a store as an absolute path.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is not a local path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("path", "the path of a directory", path)
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\x00" in text:
        raise value_error("path", "the path of a directory", path)
    if "://" in text or "::" in text:
        raise value_error("path", "a local directory", path, "Remote stores are not written yet.")
    return Path(text).expanduser().absolute()


def read_root(path: Path) -> dict[str, Any] | None:
    """Return the root attributes of a montezarr store, or None where nothing is.

    Raises
    ------
    StoreExistsError
        If there is something at `path` that montezarr did not make.
    """
    if path.is_symlink():
        raise StoreExistsError(f"path: expected a directory of its own, got a link: {path}.")
    if not path.exists():
        return None
    if not path.is_dir():
        raise StoreExistsError(f"path: expected a montezarr store or nothing, got a file: {path}.")
    try:
        text = (path / "zarr.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        if any(not entry.name.endswith(".partial") for entry in path.iterdir()):
            raise StoreExistsError(
                f"path: expected a montezarr store or nothing, got a directory with other content:"
                f" {path}. It is left as it is; choose another path."
            ) from None
        return None
    try:
        attributes = json.loads(text)["attributes"]
        info, recipe = attributes[STORE_ATTRIBUTE], json.loads(attributes[ATTRIBUTE])
        is_ours = info["status"] in (COMPLETE, INCOMPLETE) and recipe.keys() >= RECIPE_KEYS
        sizes = [info["n_paths"], info["chunk"] // BLOCK]
        is_ours = is_ours and all(isinstance(size, int) and size >= 1 for size in sizes)
    except (ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours:
        raise StoreExistsError(
            f"path: expected a montezarr store or nothing, got another Zarr group: {path}."
            " It is left as it is; choose another path."
        )
    if info.get("format") != STORE_FORMAT:
        raise StoreError(
            f"path: expected store format {STORE_FORMAT}, got {info.get('format')}: {path}."
        )
    out: dict[str, Any] = attributes
    return out


def state_of(run: Run, status: str) -> dict[str, Any]:
    """Return the root attribute that describes the store of a run."""
    return {
        "format": STORE_FORMAT,
        "status": status,
        "n_paths": run.n_paths,
        "chunk": run.chunk,
        "fingerprint": run.fingerprint,
    }


def create(path: Path, run: Run) -> None:
    """Make the groups and arrays of a run; the root, our marker, first, so that all is ours."""
    store = LocalStore(path)
    recipe = json.dumps(dict(run.recipe))
    attributes = {ATTRIBUTE: recipe, STORE_ATTRIBUTE: state_of(run, INCOMPLETE)}
    root = zarr.create_group(store, zarr_format=3, attributes=attributes)
    create_arrays(root, run)


def create_arrays(root: zarr.Group, run: Run) -> None:
    """Make the arrays that are not there yet."""
    times = run.sampling.times
    if "time" in root:
        array = root["time"]
    else:
        array = root.create_array(
            "time",
            shape=times.shape,
            chunks=(max(1, len(times)),),
            dtype=times.dtype,
            compressors=[Crc32cCodec()],
            dimension_names=("time",),
            attributes={"axis": "T", "long_name": "time"},
            config={"write_empty_chunks": True},
        )
    # Also when it was there: a run killed between making it and filling it left zeros.
    array[:] = times  # type: ignore[index]
    for variable in run.sampling.variables:
        if variable.name in root:
            continue
        attributes: dict[str, Any] = dict(variable_attributes(variable))
        attributes |= masked_attribute(variable, run.sampling)
        root.create_array(
            variable.name,
            shape=(run.n_paths, run.sampling.n_times),
            chunks=(run.chunk, run.sampling.n_times),
            dtype=np.dtype(variable.dtype),
            # Rows lie with the paths contiguous, as they are simulated: no copy on the way.
            filters=[TransposeCodec(order=(1, 0))],
            # Random doubles do not compress, and zstd's default would let damage pass unseen.
            compressors=[Crc32cCodec()],
            dimension_names=("path", "time"),
            attributes={k: _plain(v) for k, v in attributes.items()},
            config={"write_empty_chunks": True},
        )


def missing_chunks(path: Path, sizes: Mapping[str, int], n_chunks: int) -> Iterator[int]:
    """Yield the chunks of which a file is missing, or has not the size of a whole one.

    The local store writes beside and renames, so a chunk is there complete or not at all; but a
    power cut may leave a file whose bytes never reached the disk.

    Parameters
    ----------
    sizes : mapping of str to int
        Bytes of a chunk file of each array; exact, since nothing is compressed.
    """
    present = [_present(path / name / "c", size) for name, size in sizes.items()]
    for chunk in range(n_chunks):
        if not all(chunk in have for have in present):
            yield chunk


def chunk_sizes(root: zarr.Group, names: list[str]) -> dict[str, int]:
    """Return the bytes of a chunk file of each array: its numbers, and 4 for the checksum."""
    return {
        name: int(np.prod(root[name].chunks)) * root[name].dtype.itemsize + 4  # type: ignore[union-attr]
        for name in names
    }


def _present(directory: Path, size: int) -> set[int]:
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return set()
    return {
        int(entry.name)
        for entry in entries
        if entry.name.isdigit() and _size(os.path.join(entry.path, "0")) == size
    }


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return -1


def check_arrays(root: zarr.Group, names: list[str], path: Path) -> None:
    """Raise unless every array is made of numbers, in codecs that only move bytes about."""
    for name in names:
        if name not in root:
            raise StoreNotFoundError(f"path: expected the array {name!r} in {path}, got none.")
        array = root[name]
        if not isinstance(array, zarr.Array):
            raise StoreError(f"path: expected an array, got a group: {path / name}.")
        metadata = array.metadata.to_dict()
        codecs = metadata.get("codecs", ())
        used = {str(codec["name"]) for codec in codecs if isinstance(codec, Mapping)}  # type: ignore[union-attr]
        if array.dtype.kind not in "iuf" or not used <= ALLOWED_CODECS:
            raise StoreError(
                f"path: expected numbers in codecs {sorted(ALLOWED_CODECS)}, got {array.dtype} in"
                f" {sorted(used)}: {path / name}."
            )


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
