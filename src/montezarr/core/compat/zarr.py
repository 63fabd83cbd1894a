"""Private names of Zarr: its event loop, and what a store that wraps another one wraps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

try:
    # What Zarr itself calls stores by: their connections belong to its event loop.
    from zarr.core.sync import sync as _sync
except ImportError:
    _sync = None  # type: ignore[assignment]

T = TypeVar("T")


def run_in_zarr_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the event loop of Zarr, and return what it returns.

    Where that is not to be had it runs in a loop of our own: connections of a store that Zarr has
    used before may then be of no use.
    """
    if _sync is not None:
        return _sync(coroutine)
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="montezarr-stores", daemon=True).start()
    return loop


async def ensure_open(store: Any) -> None:
    """Open a store that does not do so by itself when it is called, as a ZipStore does not."""
    ensure = getattr(store, "_ensure_open", None)
    if ensure is not None:
        await ensure()


def wrapped(store: Any) -> Any:
    """Return the store inside a `zarr.storage.WrapperStore`; None where it does not tell."""
    return getattr(store, "_store", None)


def wrap(store: Any, inner: Any) -> None:
    """Put another store inside a `zarr.storage.WrapperStore`."""
    store._store = inner


class RemadeWrapper:
    """What a `zarr.storage.WrapperStore` is derived from first, that is more than what it wraps."""

    def remade(self, store: Any) -> Any:
        """Return the same of another store, such as this one that can only be read."""
        raise NotImplementedError

    def _with_store(self, store: Any) -> Any:
        return self.remade(store)


class OwnDecoding:
    """What a codec of Zarr is derived from first, to look at each chunk before it is unpacked.

    Zarr calls `decode`, which is public, or goes past it: to `_decode_single`, or to
    `_decode_sync`. All three look, and whichever of them this version of Zarr lacks is not called.
    """

    def unpacked(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        """Return what a chunk unpacks to, or None where Zarr may unpack it; raise where not."""
        raise NotImplementedError

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        done = self.unpacked(chunk_bytes, chunk_spec)
        parent: Any = super()
        return parent._decode_sync(chunk_bytes, chunk_spec) if done is None else done

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        if getattr(super(), "_decode_sync", None) is not None:
            return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)
        return await self._decoded(chunk_bytes, chunk_spec)

    async def decode(self, chunks_and_specs: Any) -> Any:
        """Return what chunks unpack to; a chunk may be None."""
        if getattr(super(), "_decode_single", None) is not None:
            parent: Any = super()
            return await parent.decode(chunks_and_specs)
        found = []
        for chunk, spec in chunks_and_specs:
            found.append(None if chunk is None else await self._decoded(chunk, spec))
        return found

    async def _decoded(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        done = await asyncio.to_thread(self.unpacked, chunk_bytes, chunk_spec)
        if done is not None:
            return done
        parent: Any = super()
        single = getattr(parent, "_decode_single", None)
        if single is not None:
            return await single(chunk_bytes, chunk_spec)
        return next(iter(await parent.decode([(chunk_bytes, chunk_spec)])))
