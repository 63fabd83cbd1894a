"""`stream`: statistics while they grow, until they are good enough."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import xarray as xr

from montezarr._checks import check_bool, check_int, value_error
from montezarr.backends import windowed
from montezarr.folding import Folded
from montezarr.observed import PATH, DrawnFeed, Feed
from montezarr.progress import Progress
from montezarr.reduce._layout import Layout
from montezarr.reduce._passes import span_of
from montezarr.reduce._prepare import prepare
from montezarr.runs import Tally
from montezarr.seeding import BLOCK
from montezarr.stream._snapshot import Snapshot, with_sequences
from montezarr.stream._state import load
from montezarr.stream._until import (
    Paths,
    Reached,
    Seconds,
    StandardError,
    Until,
    check_until,
)

__all__ = ["Paths", "Seconds", "Snapshot", "StandardError", "Until", "stream"]

PER_OCTAVE = 4
"""Snapshots while the number of paths doubles."""


def stream(
    obj: Any,
    statistics: Any,
    until: Until | None = None,
    dim: str = PATH,
    *,
    by: Any = None,
    observe: Callable[[xr.Dataset], Any] | None = None,
    every: int | None = None,
    progress: bool = False,
    resume_from: Any = None,
) -> Iterator[Snapshot]:
    """Yield snapshots of statistics while paths are drawn, until a rule, or their end, is met.

    Snapshots come at path counts that are fixed in advance: four times while the number of paths
    doubles, from 1024 on, or at the multiples of `every`. The rule is asked there and nowhere
    else, so where it stops, and the bits at that point, depend neither on the backend nor on the
    number of workers. A run with ``simulate(n_paths=None)`` has no end but the rule.

    Parameters
    ----------
    obj : DataArray or Dataset
        As for `montezarr.reduce`.
    statistics : Statistic, str, or sequence of them
        As for `montezarr.reduce`; without exact quantiles, which take further passes.
    until : Until, optional
        ``mz.StandardError(abs, rel)``, ``mz.Paths(n)`` or ``mz.Seconds(s)``, or several, combined
        with ``|`` (either) and ``&`` (both). None goes on to the last path.
    dim, by, observe
        As for `montezarr.reduce`.
    every : int, optional
        Paths between two snapshots, rounded up to whole blocks of 1024.
    progress : bool
        Show paths per second and time left on standard error.
    resume_from : str or path, optional
        File of `Snapshot.save`: the stream goes on from there, with the bits of one that was never
        interrupted. The other arguments have to be those of the first call.

    Yields
    ------
    Snapshot
        Results of all paths so far, with standard errors and confidence sequences; speed, time
        left, predicted number of paths still needed. The last one says why it is the last.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, MemoryBudgetError
        For arguments out of these terms, at the call.
    SamplerError
        If the sampler fails.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=None, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> payoff = (ds.x.isel(time=-1) - 105).clip(min=0).rename("payoff")
    >>> for snapshot in mz.stream(payoff, "mean", until=mz.StandardError(abs=0.05)):
    ...     pass
    >>> snapshot.paths, round(snapshot["payoff_mean_se"].item(), 3)
    (81920, 0.049)
    """
    rule = check_until(until)
    show = check_bool("progress", progress)
    step = None if every is None else -(-check_int("every", every, minimum=1) // BLOCK) * BLOCK
    feed, layout = prepare(obj, statistics, dim, by, observe)
    for column in layout.fold.columns:
        for statistic in column.statistics:
            if getattr(statistic, "exact", False):
                raise value_error("statistics", "no exact quantiles in a stream", statistic)
    if rule is not None:
        rule.check([name for name, _ in layout.results()])
    if feed.n_paths is None and rule is None:
        raise value_error(
            "until", "a rule, since the number of paths is None", None, "Such as mz.Paths(10**6)."
        )
    header = {
        "recipe": dict(feed.run.recipe) if isinstance(feed, DrawnFeed) else {},
        "key": feed.key(),
        **layout.identity(),
    }
    folded = Folded() if resume_from is None else load(resume_from, header, layout.fold)
    if folded.paths % BLOCK and folded.paths != feed.n_paths:
        raise value_error(
            "resume_from", "a state that ends with a block of 1024 paths", folded.paths,
            "It is that of a finished run of another length.",
        )  # fmt: skip
    if feed.n_paths is not None and folded.paths > feed.n_paths:
        raise value_error("resume_from", f"at most {feed.n_paths} paths", folded.paths)
    return _Stream(feed, layout, rule, step, show, header, folded).run()


class _Stream:
    """One run of a stream."""

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
        self.feed, self.layout, self.rule, self.step = feed, layout, rule, step
        self.show, self.header, self.folded = show, header, folded
        self.started_at = folded.paths
        self.began = time.perf_counter()

    def run(self) -> Iterator[Snapshot]:
        """Yield the snapshots."""
        self.began = time.perf_counter()
        end = self.feed.n_paths
        if self.started_at:  # the rule may be met already
            last = "all paths" if self.started_at == end else None
            snapshot = self.snapshot(last)
            yield snapshot
            if snapshot.stopped is not None:
                return
        fold, tally = self.layout.fold, Tally()
        task = self.feed.task(fold)
        with (
            self.feed.backend.running(),
            Progress("stream", enabled=self.show) as progress,
        ):
            if self.show:
                progress(self.started_at, end, 0)
            results = windowed(self.feed.backend, task, self._items(), span_of, ordered=True)
            try:
                for _, (parts, report) in results:
                    tally.add(report)
                    for stop, folded in parts:
                        if stop <= self.started_at:
                            continue  # of a chunk that was in part folded before
                        fold.join(self.folded, folded)
                        is_end = stop == end
                        if not is_end and not self._is_mark(stop):
                            continue
                        fold.finish(self.folded, stop)
                        snapshot = self.snapshot("all paths" if is_end else None)
                        if self.show:
                            is_known = snapshot.stopped or snapshot.paths_needed is not None
                            total = stop + (snapshot.paths_needed or 0) if is_known else None
                            progress(stop, total, len(tally.masked))
                        if snapshot.stopped is not None:
                            tally.warn(stop, stacklevel=3)
                            self.layout.warn(self.folded, 3)
                        yield snapshot
                        if snapshot.stopped is not None:
                            return
            finally:
                results.close()  # type: ignore[attr-defined]

    def snapshot(self, stopped: str | None) -> Snapshot:
        """Return the results so far, and whether they will do."""
        folded = self.folded
        seconds = time.perf_counter() - self.began
        ds = self.layout.dataset(folded)
        reached = Reached(folded.paths, seconds, ds, self.started_at)
        new = folded.paths - self.started_at
        rate = new / seconds if seconds > 0 else 0.0
        reason, needed = stopped, self.feed.n_paths
        if self.rule is not None:
            reason = self.rule.reason(reached) or stopped
            predicted = self.rule.needed(reached)
            if predicted is not None:
                needed = predicted if needed is None else min(predicted, needed)
        left = None if needed is None or reason is not None else max(0, needed - folded.paths)
        return Snapshot(
            paths=folded.paths,
            # Of a small group the number of all paths would make it far too narrow.
            dataset=ds if self.layout.by is not None else with_sequences(ds, folded.paths),
            seconds=seconds,
            paths_per_second=rate,
            paths_needed=left,
            seconds_left=None if left is None or rate == 0 else left / rate,
            stopped=reason,
            _state=(self.header, folded.copy()),
        )

    # --- path counts --------------------------------------------------------------------------

    def _is_mark(self, paths: int) -> bool:
        return paths == self._next_mark(paths - 1)

    def _next_mark(self, after: int) -> int:
        """Return the first path count beyond `after` at which there is a snapshot."""
        if self.step is not None:
            found = (after // self.step + 1) * self.step
        else:
            blocks = after // BLOCK + 1
            width = max(1, (1 << (blocks.bit_length() - 1)) // PER_OCTAVE)
            found = -(-blocks // width) * width * BLOCK
        marks = [m for m in (self.rule.marks() if self.rule is not None else ()) if m > after]
        return min([found, *marks])

    def _cuts(self, start: int, stop: int) -> tuple[int, ...]:
        """Return the marks in a range of paths, and where this stream began."""
        cuts = [self.started_at] if start < self.started_at < stop else []
        mark = self._next_mark(max(start, self.started_at))
        while mark <= stop:
            cuts.append(mark)
            mark = self._next_mark(mark)
        return tuple(cuts)

    def _items(self) -> Iterator[Any]:
        """Yield the tasks: of paths that can be had in any range, small ones at the beginning."""
        feed, end = self.feed, self.feed.n_paths
        largest = feed.size()
        if not isinstance(feed, DrawnFeed):
            assert end is not None
            yield from feed.items(self.started_at, end, largest, self._cuts)
            return
        low = self.started_at
        for _ in itertools.count():
            high = self._next_mark(low) if end is None else min(self._next_mark(low), end)
            fair = max(1, (high - low) // feed.backend.workers // BLOCK)
            size = min(largest, BLOCK << (fair.bit_length() - 1))
            yield from feed.items(low, high, size, self._cuts)
            low = high
            if low == end:
                return
