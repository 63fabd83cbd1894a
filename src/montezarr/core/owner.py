"""The process that owns a lock or an unfinished file, and whether it has certainly ended."""

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
    """Return a record that identifies this process, even after reuse of its id or a reboot."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "boot": _boot(),
        "processes": _processes(),
        "pid": os.getpid(),
        "start": _start(os.getpid()),
    }


def is_here(owner: Any) -> bool:
    """Return whether an owner is or was a process of this machine, visible to this process."""
    try:
        # Two machines may have one name, and two containers on one machine do not see each other.
        if (owner["host"], owner["machine"]) != (socket.gethostname(), _machine()):
            return False
        return bool(owner["boot"] != _boot() or owner["processes"] == _processes())
    except (KeyError, TypeError):
        return False


def is_dead(owner: Any) -> bool:
    """Return whether an owner has certainly ended; False for owners on other machines."""
    if not is_here(owner):
        return False
    try:
        return owner["boot"] != _boot() or bool(_start(int(owner["pid"])) != owner["start"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def describe_owner(text: bytes | str | None) -> str:
    """Return the record of an owner as text for messages."""
    try:
        owner = parse_json(text or "")
        return f"process {int(owner['pid'])} on {str(owner['host'])[:80]!r}"
    except (ValueError, KeyError, TypeError, OverflowError):
        return "an unknown process"


def owned_name(prefix: str = "") -> str:
    """Return a new name for an unfinished file that records its owner; see `remove_orphans`."""
    return f"{prefix}{_stamp(os.getpid())}-{secrets.token_hex(8)}"


def remove_orphans(folder: Path, prefix: str = "") -> None:
    """Remove unfinished files and directories of processes that have ended.

    Parameters
    ----------
    folder : Path
        The directory to search; it may be missing.
    prefix : str
        Prefix of the names, as given to `owned_name`.
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
        return False  # of another machine, or of a container whose processes are not visible
    return boot != mine[1] or _start(int(pid)) != start


def _stamp(pid: int) -> str:
    return f"{_here()}-{pid}-{_start(pid) or 0}"


@lru_cache(maxsize=1)
def _here() -> str:
    """Return machine, boot and container, each as eight hexadecimal digits."""
    parts = ((socket.gethostname(), _machine()), _boot(), _processes())
    return "-".join(hashlib.sha256(repr(part).encode()).hexdigest()[:8] for part in parts)


def _machine() -> str | None:
    """Return the id that distinguishes machines of the same name; None if there is none."""
    try:
        return Path("/etc/machine-id").read_text().strip() or None
    except OSError:
        return None


def _processes() -> str | None:
    """Return the PID namespace, within which process ids are unique; None if unknown."""
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
    """Return the start time of a process, as the system records it; None if it does not exist."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]  # in ticks since the boot, independent of the system clock
    except (OSError, IndexError):
        pass
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
