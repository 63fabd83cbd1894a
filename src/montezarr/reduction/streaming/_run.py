"""One run of a stream: tasks in order, folded, and a snapshot at each mark."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, final

from montezarr.execute import windowed
from montezarr.execute.progress import Progress
from montezarr.execute.run_monitor import Watch
from montezarr.random.seeding import BLOCK
from montezarr.reduction.accumulate import Folded
from montezarr.reduction.passes._layout import Layout
from montezarr.reduction.passes._passes import span_of
from montezarr.reduction.passes._prepare import planned
from montezarr.reduction.sources import DrawnFeed, Feed
from montezarr.reduction.streaming._marks import Marks
from montezarr.reduction.streaming._snapshot import Snapshot, with_sequences
from montezarr.reduction.streaming._until import Reached, Until
from montezarr.run.execution import Tally

BY_USER = "by the user"
"""Why a stream stops that is told to."""

DEPTH = 5
"""Calls from ``warnings.warn`` to who reads: `warn`, `_told`, `snapshots`, ``Stream.__next__``."""


@final
class Run:
    """One run of a stream.

    Attributes
    ----------
    is_stopping : bool
        Whether to stop; anybody may set it at any time.
    tick : callable or None
        Called by who reads the stream, whenever a task has ended and ten times a second.
    """

    def __init__(
        self,
        feed: Feed,
        layout: Layout,
        rule: Until | None,
        step: int | None,
        show: bool,
        header: dict[str, Any],
        folded: Folded,
    ):
        self.feed, self.layout, self.rule = feed, layout, rule
        self.show, self.header, self.folded = show, header, folded
        self.started_at = folded.paths
        self.marks = Marks(step, rule, folded.paths)
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
        end, backend = self.feed.n_paths, self.feed.backend
        if self.started_at:  # the rule may be met already
            snapshot = self._snapshot("all paths" if self.started_at == end else None)
            yield snapshot
            if snapshot.stopped is not None:
                return
        fold, tally = self.layout.fold, Tally()
        shown = Progress("stream", enabled=self.show)
        with backend.running(), Watch("stream", shown) as watch:
            watch(self.started_at, end, 0)
            watch.process = self.feed.process
            watch.planned = partial(planned, self.feed, self.layout)
            results = windowed(
                backend, self.feed.task(fold), self._items(), span_of, ordered=True,
                # It runs what it gets at once, and nothing may stop it before it has done so.
                window=1 if backend.runs_at_once else None,
                stopping=self._may_stop, settle=False, watch=watch,
            )  # fmt: skip
            with closing(results):
                for _, (parts, report) in results:
                    tally.add(report)
                    for stop, folded in parts:
                        if stop <= self.started_at:
                            continue  # of a chunk that was in part folded before
                        fold.join(self.folded, folded)
                        is_end = stop == end
                        if not is_end and stop not in self.marks:
                            watch(self.folded.paths, watch.total, len(tally.masked))
                            continue
                        fold.finish(self.folded, stop)
                        snapshot = self._snapshot("all paths" if is_end else None)
                        yield self._told(snapshot, watch, tally)
                        if snapshot.stopped is not None:
                            return
            # Only who tells it to stop gets here.
            yield self._told(self._snapshot(BY_USER), watch, tally)

    def _may_stop(self) -> bool:
        """Return whether to stop: without a block there would be no results at all."""
        if self.tick is not None:
            self.tick()
        return self.is_stopping and self.folded.paths > 0

    def _told(self, snapshot: Snapshot, watch: Watch, tally: Tally) -> Snapshot:
        """Report the progress and, with the last snapshot, what went wrong."""
        is_known = snapshot.stopped or snapshot.paths_needed is not None
        total = snapshot.paths + (snapshot.paths_needed or 0) if is_known else None
        watch.estimate(lambda: snapshot.dataset, now=True)
        watch(snapshot.paths, total, len(tally.masked))
        if snapshot.stopped is not None:
            tally.warn(snapshot.paths, stacklevel=DEPTH)
            self.layout.warn(self.folded, DEPTH)
        return snapshot

    def _snapshot(self, stopped: str | None) -> Snapshot:
        """Return the results so far, and whether they will do."""
        folded = self.folded
        seconds = time.perf_counter() - self.began
        ds = self.layout.dataset(folded)
        totals = self.layout.fold.totals(folded)
        hits = self.layout.hits(totals) if self.rule is not None else {}
        vary = self.layout.vary(totals) if self.rule is not None else {}
        reached = Reached(folded.paths, seconds, ds, self.started_at, hits, vary)
        new = folded.paths - self.started_at
        rate = new / seconds if seconds > 0 else 0.0
        reason, needed = stopped, self.feed.n_paths
        if self.rule is not None:
            # Not where somebody stopped, nor there again when it goes on: only a mark is the same
            # in every run.
            if stopped != BY_USER and (folded.paths in self.marks or folded.paths == needed):
                reason = self.rule.reason(reached) or stopped
            predicted = self.rule.needed(reached)
            if predicted is not None:
                needed = predicted if needed is None else min(predicted, needed)
        left = None if needed is None or reason is not None else max(0, needed - folded.paths)
        return Snapshot(
            paths=folded.paths,
            # Of a small group the number of all paths would make it far too narrow.
            dataset=(
                ds
                if self.layout.by is not None
                else with_sequences(
                    ds,
                    folded.paths,
                    self.layout.sequences(totals),
                    self.layout.shares(folded, totals),
                )
            ),
            seconds=seconds,
            paths_per_second=rate,
            paths_needed=left,
            seconds_left=None if left is None or rate == 0 else left / rate,
            stopped=reason,
            _state=(self.header, folded.copy()),
        )

    def _items(self) -> Iterator[Any]:
        """Yield the tasks: of paths that can be had in any range, small ones at the beginning."""
        feed, end, cuts = self.feed, self.feed.n_paths, self.marks.cuts
        largest = feed.size()
        low = self.started_at
        if not isinstance(feed, DrawnFeed):
            assert end is not None
            yield from feed.items(low, end, largest, cuts)
            return
        while low != end:
            high = self.marks.after(low)
            high = high if end is None else min(high, end)
            fair = max(1, (high - low) // feed.backend.workers // BLOCK)
            size = min(largest, BLOCK << (fair.bit_length() - 1))
            yield from feed.items(low, high, size, cuts)
            low = high
