"""Read the small file that describes a virtual store; nothing that it names is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montezarr.core.checks import check_choice, check_int, local_path, type_error, value_error
from montezarr.core.errors import ReplayError, StoreError, StoreNotFoundError
from montezarr.core.json import load_object
from montezarr.core.regular_files import NotRegularError, is_regular, read_start
from montezarr.core.tunables.limits import MAX_EVENTS_MAX
from montezarr.random.seeding import BLOCK
from montezarr.run import Policies
from montezarr.store.format import MAX_BYTES, STORE_PATHS_MAX, Storage
from montezarr.store.virtual._draw import VirtualChunks
from montezarr.store.virtual._layout import (
    BAD,
    plain_source,
    run_to_store,
    store_source,
    whole_blocks,
)

MARK = "montezarr_virtual"
"""Key that identifies the file; its value is the version of the format."""

VERSION = 1
KEYS = {MARK, "recipe", "n_paths", "chunk", "storage", "policies"}

ROOMS = "max_events"
"""Key of the room for events by dimension, in the file of a run that has some."""

POLICIES = {
    "on_error": ("raise", "mask", "retry"),
    "on_nonfinite": ("raise", "keep", "mask", "retry"),
}


def read_document(path: Path) -> dict[str, Any] | None:
    """Return the content of a file, or None if it is not of this kind.

    Raises
    ------
    StoreError
        If it is of this kind and cannot be read.
    """
    if not is_regular(path):
        return None
    try:
        text = read_start(path, MAX_BYTES + 1)
    except NotRegularError:  # something has just replaced the file
        return None
    except OSError as error:
        raise StoreError(f"path: expected a file that can be read, got {error}.") from error
    is_ours = MARK.encode() in text[:MAX_BYTES]
    if not is_ours and path.suffix != ".json":
        return None
    expected = "the JSON of a montezarr.VirtualStore"
    document = load_object(text, path, expected=expected, parse_constant=_no_number, most=MAX_BYTES)
    if MARK not in document:
        raise StoreError(f"path: expected {expected}, got no {MARK!r} in it: {path}.")
    return document


def _no_number(text: str) -> float:
    raise ValueError(f"the number {text}")


def _checked(
    document: Mapping[str, Any], path: Path, process: Any, cache_bytes: int
) -> VirtualChunks:
    """Return the chunks of a document, checking all of it.

    Raises
    ------
    StoreError
        If it is not what `VirtualStore.save` wrote.
    """
    try:
        return _restored(document, process, cache_bytes)
    except ReplayError as error:
        raise StoreError(
            f"path: expected a sampler that is at hand, got: {error} Code of yours is given by"
            f" montezarr.VirtualStore.load(path, process=...): {path}."
        ) from error
    except BAD as error:
        raise StoreError(
            f"path: expected the JSON of a montezarr.VirtualStore, got one with"
            f" {type(error).__name__}: {error}: {path}."
        ) from error


def _restored(document: Mapping[str, Any], process: Any, cache_bytes: int) -> VirtualChunks:
    if document[MARK] != VERSION or type(document[MARK]) is not int:
        raise value_error(MARK, str(VERSION), document[MARK])
    if document.keys() - {ROOMS} != KEYS:
        raise value_error("keys", str(sorted(KEYS)), sorted(document))
    recipe, policies = document["recipe"], document["policies"]
    if not isinstance(recipe, dict) or not isinstance(recipe.get("process"), dict):
        raise type_error("recipe", "an object", recipe)
    if policies.keys() != POLICIES.keys():
        raise value_error("policies", str(sorted(POLICIES)), sorted(policies))
    chosen = {name: check_choice(name, policies[name], POLICIES[name]) for name in POLICIES}
    chunk = check_int("chunk", document["chunk"], minimum=BLOCK, maximum=STORE_PATHS_MAX)
    count = check_int("n_paths", document["n_paths"], minimum=1, maximum=STORE_PATHS_MAX)
    storage = Storage.from_dict(document["storage"])
    rooms = {
        str(dim): check_int(ROOMS, room, minimum=1, maximum=MAX_EVENTS_MAX)
        for dim, room in document.get(ROOMS, {}).items()
    }
    run = run_to_store(recipe, process).under(Policies.from_dict(chosen)).with_rooms(rooms)
    return store_source(plain_source(run, count), whole_blocks(chunk), storage, cache_bytes)


def file_at(path: Any) -> Path:
    """Return the argument as the path of a file.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("path", "the path of a file", path)
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\x00" in text:
        raise value_error("path", "the path of a file", path)
    return local_path("path", text)


def loaded(path: Any, process: Any, cache_bytes: int) -> VirtualChunks:
    """Return the chunks that the file at a path describes.

    Raises
    ------
    StoreNotFoundError, StoreError
        If it is not such a file.
    """
    file = file_at(path)
    document = read_document(file)
    if document is None:
        raise StoreNotFoundError(
            f"path: expected a montezarr store, or the file of a VirtualStore, got {file}."
        )
    return _checked(document, file, process, cache_bytes)
