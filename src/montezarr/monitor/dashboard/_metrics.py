"""Counters for Prometheus, on the ``/metrics`` of the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, final

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from montezarr.monitor.dashboard._board import Board

COUNTERS = {
    "runs": ("montezarr_runs", "Runs begun"),
    "new": ("montezarr_paths", "Paths drawn"),
    "failed": ("montezarr_failed_paths", "Paths that failed and are masked"),
    "bytes_written": ("montezarr_written_bytes", "Bytes written to stores"),
}
LABELS = ["stage", "process"]


@final
class Collector:
    """Collector of prometheus_client: makes the metrics of a board on each scrape."""

    def __init__(self, board: Board):
        self.board = board

    def describe(self) -> list[Any]:
        """Return no metrics: their labels depend on the runs."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        for name, (metric, text) in COUNTERS.items():
            family = CounterMetricFamily(metric, text, labels=LABELS)
            for labels, totals in self.board.totals.items():
                family.add_metric(list(labels), totals[name])
            yield family
        running = GaugeMetricFamily("montezarr_running", "Runs in progress", labels=LABELS)
        speed = GaugeMetricFamily("montezarr_paths_per_second", "Speed of these", labels=LABELS)
        for labels in self.board.totals:
            runs = [
                run
                for run in self.board.runs.values()
                if run["state"] == "running" and (run["stage"], run["process"]) == labels
            ]
            running.add_metric(list(labels), len(runs))
            speed.add_metric(list(labels), sum(run["paths_per_second"] for run in runs))
        yield from (running, speed)


def register(board: Board) -> Callable[[], None]:
    """Register the metrics of a board; return a function that removes them."""
    collector = Collector(board)
    REGISTRY.register(collector)
    return lambda: REGISTRY.unregister(collector)
