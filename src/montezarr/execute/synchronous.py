"""The backend ``synchronous``: one task after the other, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, final

from montezarr.execute._base import ThreadBackend


class SerialExecutor(Executor):
    """Executor that runs each task at once in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the task and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@final
class Synchronous(ThreadBackend):
    """No parallel work: the reference for the other backends, and for debuggers."""

    name = "synchronous"
    aliases = ("sync", "single-threaded")
    runs_at_once = True

    def __init__(self, n_jobs: int = 1, **options: Any):
        super().__init__(n_jobs, **options)
        self.workers = 1

    @property
    def scheduler(self) -> Any:
        """Dask's scheduler that runs in the caller's thread."""
        return "synchronous"

    def make_executor(self) -> Executor:
        """Make the executor that runs each task at once."""
        return SerialExecutor()
