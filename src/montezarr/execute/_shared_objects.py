"""Pickle tasks for worker processes by cloudpickle; send shared objects once per worker."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import cloudpickle

from montezarr.core.checks import show, type_error
from montezarr.core.errors import MontezarrError
from montezarr.core.owner import owned_name, remove_orphans
from montezarr.execute._lost import no_start
from montezarr.samplers import Sampler

_numbers = itertools.count()

PREFIX = "montezarr-"
"""Prefix of the directories of shared objects; the owner follows."""


class SharedObjects:
    """The shared objects of a pool: bound samplers, each written to a file once.

    A task carries the name of the file, which a worker reads on first use, so a sampler of 50 MB
    is not sent with every task. The file is removed when the sampler is garbage collected.
    """

    def __init__(self) -> None:
        self._folder: str | None = None
        self._known: dict[int, tuple[str, Any]] = {}
        self._lock = threading.RLock()  # reentrant: a finalizer may run at any time

    def dumps(self, task: Any) -> tuple[bytes, dict[str, Any], list[Sampler]]:
        """Pickle a task; shared samplers become keys. Also return these by key, and the samplers.

        The caller keeps the samplers alive until the task is done.

        Raises
        ------
        ArgumentTypeError
            If the task, or the sampler in it, cannot be pickled; with the reason.
        """
        file = io.BytesIO()
        pickler = _Pickler(file, self)
        try:
            pickler.dump(task)
        except MontezarrError:
            raise
        except Exception as error:
            raise unfit(task, error) from error
        return file.getvalue(), pickler.used, pickler.kept

    def place(self, sampler: Sampler) -> tuple[str, Any]:
        """Store a sampler once, and return its key and where it is stored."""
        with self._lock:
            known = self._known.get(id(sampler))
            if known is None:
                try:
                    data = cloudpickle.dumps(sampler, protocol=5)
                except Exception as error:
                    raise unfit(sampler.target, error) from error
                key = f"{os.getpid()}-{next(_numbers)}"
                known = self._known[id(sampler)] = key, self.store(key, data)
                weakref.finalize(sampler, self._forget, id(sampler))
            return known

    def store(self, key: str, data: bytes) -> Any:
        """Store the bytes of an object where workers can read them, and return where.

        Raises
        ------
        BackendError
            If there is no room for the object, or no temporary directory.
        """
        try:
            return self._stored(key, data)
        except OSError as error:
            raise no_start("processes", error) from error

    def _stored(self, key: str, data: bytes) -> str:
        if self._folder is None:
            folder = Path(tempfile.gettempdir())
            remove_orphans(folder, PREFIX)
            path = str(folder / owned_name(PREFIX))
            os.mkdir(path, 0o700)  # workers unpickle its files: no other user may write
            self._folder = path
        path = os.path.join(self._folder, key)
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            self.remove(path)
            raise OSError(error.errno, error.strerror, path) from error
        return path

    def remove(self, place: Any) -> None:
        """Remove what `store` stored."""
        with suppress(OSError):
            os.unlink(place)

    def clear(self) -> None:
        """Forget all shared objects and remove their files."""
        with self._lock:
            self._known.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _forget(self, identity: int) -> None:
        with self._lock:
            known = self._known.pop(identity, None)
        if known is not None:
            self.remove(known[1])


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no annotations
    def __init__(self, file: Any, shared_objects: SharedObjects):
        super().__init__(file, protocol=5)
        self.shared_objects = shared_objects
        self.used: dict[str, Any] = {}
        self.kept: list[Sampler] = []

    def persistent_id(self, obj: Any) -> str | None:
        """Return the key of a shared object; None pickles any other object in place."""
        if not isinstance(obj, Sampler):
            return None
        key, place = self.shared_objects.place(obj)
        self.used[key] = place
        self.kept.append(obj)
        return key


def unfit(thing: Any, error: Exception) -> Exception:
    """Return the error for an object that cannot be pickled, with the reason."""
    return type_error(
        "process",
        "a sampler that can be pickled, as backends of processes need it",
        thing,
        f"{type(error).__name__}: {show(str(error), 300)}. Leave that part out in a __getstate__,"
        " create it inside the sampler, or use the backend 'threads' or 'synchronous'.",
    )
