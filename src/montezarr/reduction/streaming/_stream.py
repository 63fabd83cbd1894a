"""The iterator that `montezarr.stream` returns, with a method to stop it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Self, final

from montezarr.core.context import ContextManager
from montezarr.reduction.streaming._run import StreamRun
from montezarr.reduction.streaming._snapshot import Snapshot


@final
class Stream(ContextManager, Iterator[Snapshot]):
    """Iterator of snapshots, made by `montezarr.stream`; it draws paths while it is read.

    As a context manager it is closed at the end of the block.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=None, T=1, seed=42)
    >>> stream = mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(10**9))
    >>> stream
    <Stream of x_mean: 0 paths so far, until 1,000,000,000 paths>
    >>> for snapshot in stream:
    ...     if snapshot.paths == 4096:
    ...         stream.stop()
    >>> snapshot.stopped
    'by the user'
    """

    # The stream is not the run itself: it and the generator would refer to each other, and an
    # abandoned stream would run on until the next garbage collection.
    __slots__ = ("_run", "_snapshots")

    def __init__(self, run: StreamRun):
        self._run = run
        self._snapshots: Generator[Snapshot, None, None] = run.snapshots()

    def __repr__(self) -> str:
        run = self._run
        rule, end = run.rule, run.block_source.n_paths
        until = "all paths" if end is None else f"all {end:,} paths"
        names = [name for name in run.names if not name.endswith(("_se", "_low", "_high"))]
        listed = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
        paths = f"{run.done:,} paths so far"
        return f"<Stream of {listed}: {paths}, until {until if rule is None else rule}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Snapshot:
        """Draw until the next snapshot, and return it."""
        return next(self._snapshots)

    def stop(self) -> None:
        """End the stream with one more snapshot, that of all paths drawn so far.

        It may be called from another thread or a signal handler, and returns at once. Running tasks
        finish, waiting ones are cancelled; then the last snapshot follows, with ``stopped="by the
        user"``. Its paths are 0 ... n-1 as always, in whole blocks of 1024 unless they are drawn
        one at a time, but n is the number drawn by then, also between two splits. The stream waits
        for the first of them in any case.

        A second call, or a call after the end of the stream, does nothing.
        """
        self._run.is_stopping = True

    def close(self) -> None:
        """End the stream without a further snapshot; running tasks are abandoned.

        Call it in the thread that reads the stream; from another one, call `stop`.
        """
        self._snapshots.close()

    def _end_block(self, error: BaseException | None) -> None:
        self.close()
