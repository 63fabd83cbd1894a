"""Look up the active Client of dask.distributed."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

ENDED = ("closing", "closed", "failed")
"""States in which a Client or a cluster returns no more results."""


def is_ended(part: Any) -> bool:
    """Return whether a Client or a cluster is closed or closing."""
    return str(getattr(part, "status", "")).split(".")[-1] in ENDED


def active_client() -> Any:
    """Return the Client that Dask would use, or None where there is none.

    A Client of this context (``with client:``) is returned even if it is closed, so that its use
    raises an error. Dask's default Client, which another thread may have made, only if connected.
    """
    # Without distributed imported there is no Client, and importing it takes half a second.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    # The calls of an asynchronous Client have to be awaited in this thread's event loop.
    if client.asynchronous:
        return None
    is_there = client.scheduler is not None and not is_ended(client)
    return client if is_there or _is_of_this_context(client) else None


def _is_of_this_context(client: Any) -> bool:
    with suppress(ValueError):
        return type(client).current(allow_global=False) is client
    return False
