"""Keys of the statistics in a store, and loading of their states."""

from __future__ import annotations

from montezarr.core.errors import StoreError
from montezarr.reduction.accumulate import Accumulator, PartialState, parse_states, restore_states
from montezarr.store.format import Checksum
from montezarr.store.locations import ReadableLocation

RESULTS = "statistics"
"""Name of the group of the results."""

ORDER = "montezarr_variables"
"""Attribute of that group with the names of its variables in order."""


def load_states(
    location: ReadableLocation, key: str, checksum: Checksum, accumulator: Accumulator
) -> PartialState:
    """Return states from a file, checked against its checksum.

    Raises
    ------
    StoreError
        If they are missing or damaged.
    """
    data = location.intact(key, checksum)
    if data is None:
        raise StoreError(
            f"path: expected the states of statistics as they were written, got damaged ones:"
            f" {location}/{key}. Call montezarr.repair."
        )
    try:
        return restore_states(parse_states(data), accumulator)
    except Exception as error:  # a forged file with a matching digest may raise anything
        raise StoreError(
            f"path: expected states of these statistics, got others, with {type(error).__name__}:"
            f" {error}: {location}/{key}."
        ) from error
