"""What a run may leave behind: nothing."""

import gc
import os
import tempfile
import time
from pathlib import Path

import psutil

HOUSEKEEPERS = ("resource_tracker", "forkserver")
"""Processes that Python itself keeps until the end, one of each."""


def children():
    """Return our child processes, without the housekeepers of `multiprocessing` and loky."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            command = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = command
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
    """Return temporary files and named semaphores."""
    shared = Path("/dev/shm")
    there = {str(path) for path in shared.iterdir()} if shared.exists() else set()
    ours = ("montezarr-", "joblib", "loky", "ray", "dask")
    there |= {
        entry.path for entry in os.scandir(tempfile.gettempdir()) if entry.name.startswith(ours)
    }
    return there


def snapshot():
    return set(children().values()) and children(), sockets(), files()


def check_nothing_left(before, seconds=10.0):
    """Assert that what is there now was there before; some things take a moment to go."""
    deadline = time.monotonic() + seconds
    while True:
        gc.collect()  # pools are cycles, and keep their semaphores until they are collected
        new_children = {p: c for p, c in children().items() if p not in (before[0] or {})}
        left = new_children, sockets() - before[1], files() - before[2]
        if not any(left) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert not any(left), left
