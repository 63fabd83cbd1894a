"""One run of a stream: fold tasks in order, and take a snapshot at each split."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, final

from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import RunMonitor
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import PartialState
from montezarr.reduction.passes._layout import Layout
from montezarr.reduction.passes._prepare import planned
from montezarr.reduction.sources import BlockSource, DrawnBlocks
from montezarr.reduction.streaming._snapshot import Snapshot, with_sequences
from montezarr.reduction.streaming._splits import Splits
from montezarr.reduction.streaming._until import Reached, Until
from montezarr.run.execution import FailureLog

BY_USER = "by the user"
"""Reason of a stop by `Stream.stop`."""

DEPTH = 5
"""Calls from ``warnings.warn`` to who reads: `warn`, `_told`, `snapshots`, ``Stream.__next__``."""


@final
class StreamRun:
    """One run of a stream.

    Attributes
    ----------
    done, drawn : int
        Number of paths so far: in the results, and drawn for them.
    is_stopping : bool
        Whether to stop; any thread may set it at any time.
    tick : callable or None
        Called in the thread that reads the stream, after each task and ten times a second.
    """

    def __init__(
        self,
        block_source: BlockSource,
        layout: Layout,
        rule: Until | None,
        step: int | None,
        show: bool,
        header: dict[str, Any],
        partial_state: PartialState,
    ):
        self.block_source, self.layout, self.rule = block_source, layout, rule
        self.show, self.header, self.partial_state = show, header, partial_state
        self.started_at = self.done = self.drawn = partial_state.paths
        self.splits = Splits(step, rule, partial_state.paths, block_source.grain)
        self.began = time.perf_counter()
        self.is_stopping = False
        self.tick: Callable[[], None] | None = None

    @property
    def names(self) -> list[str]:
        """The names of all results."""
        return [name for name, _ in self.layout.results()]

    def snapshots(self) -> Generator[Snapshot, None, None]:
        """Yield the snapshots."""
        self.began = time.perf_counter()
        end, backend = self.block_source.n_paths, self.block_source.backend
        if self.started_at:  # the rule may already be met
            snapshot = self._snapshot("all paths" if self.started_at == end else None)
            yield snapshot
            if snapshot.stopped is not None:
                return
        accumulator, failure_log = self.layout.accumulator, FailureLog()
        shown = Progress("stream", enabled=self.show)
        with backend.running(), RunMonitor("stream", shown) as monitor:
            monitor(self.started_at, end, 0)
            monitor.process = self.block_source.process
            monitor.planned = partial(planned, self.block_source, self.layout)
            results = self.block_source.results(
                self.block_source.task(accumulator), self._items(), monitor, ordered=True,
                # Such a backend runs submitted tasks at once, and cannot be stopped in between.
                window=1 if backend.runs_at_once else None,
                stopping=self._may_stop, settle=False,
            )  # fmt: skip
            with closing(results):
                for _, self.drawn, result in results:
                    if result is None:
                        monitor(self.drawn, monitor.total, len(failure_log.masked))
                        continue
                    parts, report = result
                    failure_log.add(report)
                    for stop, partial_state in parts:
                        if stop <= self.started_at:
                            continue  # a part of a chunk that was folded before
                        accumulator.join(self.partial_state, partial_state)
                        is_end = stop == end
                        is_exact = is_end or self.block_source.grain == 1
                        self.done = stop if is_exact else self.partial_state.paths
                        if not is_end and stop not in self.splits:
                            monitor(stop, monitor.total, len(failure_log.masked))
                            continue
                        snapshot = self._snapshot("all paths" if is_end else None)
                        yield self._told(snapshot, monitor, failure_log)
                        if snapshot.stopped is not None:
                            return
            # Only `Stream.stop` gets here.
            yield self._told(self._snapshot(BY_USER), monitor, failure_log)

    def _may_stop(self) -> bool:
        """Return whether to stop: without a path there would be no results."""
        if self.tick is not None:
            self.tick()
        return self.is_stopping and self.drawn > 0

    def _told(self, snapshot: Snapshot, monitor: RunMonitor, failure_log: FailureLog) -> Snapshot:
        """Report the progress and, with the last snapshot, failures and warnings."""
        is_known = snapshot.stopped or snapshot.paths_needed is not None
        total = snapshot.paths + (snapshot.paths_needed or 0) if is_known else None
        monitor.estimate(lambda: snapshot.dataset, now=True)
        monitor(snapshot.paths, total, len(failure_log.masked))
        if snapshot.stopped is not None:
            failure_log.warn(snapshot.paths, stacklevel=DEPTH)
            self.layout.warn(self._finished(), DEPTH)
        return snapshot

    def _finished(self) -> PartialState:
        """Return the state with the last block folded, which the next paths may add to."""
        if self.partial_state.paths == self.done:
            return self.partial_state
        finished = self.partial_state.copy()
        self.layout.accumulator.finish(finished, self.done)
        return finished

    def _snapshot(self, stopped: str | None) -> Snapshot:
        """Return the results so far, and whether the rule is met."""
        partial_state = self._finished()
        seconds = time.perf_counter() - self.began
        ds = self.layout.dataset(partial_state)
        totals = self.layout.accumulator.totals(partial_state)
        hits = self.layout.hits(totals) if self.rule is not None else {}
        vary = self.layout.vary(totals) if self.rule is not None else {}
        grain = self.block_source.grain
        reached = Reached(self.done, seconds, ds, self.started_at, hits, vary, grain)
        new = partial_state.paths - self.started_at
        rate = new / seconds if seconds > 0 else 0.0
        reason, needed = stopped, self.block_source.n_paths
        if self.rule is not None:
            # Not after a stop by the user, nor there when the stream is resumed: only a split is
            # the same in every run.
            if stopped != BY_USER and (
                partial_state.paths in self.splits or partial_state.paths == needed
            ):
                reason = self.rule.reason(reached) or stopped
            predicted = self.rule.needed(reached)
            if predicted is not None:
                needed = predicted if needed is None else min(predicted, needed)
        is_last = partial_state.paths == self.block_source.n_paths
        left = (
            None if needed is None or reason is not None else max(0, needed - partial_state.paths)
        )
        return Snapshot(
            paths=partial_state.paths,
            # For a small group the number of all paths would make sequences far too narrow.
            dataset=(
                ds
                if self.layout.by is not None
                else with_sequences(
                    ds,
                    partial_state.paths,
                    self.layout.sequences(totals),
                    self.layout.shares(partial_state, totals),
                )
            ),
            seconds=seconds,
            paths_per_second=rate,
            paths_needed=left,
            seconds_left=None if left is None or rate == 0 else left / rate,
            stopped=reason,
            # That of whole blocks goes on with the bits of one stream, that of all paths does not.
            _state=(self.header, (partial_state if is_last else self.partial_state).copy()),
        )

    def _items(self) -> Iterator[Any]:
        """Yield the items; the first ones are small if paths can be drawn in any range."""
        block_source, end, splits = (
            self.block_source,
            self.block_source.n_paths,
            self.splits.between,
        )
        largest = block_source.size()
        low = self.started_at
        if not isinstance(block_source, DrawnBlocks):
            assert end is not None
            yield from block_source.items(low, end, largest, splits)
            return
        if self.rule is not None and (last := self.rule.last(block_source.grain)) is not None:
            end = last if end is None else min(end, last)
        while end is None or low < end:
            high = self.splits.after(low)
            high = high if end is None else min(high, end)
            fair = max(1, (high - low) // block_source.backend.workers // BLOCK)
            size = min(largest, BLOCK << (fair.bit_length() - 1))
            yield from block_source.items(low, high, size, splits)
            low = high
