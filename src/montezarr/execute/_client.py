"""The Client of dask.distributed that is active, if there is one."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

ENDED = ("closing", "closed", "failed")
"""States of a Client or a cluster that no more comes from."""


def is_ended(part: Any) -> bool:
    """Return whether a Client or a cluster is closed, or about to be."""
    return str(getattr(part, "status", "")).split(".")[-1] in ENDED


def active_client() -> Any:
    """Return the Client that Dask would use, or None where there is none.

    That of this context (``with client:``) also where it was closed, so that whoever uses it is
    told; of those of other threads, which Dask has for the whole process, one that is connected.
    """
    # A Client exists only where distributed is imported, which costs half a second.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    # The calls of an asynchronous one would have to be awaited, in the loop that we stand in.
    if client.asynchronous:
        return None
    is_there = client.scheduler is not None and not is_ended(client)
    return client if is_there or _is_of_this_context(client) else None


def _is_of_this_context(client: Any) -> bool:
    with suppress(ValueError):
        return type(client).current(allow_global=False) is client
    return False
