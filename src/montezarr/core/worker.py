"""Code of a worker process: its set-up, and its tasks, one after the other."""

from __future__ import annotations

import io
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from montezarr.core.tunables.keeping import SHARED_OBJECTS_KEPT

_shared: OrderedDict[str, Any] = OrderedDict()


def set_up(parent: int) -> None:
    """Prepare a worker: ignore Ctrl-C, which the parent handles, and exit when the parent ends.

    Parameters
    ----------
    parent : int
        Process id of the parent.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process when the parent has ended, even if it was killed."""
    known = multiprocessing.parent_process()
    if known is not None and known.sentinel is not None:  # a process of loky has no sentinel
        multiprocessing.connection.wait([known.sentinel])
    else:
        while os.getppid() == parent:
            time.sleep(0.5)
    os._exit(1)


def ready() -> int:
    """Return the id of this process: an empty task that shows that the worker runs."""
    return os.getpid()


def call(payload: bytes, shared: Mapping[str, Any]) -> bytes:
    """Run a pickled (function, args, kwargs) and return the pickled (is error, result).

    An exception of the task is returned as a result, so that any exception of the pool itself means
    that the pool has failed.

    Parameters
    ----------
    payload : bytes
        Made by `montezarr.execute._shared_objects`.
    shared : mapping of str to str or bytes
        File name or bytes of each shared object that the task refers to, by key.
    """
    try:
        unpickler = _Unpickler(io.BytesIO(payload), shared)
        function, args, kwargs = unpickler.load()
        value = function(*args, **kwargs)
        data: bytes = cloudpickle.dumps((False, value), protocol=5)
    except BaseException as error:  # also SystemExit, which would end the worker silently
        data = _packed(error)
    return data


def call_with(function: Any, payload: bytes, keys: tuple[str, ...], *places: Any) -> Any:
    """Run `call` with shared objects given as separate arguments."""
    return function(payload, dict(zip(keys, places, strict=True)))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, shared: Mapping[str, Any]):
        super().__init__(file)
        self.shared = shared

    def persistent_load(self, key: str) -> Any:
        """Return a shared object, read the first time that a task needs it."""
        if key not in _shared:
            source = self.shared[key]
            data = Path(source).read_bytes() if isinstance(source, str) else source
            _shared[key] = pickle.loads(data)
            while len(_shared) > SHARED_OBJECTS_KEPT:
                _shared.popitem(last=False)
        _shared.move_to_end(key)
        return _shared[key]


def _packed(error: BaseException) -> bytes:
    text = "".join(traceback.format_exception(error)).rstrip()
    error.__cause__ = error.__context__ = None  # these may not be picklable
    try:
        data: bytes = cloudpickle.dumps((True, (error, text)), protocol=5)
        pickle.loads(data)  # an exception whose __init__ takes other arguments fails here
    except Exception:
        name = type(error).__name__
        data = pickle.dumps((True, (RuntimeError(f"{name}, which cannot be pickled"), text)))
    return data


def unpack_result(data: bytes) -> Any:
    """Return the result of a task, or raise its exception with the worker's traceback as a note."""
    is_error, value = pickle.loads(data)
    if not is_error:
        return value
    error, text = value
    if not getattr(error, "traceback", ""):  # a SamplerError has it already
        error.add_note(f"in a worker process:\n{text}")
    raise error
