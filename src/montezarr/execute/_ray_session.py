"""The session of Ray: the user's, or our own, which its last pool here shuts down."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from montezarr.core.compat.ray import end_failed_start, set_starts_unasked, starts_unasked
from montezarr.core.fork import ForkLock
from montezarr.core.spawn import worker_environment
from montezarr.execute._lost import ray_no_start

RaySession = tuple[str, str]

_lock = ForkLock()
_own_session: RaySession | None = None
"""The session that this module started."""
_users = 0
"""Number of pools that use our session: the last one shuts it down."""


def session_of(ray: Any) -> RaySession | None:
    """Return what identifies the current session of Ray, or None."""
    try:
        if not ray.is_initialized():
            return None
        context = ray.get_runtime_context()
        return context.get_node_id(), context.get_job_id()
    except Exception:  # it is being shut down
        return None


def join_session(ray: Any, workers: int, check_allowed: Callable[[], None]) -> RaySession | None:
    """Return the session of Ray; start our own if there is none.

    `check_allowed` raises if none may be started.
    """
    global _own_session, _users
    with _lock:
        if not ray.is_initialized():
            check_allowed()
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            _start(ray, workers)
            _own_session, _users = session_of(ray), 0
        session = session_of(ray)
        if session is not None and session == _own_session:
            _users += 1
        return session


def _start(ray: Any, workers: int) -> None:
    """Start a session, at the second attempt if need be, and leave nothing of one that failed.

    Ray waits 30 s for its processes, which a first start from a cold disk may take; a second one
    finds the files read.
    """
    for is_last in (False, True):
        try:
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": {**worker_environment(), "PYTHONPATH": _import_path()}},
            )
        except Exception as error:  # Ray has no class for this error
            with suppress(Exception):
                ray.shutdown()
            end_failed_start(error)
            if is_last:
                raise ray_no_start(error) from error
        else:
            return


def leave_session(ray: Any, session: RaySession | None) -> None:
    """Shut down our own session when its last user leaves."""
    global _own_session, _users
    with _lock:
        if session is None or session != _own_session:
            return
        _users -= 1
        if _users == 0:
            _own_session = None
            if session_of(ray) == session:
                ray.shutdown()


_hushed = 0
_starts_unasked = True


@contextmanager
def no_session_unasked() -> Iterator[None]:
    """Keep Ray from starting a session implicitly: it would listen on the network.

    Any call of Ray does so if the session was shut down meanwhile.
    """
    global _hushed, _starts_unasked
    with _lock:
        if _hushed == 0:
            _starts_unasked = starts_unasked()
            set_starts_unasked(False)
        _hushed += 1
    try:
        yield
    finally:
        with _lock:
            _hushed -= 1
            if _hushed == 0:
                set_starts_unasked(_starts_unasked)


def _import_path() -> str:
    """Return this process's import path, so that workers find the same modules."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)
