"""Where runs execute: an active Client, else threads, unless Dask is told to be synchronous."""

from __future__ import annotations

import dask

from montezarr.backends._base import Backend, windowed
from montezarr.backends.cluster import active_client
from montezarr.backends.local import synchronous, threads

__all__ = ["Backend", "active", "windowed"]


def active() -> Backend:
    """Return the backend in force."""
    client = active_client()
    if client is not None:
        return client
    configured = dask.config.get("scheduler", None)
    if isinstance(configured, str) and configured.lower() in (
        "sync",
        "synchronous",
        "single-threaded",
    ):
        return synchronous(f"dask.config scheduler={configured!r}")
    return threads("no Client is active")
