"""Private names of Zarr: its event loop, the inner store of a wrapper, and decoding of a codec."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

try:
    # Zarr calls stores through this function: their connections belong to its event loop.
    from zarr.core.sync import sync as _sync
except ImportError:
    _sync = None  # type: ignore[assignment]

T = TypeVar("T")


def run_in_zarr_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the event loop of Zarr, and return its result.

    Where this version of Zarr does not expose its loop, the coroutine runs in a loop of our own;
    connections that a store has opened in Zarr's loop may then fail.
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
    """Open a store that does not open itself on its first call, such as a ZipStore."""
    ensure = getattr(store, "_ensure_open", None)
    if ensure is not None:
        await ensure()


def wrapped(store: Any) -> Any:
    """Return the store inside a `zarr.storage.WrapperStore`; None if unknown."""
    return getattr(store, "_store", None)


def wrap(store: Any, inner: Any) -> None:
    """Put another store inside a `zarr.storage.WrapperStore`."""
    store._store = inner


class RemadeWrapper:
    """First base of a `zarr.storage.WrapperStore` that has attributes of its own."""

    def remade(self, store: Any) -> Any:
        """Return the same wrapper around another store, such as a read-only one."""
        raise NotImplementedError

    def _with_store(self, store: Any) -> Any:
        return self.remade(store)


class OwnDecoding:
    """First base of a Zarr codec that checks each chunk before it is decoded.

    Depending on its version, Zarr calls `decode`, which is public, or directly `_decode_single` or
    `_decode_sync`. All three check the chunk.
    """

    def unpacked(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        """Return the decoded chunk, or None to let Zarr decode it; raise to refuse it."""
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
        """Return the decoded chunks; a chunk may be None."""
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
