"""Which process a lock or an unfinished file belongs to, and whether it is surely no more."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from montezarr.core.json import parse_json


def this_owner() -> dict[str, Any]:
    """Return who this process is: also where process ids are used again, or the host was booted."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "boot": _boot(),
        "processes": _processes(),
        "pid": os.getpid(),
        "start": _start(os.getpid()),
    }


def is_here(owner: Any) -> bool:
    """Return whether an owner is, or was, a process of this machine that can be seen from here."""
    try:
        # Two machines may have one name, and two containers on one machine do not see each other.
        if (owner["host"], owner["machine"]) != (socket.gethostname(), _machine()):
            return False
        return bool(owner["boot"] != _boot() or owner["processes"] == _processes())
    except (KeyError, TypeError):
        return False


def is_dead(owner: Any) -> bool:
    """Return whether an owner surely is no more: only one of this machine can be known to be."""
    if not is_here(owner):
        return False
    try:
        return owner["boot"] != _boot() or bool(_start(int(owner["pid"])) != owner["start"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def describe_owner(text: bytes | str | None) -> str:
    """Return a record as words."""
    try:
        owner = parse_json(text or "")
        return f"process {int(owner['pid'])} on {str(owner['host'])[:80]!r}"
    except (ValueError, KeyError, TypeError, OverflowError):
        return "an unknown process"


def owned_name(prefix: str = "") -> str:
    """Return a new name for something unfinished, which says whose it is; see `remove_orphans`."""
    return f"{prefix}{_stamp(os.getpid())}-{secrets.token_hex(8)}"


def remove_orphans(folder: Path, prefix: str = "") -> None:
    """Remove what processes that are no more left unfinished: files and directories of theirs.

    Parameters
    ----------
    folder : Path
        Where to look; it may be missing.
    prefix : str
        What the names begin with, as it was given to `owned_name`.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(prefix)]
    except OSError:
        return
    for name in names:
        if _is_orphan(name[len(prefix) :]):
            with suppress(OSError):
                path = folder / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


_STAMP = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9]+)-([0-9.]+)-[0-9a-f]{16}")


def _is_orphan(stamp: str) -> bool:
    found = _STAMP.fullmatch(stamp.partition(".partial")[0])
    if found is None:
        return False
    machine, boot, processes, pid, start = found.groups()
    mine = _stamp(os.getpid()).split("-")
    if machine != mine[0] or (boot == mine[1] and processes != mine[2]):
        return False  # of another machine, or of a container that cannot be looked into
    return boot != mine[1] or _start(int(pid)) != start


def _stamp(pid: int) -> str:
    return f"{_here()}-{pid}-{_start(pid) or 0}"


@lru_cache(maxsize=1)
def _here() -> str:
    """Return machine, boot and container, each as eight digits."""
    parts = ((socket.gethostname(), _machine()), _boot(), _processes())
    return "-".join(hashlib.sha256(repr(part).encode()).hexdigest()[:8] for part in parts)


def _machine() -> str | None:
    """Return what tells a machine from others of the same name, where the system has it."""
    try:
        return Path("/etc/machine-id").read_text().strip() or None
    except OSError:
        return None


def _processes() -> str | None:
    """Return among which processes an id means one: each container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(psutil.boot_time())


def _start(pid: int) -> str | None:
    """Return when a process began, as the system counts, or None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]  # in ticks since the boot, which no clock changes
    except (OSError, IndexError):
        pass
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
