"""The backend of an active Dask Client."""

from __future__ import annotations

import sys

from montezarr.backends._base import Backend


def active_client() -> Backend | None:
    """Return the backend of the current Client, or None where there is none."""
    # A Client exists only where distributed is imported, which costs half a second.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    if client.asynchronous:  # its calls would have to be awaited, in the loop that we stand in
        return None
    threads = sum(client.nthreads().values())
    reason = f"active Client at {client.scheduler.address}"
    return Backend("dask", max(threads, 1), reason, client.get_executor, is_local=False)
