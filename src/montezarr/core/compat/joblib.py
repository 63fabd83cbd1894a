"""Undocumented names of joblib: its executor, and its pool without temporary files."""

from __future__ import annotations

from multiprocessing import pool
from typing import Any


def loky() -> Any:
    """Return joblib's copy of loky, or the package itself.

    Raises
    ------
    ImportError
        If neither is installed.
    """
    try:
        import joblib.externals.loky as found
    except ImportError:
        import loky as found
    return found


def pool_class() -> Any:
    """Return the Pool class of joblib's backend "multiprocessing"."""
    try:
        from joblib.pool import PicklingPool
    except ImportError:
        return pool.Pool
    return PicklingPool
