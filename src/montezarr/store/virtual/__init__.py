"""The virtual store: chunks are drawn when they are read."""

from montezarr.store.virtual._store import VirtualStore

__all__ = [
    "VirtualStore",
]
