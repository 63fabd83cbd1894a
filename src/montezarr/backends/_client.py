"""The Client of dask.distributed that is active, if there is one."""

from __future__ import annotations

import sys
from typing import Any


def active_client() -> Any:
    """Return the Client that Dask would use, or None where there is none."""
    # A Client exists only where distributed is imported, which costs half a second.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client = distributed.default_client()
    except ValueError:
        return None
    # The calls of an asynchronous one would have to be awaited, in the loop that we stand in.
    return None if client.asynchronous else client
