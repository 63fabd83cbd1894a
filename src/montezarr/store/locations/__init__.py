"""Locations of a store: a directory, or any Zarr store; objects by key, a log, and one writer."""

from montezarr.store.locations._directory import Directory
from montezarr.store.locations._location import LOCK, LocalLocation, Location, check_key
from montezarr.store.locations._readable import ReadableLocation
from montezarr.store.locations._staging import OWN, TEMPORARY

__all__ = [
    "LOCK",
    "OWN",
    "TEMPORARY",
    "Directory",
    "LocalLocation",
    "Location",
    "ReadableLocation",
    "check_key",
]
