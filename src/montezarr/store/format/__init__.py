"""The format of a store: manifest, commit log, layout, storage options, chunk encoding."""

from montezarr.store.format._bounded import as_read, bounded
from montezarr.store.format._commit_log import COMMIT_LOG
from montezarr.store.format._commit_state import STATES, Checksum, ChunkRecord, CommitState
from montezarr.store.format._encode import buffer_of, checked, decode, encode, padded, shard_index
from montezarr.store.format._layout import (
    PATH,
    Constant,
    StoredArray,
    as_json,
    check_distinct,
    check_name,
    chunk_key,
    dims_of,
)
from montezarr.store.format._manifest import (
    BESIDE,
    LARGEST,
    MANIFEST,
    MAX_BYTES,
    RECIPE_ATTRIBUTE,
    STATUS_ATTRIBUTE,
    STORE_ATTRIBUTE,
    Manifest,
    check_format,
    environment,
)
from montezarr.store.format._safe import check_chunks, check_document, count_chunks, largest_chunk
from montezarr.store.format._storage import MANTISSA, Storage

__all__ = [
    "BESIDE",
    "COMMIT_LOG",
    "LARGEST",
    "MANIFEST",
    "MANTISSA",
    "MAX_BYTES",
    "PATH",
    "RECIPE_ATTRIBUTE",
    "STATES",
    "STATUS_ATTRIBUTE",
    "STORE_ATTRIBUTE",
    "Checksum",
    "ChunkRecord",
    "CommitState",
    "Constant",
    "Manifest",
    "Storage",
    "StoredArray",
    "as_json",
    "as_read",
    "bounded",
    "buffer_of",
    "check_chunks",
    "check_distinct",
    "check_document",
    "check_format",
    "check_name",
    "checked",
    "chunk_key",
    "count_chunks",
    "decode",
    "dims_of",
    "encode",
    "environment",
    "largest_chunk",
    "padded",
    "shard_index",
]
