"""Which backend is in force: the innermost ``with`` block of the context that entered it.

A context is a thread, or an asyncio task (`contextvars`). Dask's configuration is one for the whole
process, so one scheduler is configured there, which looks up the backend of the context that
computes. A Client that becomes the default, in any thread, configures ``"dask.distributed"``; while
any block is open, that name stands for a scheduler that looks up the context as well.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

import dask
from dask.threaded import get as threaded_get

from montezarr.core.compat.dask import named_schedulers, scheduler_of
from montezarr.core.fork import ForkLock
from montezarr.execute._client import active_client
from montezarr.execute._returned import warn_of_size

OF_CLIENTS = "dask.distributed"
"""The scheduler that a Client configures when it becomes the default."""

BlockStack = tuple["InBlock", ...]


class InBlock(Protocol):
    """Interface of a backend in force: a `montezarr.execute.Backend`."""

    @property
    def scheduler(self) -> Any:
        """The value for Dask's ``scheduler=``."""

    @property
    def is_running(self) -> bool:
        """Whether the backend is started."""

    @property
    def keeps_chunks(self) -> bool:
        """Whether the chunks of a persisted collection are kept in this process."""


_stack: ContextVar[BlockStack] = ContextVar("montezarr_backends", default=())

_lock = ForkLock()
_blocks = 0
_found: Any = None
"""The scheduler configured before the first block; None if there was none."""
_before: Any = None
"""The scheduler that would be configured now without our blocks: a Client may be new since."""


def in_force() -> Any:
    """Return the backend of the innermost with block of this context, or None."""
    stack = _stack.get()
    return stack[-1] if stack else None


def come_into_force(backend: InBlock) -> None:
    """Put a backend in force in this context and our scheduler into Dask's configuration."""
    global _blocks, _before, _found
    with _lock:
        found = dask.config.get("scheduler", None)
        # A Client made inside a block restores our scheduler when it closes, perhaps after the end.
        if found is not _SCHEDULER:
            if _blocks == 0:
                _found = found
            _before = found
            dask.config.set(scheduler=_SCHEDULER)
        if _blocks == 0:
            named_schedulers()[OF_CLIENTS] = _CLIENT_SCHEDULER
        _blocks += 1
    _stack.set((*_stack.get(), backend))


def go_out_of_force(backend: InBlock) -> None:
    """Take a backend out of force, also where blocks end out of order or in another context."""
    global _blocks, _before, _found
    stack = _stack.get()
    places = [i for i, entry in enumerate(stack) if entry is backend]
    if places:
        _stack.set((*stack[: places[-1]], *stack[places[-1] + 1 :]))
    with _lock:
        _blocks -= 1
        if _blocks > 0:
            return
        named_schedulers().pop(OF_CLIENTS, None)
        if dask.config.get("scheduler", None) is _SCHEDULER:  # else somebody has set another since
            wanted = _but_for_us()
            if wanted is None or (wanted == OF_CLIENTS and active_client() is None):
                dask.config.config.pop("scheduler", None)
            else:
                dask.config.set(scheduler=wanted)
        _found = _before = None


def _but_for_us() -> Any:
    """Return the scheduler that would be configured without our blocks; ignore a closed Client."""
    return _found if _before == OF_CLIENTS and active_client() is None else _before


def configured_scheduler() -> Any:
    """Return Dask's configured scheduler apart from those of our with blocks, or None."""
    found = dask.config.get("scheduler", None)
    return _before if found is _SCHEDULER else found


class _ContextScheduler:
    """The scheduler in Dask's configuration while any block is open; pickled as a name."""

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        """Compute the keys of a graph on the backend of this context, else as without blocks."""
        running = [backend for backend in _stack.get() if backend.is_running]
        if running:
            warn_of_size(dsk, keeps_chunks=running[-1].keeps_chunks)
            get = scheduler_of(running[-1].scheduler)
        else:
            get = self.beside()
        return get(dsk, keys, **options)

    def beside(self) -> Any:
        """Return the scheduler for contexts without a block."""
        wanted = _but_for_us()
        if wanted is not None and wanted != OF_CLIENTS:
            return scheduler_of(wanted)
        # Dask's default for arrays.
        client = active_client()
        return threaded_get if client is None else client.get

    def __reduce__(self) -> Any:
        # Dask's configuration, which holds this, travels to the workers of a new cluster.
        return str, ("synchronous",)


class _ClientScheduler(_ContextScheduler):
    """The same after a Client has configured Dask: without a block, the Client computes."""

    def beside(self) -> Any:
        """Return the scheduler for contexts without a block."""
        client = active_client()
        if client is None:
            raise RuntimeError(f"Requested {OF_CLIENTS} scheduler but no Client active.")
        return client.get


_SCHEDULER = _ContextScheduler()
_CLIENT_SCHEDULER = _ClientScheduler()
