"""What a run may leave behind: nothing.

Only what is ours is looked at, so that other programs may come and go meanwhile: our child
processes, the sockets that we listen on, the temporary directory that the fixture `own_names` of
`conftest.py` makes for this session, and of the names in shared memory those that carry our mark or
the number of a process of ours, or that such a process has open.
"""

import gc
import os
import re
import tempfile
from multiprocessing import process
from pathlib import Path

import psutil
from patience import PATIENCE, until

SHARED = Path("/dev/shm")
"""Where Linux keeps named semaphores and shared memory."""

HOUSEKEEPERS = ("resource_tracker", "forkserver")
"""Processes that Python itself keeps until the end, one of each."""

KEPT = re.compile(r"pymp-|ray$|dask-scratch-space$|.*\.lock$")
"""What packages keep in a temporary directory until the end: multiprocessing, Ray, Dask."""

NUMBERED = re.compile(r"(?:sem\.loky-|joblib_memmapping_folder_)(\d+)")
"""Names of joblib, with the number of the process that made them."""

_seen = {os.getpid()}
"""Every process of ours that was ever seen: of those that were killed, names may stay."""


def own_names(token):
    """Have what multiprocessing names, here and in the processes that it starts, carry a mark."""
    process.current_process()._config["semprefix"] = f"/mp-{token}"


def children():
    """Return our child processes, without the housekeepers of `multiprocessing` and loky."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        _seen.add(child.pid)
        try:
            command = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE:
                found[child.pid] = command
        except psutil.NoSuchProcess:
            continue
    return {pid: text for pid, text in found.items() if not any(h in text for h in HOUSEKEEPERS)}


def sockets():
    """Return the TCP sockets that we listen on."""
    return {
        connection.laddr
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def files():
    """Return our temporary files, and names of ours in shared memory."""
    with os.scandir(tempfile.gettempdir()) as entries:
        there = {entry.path for entry in entries if not KEPT.match(entry.name)}
    names = {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()
    mark = f"sem.{process.current_process()._config['semprefix'].lstrip('/')}-"
    unmarked = {name for name in names if not name.startswith(mark)}
    others = {name for name in unmarked if not _has_number_of_ours(name)}
    return there | {str(SHARED / name) for name in (names - others) | (others & _open_names())}


def _has_number_of_ours(name):
    found = NUMBERED.match(name)
    return found is not None and int(found[1]) in _seen


def _open_names():
    """Return the names in shared memory that we or our children have open or mapped."""
    found = set()
    for pid in (os.getpid(), *children()):
        try:
            opened = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
            opened += Path(f"/proc/{pid}/maps").read_text().splitlines()
        except OSError:  # it has just ended, or the system has no such files
            continue
        for text in opened:
            _, is_there, name = text.partition(f"{SHARED}/")
            if is_there:
                found.add(name)
    return found


def snapshot():
    """Return what is there of ours: processes, sockets, files."""
    return children(), sockets(), files()


def check_nothing_left(before, seconds=PATIENCE):
    """Assert that what is there now was there before; some things take a moment to go."""

    def left():
        gc.collect()  # pools are cycles, and keep their semaphores until they are collected
        processes = {pid: text for pid, text in children().items() if pid not in before[0]}
        return processes, sockets() - before[1], files() - before[2]

    until(lambda: not any(left()), left, seconds)
