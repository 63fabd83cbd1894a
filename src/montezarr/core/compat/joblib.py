"""Names of joblib that are not in its docs: its executor, and its pool without temporary files."""

from __future__ import annotations

from multiprocessing import pool
from typing import Any


def loky() -> Any:
    """Return joblib's copy of loky, or the package itself.

    Raises
    ------
    ImportError
        If there is neither.
    """
    try:
        import joblib.externals.loky as found
    except ImportError:
        import loky as found
    return found


def pool_class() -> Any:
    """Return the class of joblib's flavour "multiprocessing" of a Pool."""
    try:
        from joblib.pool import PicklingPool
    except ImportError:
        return pool.Pool
    return PicklingPool
