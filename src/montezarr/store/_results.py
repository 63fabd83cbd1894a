"""Where the statistics of a store lie, and their states as they were written."""

from __future__ import annotations

from montezarr.errors import StoreError
from montezarr.folding import Fold, Folded, parse_states, restore_states
from montezarr.store.format import Facts
from montezarr.store.places import ReadablePlace

RESULTS = "statistics"
"""The group of the results."""

ORDER = "montezarr_variables"
"""Attribute of that group with the names of its variables in their order."""


def load_states(place: ReadablePlace, key: str, facts: Facts, fold: Fold) -> Folded:
    """Return states as they were written.

    Raises
    ------
    StoreError
        If they are not there, or damaged.
    """
    data = place.intact(key, facts)
    if data is None:
        raise StoreError(
            f"path: expected the states of statistics as they were written, got damaged ones:"
            f" {place}/{key}. Call montezarr.repair."
        )
    try:
        return restore_states(parse_states(data), fold)
    except Exception as error:  # whatever somebody made of it, with a digest to match
        raise StoreError(
            f"path: expected states of these statistics, got others, with {type(error).__name__}:"
            f" {error}: {place}/{key}."
        ) from error
