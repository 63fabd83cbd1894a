"""The state of all runs of a scheduler's clients."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from montezarr.core.tunables.keeping import DASHBOARD_MOMENTS_KEPT, DASHBOARD_RUNS_KEPT

COUNTED = ("new", "failed", "bytes_written")
"""Counters of a run, which only grow."""


class Board:
    """The latest event of each run, in the order in which the runs began.

    Attributes
    ----------
    runs : dict of str to dict
        Latest event of each run, by its key; see
        `montezarr.execute.run_monitor.RunMonitor.to_dict`.
    moments : dict of str to list
        For each run, (seconds, paths, paths per second, first estimate or None) over time.
    totals : dict of (str, str) to Counter
        Counters of all runs by stage and process, including runs that were dropped.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.moments: dict[str, deque[Any]] = {}
        self.totals: dict[tuple[str, str], Counter[str]] = {}

    def put(self, news: dict[str, Any]) -> None:
        """Record an event of a run."""
        key = news["key"]
        before = self.runs.get(key, {})
        totals = self.totals.setdefault((news["stage"], news["process"]), Counter(runs=0))
        totals["runs"] += not before
        for name in COUNTED:
            totals[name] += max(0, news[name] - before.get(name, 0))
        self.runs[key] = news
        moments = self.moments.setdefault(key, deque())
        seconds, done = news["seconds"], news["done"]
        speed = 0.0
        if moments and seconds > moments[-1][0]:
            speed = (done - moments[-1][1]) / (seconds - moments[-1][0])
        moments.append((seconds, done, max(0.0, speed), (news["estimates"] or [None])[0]))
        if len(moments) > DASHBOARD_MOMENTS_KEPT:
            self.moments[key] = deque(list(moments)[::2])
        over = [k for k, run in self.runs.items() if run["state"] != "running"]
        for old in over[: max(0, len(self.runs) - DASHBOARD_RUNS_KEPT)]:
            del self.runs[old], self.moments[old]

    def leave(self, client: str) -> None:
        """Mark the unfinished runs of a client that has disconnected."""
        for run in self.runs.values():
            if run.get("client") == client and run["state"] == "running":
                run["state"] = "lost"

    def newest(self) -> list[dict[str, Any]]:
        """Return the runs: running ones first, then the newest."""
        return sorted(self.runs.values(), key=lambda r: (r["state"] != "running", -r["began"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the board as JSON."""
        totals = [
            {"stage": stage, "process": process, **counter}
            for (stage, process), counter in sorted(self.totals.items())
        ]
        return {"runs": self.newest(), "totals": totals}
