"""From the argument `path` to a location, and checks of what it contains."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zarr.abc.store import Store
from zarr.storage import LocalStore

from montezarr.core.checks import local_path, type_error, value_error
from montezarr.core.errors import StoreError, StoreExistsError
from montezarr.core.json import parse_json
from montezarr.core.parameters import references
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX, LARGE_PARAMETERS_MAX_BYTES
from montezarr.run._recipe import RECIPE_KEYS
from montezarr.store.format import (
    BESIDE,
    COMMIT_LOG,
    GROWN,
    MANIFEST,
    PATH,
    RECIPE_ATTRIBUTE,
    STORE_ATTRIBUTE,
    STORE_PATHS_MAX,
    _commit_log,
    _parameters,
    check_format,
)
from montezarr.store.locations import (
    LOCK,
    OWN,
    TEMPORARY,
    LocalLocation,
    Location,
    ReadableLocation,
)

COMPLETE, INCOMPLETE = "complete", "incomplete"

TEMPORARY_NAME = re.compile(r"[0-9a-f]{16}")
"""Names of temporary files; see `LocalLocation.put`."""


def location_of(path: Any, storage_options: Mapping[str, Any] | None = None) -> Location:
    """Return the location of a store: a directory, a URL, or a Zarr store.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is none of these.
    """
    if isinstance(path, Store):
        from montezarr.store.locations._remote import RemoteLocation

        if storage_options is not None:
            raise value_error(
                "storage_options", "None with a Zarr store", _options(storage_options)
            )
        if type(path) is LocalStore and not path.read_only:
            return LocalLocation(path.root.absolute())  # which guarantees more
        return RemoteLocation(path)
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("path", "the path of a directory, a URL or a Zarr store", path)
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\x00" in text:
        raise value_error("path", "the path of a directory", path)
    if "::" in text:
        raise value_error("path", "one place, not a chain of them", path)
    text = _local(text)
    if "://" in text:
        from montezarr.store.locations._remote import RemoteLocation

        return RemoteLocation.at(text, storage_options)
    if storage_options is not None:
        raise value_error("storage_options", "None with a local path", _options(storage_options))
    return LocalLocation(local_path("path", text).absolute())


def _options(found: Any) -> str:
    """Describe options in a message without their values, which may be secret."""
    return f"a {type(found).__name__}"


def _local(text: str) -> str:
    """Return the path of a file URL; other texts unchanged.

    Raises
    ------
    ArgumentValueError
        If it is on another machine, or has parts besides a path.
    """
    scheme, mark, rest = text.partition("://")
    if not mark or scheme.casefold() not in ("file", "local"):
        return text
    if scheme.casefold() == "local":
        return rest
    parts = urlsplit(text)
    if parts.netloc.casefold() not in ("", "localhost") or not parts.path:
        hint = "Mount what is on another machine, or leave one slash away before a relative path."
        raise value_error("path", "a file URL of this machine, file:///directory", text, hint)
    if parts.query or parts.fragment:
        hint = "Write ? as %3F and # as %23."
        raise value_error("path", "a file URL without query and fragment", text, hint)
    return url2pathname(parts.path)


def read_root(location: ReadableLocation) -> dict[str, Any] | None:
    """Return the attributes of the root of a store, or None without a root.

    Raises
    ------
    StoreExistsError
        If there is something that is not of montezarr.
    StoreError
        If the root is of another format, or damaged.
    """
    found = read_root_document(location)
    return None if found is None else found[1]["attributes"]


def read_root_document(location: ReadableLocation) -> tuple[bytes, dict[str, Any]] | None:
    """Return the root of a store as bytes and parsed, its attributes checked; None without one.

    Raises
    ------
    StoreExistsError, StoreError
        As `read_root` does.
    """
    if isinstance(location, LocalLocation):
        check_directory(location.path)
    text = None if location.size("zarr.json") is None else location.get("zarr.json") or b""
    if text is None:
        _check_only_ours(location)
        return None
    document = _parsed(text)
    attributes = None if document is None else document.get("attributes")
    if attributes is None and location.size(MANIFEST) is not None:
        raise StoreError(
            f"path: expected metadata as JSON, got damaged ones: {location}. Call montezarr.repair."
        )
    if document is None or not isinstance(attributes, dict) or STORE_ATTRIBUTE not in attributes:
        if document is not None and _tells_of_us(location):
            raise changed_by_another("root", location)
        raise StoreExistsError(
            f"path: expected a montezarr store or nothing, got another Zarr group: {location}."
            " It is left as it is; choose another path."
        )
    check_root(attributes, location)
    return text, document


def changed_by_another(what: str, location: ReadableLocation) -> StoreError:
    """Return the error of a store that another program has written to."""
    return StoreError(
        f"path: expected a store that only montezarr writes, got one whose {what}"
        f" another writer has changed, such as Zarr or xarray's to_zarr: {location}. The paths of"
        " its recipe are not lost: montezarr.repair(path) makes it what it was."
        " For more paths call montezarr.extend; what is not of this run belongs elsewhere."
    )


def _parsed(text: bytes) -> dict[str, Any] | None:
    """Parse a JSON object; return None if it is not one."""
    try:
        document = parse_json(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def check_root(attributes: Mapping[str, Any], location: ReadableLocation) -> None:
    """Raise unless the attributes of a root are those of a store of this format.

    Raises
    ------
    StoreError
        If they are not.
    """
    info = attributes[STORE_ATTRIBUTE]
    found = info.get("format") if isinstance(info, dict) else None
    try:
        check_format(found)
    except StoreError as error:
        raise StoreError(f"{error} It is that of {location}.") from error
    try:
        recipe = parse_json(attributes[RECIPE_ATTRIBUTE])
        counts = [info[name] for name in ("n_paths", "target", "committed", "first_path", "chunk")]
        good = recipe.keys() >= RECIPE_KEYS and info["status"] in (COMPLETE, INCOMPLETE)
        are_beside = bool(references(recipe, LARGE_PARAMETERS_MAX_BYTES))
        good = good and (not are_beside or int(found or 0) >= BESIDE)
        good = good and all(type(count) is int and count >= 0 for count in counts)
        rooms = info.get("rooms", {})  # for events, where it has grown
        good = good and all(type(n) is int and n > 0 for n in rooms.values())
        good = good and PATH not in rooms and bool(rooms) == (found == GROWN)
        good = good and info["n_paths"] <= info["committed"] <= info["target"] <= STORE_PATHS_MAX
        good = (
            good and 0 < info["chunk"] <= STORE_PATHS_MAX and info["first_path"] <= STORE_PATHS_MAX
        )
        # A graph of more chunks would take all memory.
        good = good and info["target"] <= info["chunk"] * GRAPH_CHUNKS_MAX
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise StoreError(
            f"path: expected the attributes that montezarr writes, got others: {location}."
            " Call montezarr.repair."
        )


def check_directory(path: Path) -> None:
    """Raise if `path` exists and is not a directory, or is a link.

    Raises
    ------
    StoreExistsError
        If so.
    """
    if path.is_symlink():
        raise StoreExistsError(f"path: expected a directory of its own, got a link: {path}.")
    try:
        os.listdir(path)
    except FileNotFoundError:
        return  # removed just now: another writer that was refused deletes what it had made
    except NotADirectoryError:
        raise StoreExistsError(
            f"path: expected a montezarr store or nothing, got a file: {path}."
        ) from None


def _entries(path: Path) -> set[str]:
    """Return the names in a directory: none if it does not exist, an empty name for a file."""
    try:
        return set(os.listdir(path))
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        return {""}


def _check_only_ours(location: ReadableLocation) -> None:
    """Raise if a location without a root has more than what a killed writer leaves."""
    # A writer that was killed before the root left a commit log or a manifest of ours.
    # Checked twice, since another writer may begin meanwhile: it writes its commit log first.
    if not (_tells_of_us(location) or _is_as_begun(location) or _tells_of_us(location)):
        raise StoreExistsError(
            f"path: expected a montezarr store or nothing, got a directory with other content:"
            f" {location}. It is left as it is; choose another path."
        )


def _tells_of_us(location: ReadableLocation) -> bool:
    """Return whether there is a readable commit log or manifest of montezarr."""
    if isinstance(location, LocalLocation) and (location.path / OWN).is_symlink():
        return False
    if (
        location.size(COMMIT_LOG) is not None
        and _commit_log.read_records(location.read_log(COMMIT_LOG) or b"")[0]
    ):
        return True
    manifest = _parsed(location.get(MANIFEST) or b"")
    return manifest is not None and manifest.keys() >= {"format", "recipe", "arrays"}


def _is_as_begun(location: ReadableLocation) -> bool:
    """Return whether a location holds only what a writer makes before its commit log.

    These are the lock, the large parameters, and temporary files.
    """
    if not isinstance(location, LocalLocation):
        return all(key == LOCK or _parameters.is_key(key) for key in location.objects())
    names = OWN, LOCK, TEMPORARY, _parameters.PARAMETERS
    own, lock, temporary, beside = (location.path / name for name in names)
    return (
        _entries(location.path) <= {OWN}
        and not any(path.is_symlink() for path in (own, lock, temporary, beside))
        and _entries(own) <= {lock.name, temporary.name, beside.name}
        and not lock.is_dir()
        and all(_parameters.is_key(f"{names[3]}/{name}") for name in _entries(beside))
        and all(_is_staged(temporary / name) for name in _entries(temporary))
    )


def _is_staged(path: Path) -> bool:
    """Return whether this is a staging directory of a writer, or a file of an earlier version."""
    if not TEMPORARY_NAME.fullmatch(path.name):
        return False
    names = _entries(path) if path.is_dir() and not path.is_symlink() else set()
    return all(TEMPORARY_NAME.fullmatch(n) and not (path / n).is_dir() for n in names)
