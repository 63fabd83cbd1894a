"""Where a store lies: a directory, or any Zarr store; objects by key, a log, and one writer."""

from montezarr.store.places._directory import Directory
from montezarr.store.places._place import LOCK, LocalPlace, Place, check_key
from montezarr.store.places._readable import ReadablePlace
from montezarr.store.places._staging import OWN, TEMPORARY

__all__ = [
    "LOCK",
    "OWN",
    "TEMPORARY",
    "Directory",
    "LocalPlace",
    "Place",
    "ReadablePlace",
    "check_key",
]
