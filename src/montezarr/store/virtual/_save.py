"""Write the small file that describes a virtual store: its recipe and chunks."""

from __future__ import annotations

import json
import os
from pathlib import Path

from montezarr.core.atomic_files import written_beside
from montezarr.core.checks import value_error
from montezarr.core.errors import StoreError, StoreExistsError
from montezarr.core.parameters import with_parameters
from montezarr.samplers.schema import rooms_of
from montezarr.store._recipe_size import too_large
from montezarr.store.format import MAX_BYTES
from montezarr.store.virtual._draw import VirtualChunks
from montezarr.store.virtual._file import MARK, POLICIES, ROOMS, VERSION, read_document


def document_of(chunks: VirtualChunks) -> bytes:
    """Return the content of the file of a virtual store.

    Raises
    ------
    ArgumentValueError
        If a recipe cannot restore it, or is too large.
    """
    manifest, drawn = chunks.manifest, chunks.values.drawn
    recipe = with_parameters(manifest.recipe_dict)  # the file has no place beside it
    reason = None
    if drawn.chunk_function is not None:
        reason = "variables made of the paths"
    elif chunks.x0 is not None or (isinstance(recipe["x0"], dict) and "digest" in recipe["x0"]):
        reason = "an x0, or parameters by path, that are arrays or objects"
    elif "options" in recipe:
        reason = "options of the sampler"
    if reason is not None:
        raise value_error(
            "path", "a store that a recipe restores", reason,
            "Write the paths to a store, or pickle the VirtualStore.",
        )  # fmt: skip
    document = {
        MARK: VERSION,
        "recipe": recipe,
        "n_paths": chunks.n_paths,
        "chunk": manifest.chunk,
        "storage": manifest.storage.to_dict(),
        "policies": {name: getattr(drawn.sampler, name) for name in POLICIES},
    }
    rooms = rooms_of(v for v in drawn.sampler.variables if not v.cuts)
    if rooms:
        document[ROOMS] = rooms
    text = json.dumps(document, indent=1).encode()
    if len(text) > MAX_BYTES:
        text = json.dumps(document).encode()
    if len(text) > MAX_BYTES:
        raise too_large("recipe", recipe, len(text))
    return text


def put_document(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, replacing only another file of its kind.

    Raises
    ------
    StoreExistsError
        If there is something else.
    StoreError
        If it cannot be written.
    """
    try:
        theirs = os.path.lexists(path) and (path.is_symlink() or read_document(path) is None)
    except StoreError:
        theirs = True
    if theirs:
        raise StoreExistsError(
            f"path: expected the file of a montezarr.VirtualStore or nothing, got another one:"
            f" {path}. It is left as it is; choose another path."
        )
    try:
        with written_beside(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise StoreError(f"path: expected a place to write to, got {error}.") from error
