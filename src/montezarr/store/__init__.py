"""Paths in Zarr format 3, readable by any Zarr library."""

from montezarr.store._committed import is_complete
from montezarr.store._estimate import store_size, working_bytes
from montezarr.store._extend import extend
from montezarr.store._merge import merge
from montezarr.store._open import open_store as open
from montezarr.store._repair import repair
from montezarr.store._report import Problem, Verification
from montezarr.store._verify import verify
from montezarr.store._write import write
from montezarr.store.format import Storage
from montezarr.store.virtual import VirtualStore

__all__ = [
    "Problem",
    "Storage",
    "Verification",
    "VirtualStore",
    "extend",
    "is_complete",
    "merge",
    "open",
    "repair",
    "store_size",
    "verify",
    "working_bytes",
    "write",
]
