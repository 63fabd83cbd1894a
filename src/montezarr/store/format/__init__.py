"""The format of a store: manifest, commit log, layout, storage options, chunk encoding."""

from montezarr.store.format._bounded import as_read, bounded
from montezarr.store.format._commit_log import COMMIT_LOG
from montezarr.store.format._commit_state import STATES, Checksum, ChunkRecord, CommitState
from montezarr.store.format._encode import (
    buffer_of,
    decode,
    encode_chunk,
    padded,
    shard_index,
    with_checksum,
)
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
    MANIFEST,
    MAX_BYTES,
    RECIPE_ATTRIBUTE,
    SCENARIOS,
    STATUS_ATTRIBUTE,
    STORE_ATTRIBUTE,
    STORE_PATHS_MAX,
    Manifest,
    check_format,
    environment,
)
from montezarr.store.format._safe import (
    check_chunks,
    check_document,
    count_chunks,
    largest_chunk,
    read_alone,
)
from montezarr.store.format._storage import MANTISSA_BITS_OF, Storage

__all__ = [
    "BESIDE",
    "COMMIT_LOG",
    "MANIFEST",
    "MANTISSA_BITS_OF",
    "MAX_BYTES",
    "PATH",
    "RECIPE_ATTRIBUTE",
    "SCENARIOS",
    "STATES",
    "STATUS_ATTRIBUTE",
    "STORE_ATTRIBUTE",
    "STORE_PATHS_MAX",
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
    "chunk_key",
    "count_chunks",
    "decode",
    "dims_of",
    "encode_chunk",
    "environment",
    "largest_chunk",
    "padded",
    "read_alone",
    "shard_index",
    "with_checksum",
]
