"""What runs in a worker process: its set-up, and one task after the other."""

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
    """Prepare a worker: Ctrl-C is for the parent to handle, and without a parent there is no work.

    Parameters
    ----------
    parent : int
        Process id of the parent.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process when the parent is gone, also where it was killed."""
    known = multiprocessing.parent_process()
    if known is not None and known.sentinel is not None:  # loky knows the one, not the other
        multiprocessing.connection.wait([known.sentinel])
    else:
        while os.getppid() == parent:
            time.sleep(0.5)
    os._exit(1)


def ready() -> int:
    """Return the id of this process: a task that does nothing, to see that the worker is there."""
    return os.getpid()


def call(payload: bytes, shared: Mapping[str, Any]) -> bytes:
    """Run a pickled (function, args, kwargs) and return the pickled (is error, result).

    What the task raises is a result too, so that any exception of the pool itself means that the
    pool has failed.

    Parameters
    ----------
    payload : bytes
        Made by `montezarr.execute._shared_objects`.
    shared : mapping of str to str or bytes
        By key the file, or the bytes, of each shared object that the task refers to.
    """
    try:
        unpickler = _Unpickler(io.BytesIO(payload), shared)
        function, args, kwargs = unpickler.load()
        value = function(*args, **kwargs)
        data: bytes = cloudpickle.dumps((False, value), protocol=5)
    except BaseException as error:  # also SystemExit, which would end the worker without a word
        data = _packed(error)
    return data


def call_with(function: Any, payload: bytes, keys: tuple[str, ...], *places: Any) -> Any:
    """Run `call` where shared objects come as arguments of their own."""
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
    error.__cause__ = error.__context__ = None  # may hold what cannot be pickled
    try:
        data: bytes = cloudpickle.dumps((True, (error, text)), protocol=5)
        pickle.loads(data)  # an exception whose __init__ takes other arguments fails here
    except Exception:
        name = type(error).__name__
        data = pickle.dumps((True, (RuntimeError(f"{name}, which cannot be pickled"), text)))
    return data


def unpack_result(data: bytes) -> Any:
    """Return the result of a task, or raise what it raised, with the worker's traceback noted."""
    is_error, value = pickle.loads(data)
    if not is_error:
        return value
    error, text = value
    if not getattr(error, "traceback", ""):  # a SamplerError has it already
        error.add_note(f"in a worker process:\n{text}")
    raise error
