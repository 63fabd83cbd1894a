"""The iterator that `montezarr.stream` returns, which can be told to stop."""

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

    # Not the run itself: then the generator and it would hold each other, and one that is left in
    # the middle would go on until the next collection of garbage.
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
        paths = f"{run.partial_state.paths:,} paths so far"
        return f"<Stream of {listed}: {paths}, until {until if rule is None else rule}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Snapshot:
        """Draw until the next snapshot, and return it."""
        return next(self._snapshots)

    def stop(self) -> None:
        """End the stream with one more snapshot, that of all paths drawn so far.

        It may be called from another thread or a signal handler, and returns at once. What runs
        ends, what waits is given up; then the last snapshot comes, with ``stopped="by the user"``.
        Its paths are 0 ... n-1 as ever, in whole blocks of 1024, but n is whatever had been drawn
        by then, also between two marks. Before the first block is there, it is waited for.

        A second call, and one at the end of the stream, do nothing.
        """
        self._run.is_stopping = True

    def close(self) -> None:
        """End the stream without a further snapshot; what runs is given up.

        To be called by who reads the stream, not from another thread: for that, there is `stop`.
        """
        self._snapshots.close()

    def _end_block(self, error: BaseException | None) -> None:
        self.close()
