"""Errors of a backend that cannot go on: it is gone, or the system refuses resources."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from montezarr.core.errors import BackendError
from montezarr.core.text import show_bytes

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps the semaphores of worker processes."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

GO_ON = "A store goes on, with the same call, from what is committed."


def stopped(name: str) -> BackendError:
    """Return the error of a run whose backend was stopped while it ran."""
    return BackendError(
        f"backend: expected {name!r} to run until its tasks have ended, got one that was stopped:"
        " read on inside its with block."
    )


def cluster_lost(address: str, error: BaseException) -> BackendError:
    """Return the error of a run on a Dask cluster that does not answer any more.

    Parameters
    ----------
    address : str
        Address of the scheduler; user names before the host are left out.
    error : BaseException
        What Dask raised.
    """
    where = urlsplit(address).netloc.rpartition("@")[2] or address.rpartition("://")[2]
    return BackendError(
        f"backend: expected the Dask cluster at {where or 'its address'} to be there until the run"
        f" has ended, got {_described(error)}. Its scheduler has ended or does not answer, or the"
        " Client was closed or restarted. Start the missing part again, connect a new Client, and"
        f" repeat the call. {GO_ON}"
    )


def ray_lost(error: BaseException | None = None) -> BackendError:
    """Return the error of a run whose session of Ray has ended, or cannot go on.

    Parameters
    ----------
    error : BaseException, optional
        What Ray raised; None if the session was shut down.
    """
    got = "one that was shut down" if error is None else _described(error)
    return BackendError(
        f"backend: expected the session of Ray to be there until the run has ended, got {got}."
        " Start Ray anew, enter the block of the backend again, and repeat the call."
        f" {GO_ON}"
    )


def ray_full(error: BaseException) -> BackendError:
    """Return the error of a run for which Ray has no room."""
    return BackendError(
        f"backend: expected room in the object store of Ray, got {_described(error)}. Give it more"
        " by ray.init(object_store_memory=...), delete your own objects in it, make room on the"
        f" disk that it spills to, or take the backend 'processes'. {GO_ON}"
    )


def ray_no_start(error: BaseException) -> BackendError:
    """Return the error of a session of Ray that cannot be started."""
    return BackendError(
        f"backend: expected Ray to start, got {_described(error)}. What Ray logs is in the folder"
        " ray/session_latest/logs of the temporary directory, mostly /tmp. Try again on a machine"
        f" with less load, start Ray yourself by ray.init, or take the backend 'processes'."
        f" {GO_ON}"
    )


def no_start(name: str, error: BaseException) -> BackendError:
    """Return the error of a backend whose workers the system does not let start or go on."""
    error = _of_the_system(error)
    return BackendError(
        f"backend: expected the workers of {name!r} to start and to get their tasks, got"
        f" {_described(error)}. {_remedy(error)} Or take the backend 'threads'. {GO_ON}"
    )


def _of_the_system(error: BaseException) -> BaseException:
    """Return the system error that caused an error, or else the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _described(error: BaseException) -> str:
    """Return an error in one line, with its type: errors of Dask often have no text."""
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if isinstance(error.filename, str) else ""
        return f"{type(error).__name__}: {error.strerror}{where}"
    text = " ".join(str(error).split())[:200].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _remedy(error: BaseException) -> str:
    code = getattr(error, "errno", None)
    if code in NO_ROOM:
        free = "; ".join(f"{size} free in {folder}" for folder, size in _free())
        return f"Make room for temporary files and semaphores ({free}), or set TMPDIR elsewhere."
    if code in (errno.EMFILE, errno.ENFILE):
        return "Allow more open files (ulimit -n), or take fewer workers."
    if code in (errno.EAGAIN, errno.ENOMEM):
        return "Allow more processes or memory (ulimit -u, ulimit -v), or take fewer workers."
    return "If there is no writable temporary directory, set TMPDIR to one."


def _free() -> list[tuple[str, str]]:
    found = []
    for folder in (_temporary(), str(SHARED_MEMORY)):
        try:
            found.append((folder, show_bytes(shutil.disk_usage(folder).free)))
        except OSError:
            continue
    return found


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # no temporary directory is writable
        return "no temporary directory"
