"""One writer at a time: a lock that the system takes from the dead, with a record of its owner."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

from montezarr.errors import StoreError, StoreLockedError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def this_owner() -> dict[str, Any]:
    """Return who this process is: also where process ids are used again, or the host was booted."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "start": _start(os.getpid()),
    }


def is_dead(owner: Any) -> bool:
    """Return whether an owner surely is no more: only one of this machine can be known to be."""
    try:
        if owner["host"] != socket.gethostname():
            return False
        if owner["boot"] != _boot():
            return True
        return bool(_start(int(owner["pid"])) != owner["start"])
    except (KeyError, TypeError, ValueError):
        return False


def describe_owner(text: bytes | str | None) -> str:
    """Return a record as words."""
    try:
        owner = json.loads(text or "")
        return f"process {int(owner['pid'])} on {str(owner['host'])[:80]!r}"
    except (ValueError, KeyError, TypeError):
        return "an unknown process"


class FileLock:
    """An flock on a file, taken at once or not at all; it ends with the process, however that ends.

    No clock tells anything here: the system knows who lives.
    """

    def __init__(self, file: Path):
        self.file = file
        self._handle: IO[bytes] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        if fcntl is None:
            raise StoreError("path: expected a POSIX system to write on, got Windows.")
        for parent in reversed([self.file.parent, *self.file.parent.parents]):
            with contextlib.suppress(FileExistsError):
                parent.mkdir()
                self._made.append(parent)
        while True:
            handle = self.file.open("a+b")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                owner = describe_owner(handle.read())
                handle.close()
                raise StoreLockedError(
                    f"path: expected a store that nobody writes to, got {self.file.parent.parent},"
                    f" which {owner} is writing. Wait for it, or end it."
                ) from error
            if self._is_mine(handle):
                break
            handle.close()  # its owner has just ended, and taken the file away
        handle.truncate(0)
        handle.write(json.dumps(this_owner()).encode())
        handle.flush()
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._handle is not None
        self.file.unlink(missing_ok=True)
        self._handle.close()
        # What was made for the lock alone goes with it, when nothing came of it.
        with contextlib.suppress(OSError):
            for parent in reversed(self._made):
                parent.rmdir()

    def _is_mine(self, handle: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(handle.fileno()), os.stat(self.file))
        except FileNotFoundError:
            return False


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
