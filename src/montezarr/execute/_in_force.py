"""Which backend is in force: the innermost ``with`` block of the context that entered it.

A context is a thread, or an asyncio task (`contextvars`). Dask's configuration is one for the whole
process, so it gets one scheduler, which looks up the backend of the context that computes. A Client
that becomes the default one, in any thread, configures ``"dask.distributed"``; while there are
blocks, that name stands for a scheduler that looks there too.
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
"""What Dask is configured with by a Client that becomes the default one."""

BlockStack = tuple["InBlock", ...]


class InBlock(Protocol):
    """What a ``with`` block puts in force: a `montezarr.execute.Backend`."""

    @property
    def scheduler(self) -> Any:
        """What Dask takes as ``scheduler=``."""

    @property
    def is_running(self) -> bool:
        """Whether it has its workers."""

    @property
    def keeps_chunks(self) -> bool:
        """Whether chunks that are not joined come to this process."""


_stack: ContextVar[BlockStack] = ContextVar("montezarr_backends", default=())

_lock = ForkLock()
_blocks = 0
_found: Any = None
"""What Dask was configured with before the first block; None for nothing."""
_before: Any = None
"""What it would be configured with now but for us: a Client may have come since."""


def in_force() -> Any:
    """Return the backend of the innermost with block of this context, None where there is none."""
    stack = _stack.get()
    return stack[-1] if stack else None


def come_into_force(backend: InBlock) -> None:
    """Put a backend in force in this context, and our scheduler into Dask's configuration."""
    global _blocks, _before, _found
    with _lock:
        found = dask.config.get("scheduler", None)
        # A Client that was made in a block puts ours back when it closes, which may be later.
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
    """Return what Dask would be configured with: of a Client that has closed nothing is left."""
    return _found if _before == OF_CLIENTS and active_client() is None else _before


def configured_scheduler() -> Any:
    """Return what Dask is configured with, not counting what a with block put there; or None."""
    found = dask.config.get("scheduler", None)
    return _before if found is _SCHEDULER else found


class _ContextScheduler:
    """What Dask calls to compute a graph while any block is in force; pickled as a name."""

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
        """Compute the keys of a graph where this context says, or as if there were no block."""
        running = [backend for backend in _stack.get() if backend.is_running]
        if running:
            warn_of_size(dsk, keeps_chunks=running[-1].keeps_chunks)
            get = scheduler_of(running[-1].scheduler)
        else:
            get = self.beside()
        return get(dsk, keys, **options)

    def beside(self) -> Any:
        """Return what computes where no block is in force."""
        wanted = _but_for_us()
        if wanted is not None and wanted != OF_CLIENTS:
            return scheduler_of(wanted)
        # What Dask does with arrays where nothing is configured.
        client = active_client()
        return threaded_get if client is None else client.get

    def __reduce__(self) -> Any:
        # Dask's configuration, which holds this, travels to the workers of a new cluster.
        return str, ("synchronous",)


class _ClientScheduler(_ContextScheduler):
    """The same where a Client has configured Dask: beside a block it is that one."""

    def beside(self) -> Any:
        """Return what computes where no block is in force."""
        client = active_client()
        if client is None:
            raise RuntimeError(f"Requested {OF_CLIENTS} scheduler but no Client active.")
        return client.get


_SCHEDULER = _ContextScheduler()
_CLIENT_SCHEDULER = _ClientScheduler()
