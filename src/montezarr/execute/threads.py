"""The backend ``threads``: one thread per core, for samplers that release the GIL."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import final

from montezarr.execute._base import ThreadBackend


@final
class Threads(ThreadBackend):
    """`concurrent.futures.ThreadPoolExecutor`. Nothing is copied and nothing needs pickling."""

    name = "threads"
    aliases = ("threading",)

    def make_executor(self) -> Executor:
        """Make a pool of threads."""
        return ThreadPoolExecutor(self.workers, "montezarr")
