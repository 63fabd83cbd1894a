"""Paths on disk: Zarr format 3, readable by any Zarr library."""

from montezarr.store._open import open_store
from montezarr.store._storage import Storage
from montezarr.store._write import is_complete, write

__all__ = ["Storage", "is_complete", "open_store", "write"]
