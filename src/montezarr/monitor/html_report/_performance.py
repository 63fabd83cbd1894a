"""The performance report of Dask for a period; nothing if it is not available."""

from __future__ import annotations

import time
from typing import Any, final

from montezarr.core.notices import log_warning
from montezarr.execute.run_monitor import said


@final
class Performance:
    """The performance report of a scheduler, from now until `end`.

    Parameters
    ----------
    client : Client
        A client of the scheduler.
    """

    def __init__(self, client: Any):
        self.client, self.page = client, ""
        self._began: float | None = None
        try:
            self._count = client.run_on_scheduler(_monitor_count)
            client.get_task_stream(start=0, stop=0)  # start recording tasks
            self._began = time.time()
        except Exception as error:  # another version of Dask, or a scheduler without bokeh
            log_warning("montezarr: no performance report of Dask: %s", said(error))

    def end(self) -> str:
        """Return the page, which loads nothing from outside."""
        if self._began is not None:
            try:
                self.page = self.client.sync(
                    self.client.scheduler.performance_report,
                    start=self._began, last_count=self._count, code="", mode="inline",
                )  # fmt: skip
            except Exception as error:
                log_warning("montezarr: no performance report of Dask: %s", said(error))
        return self.page


def _monitor_count(dask_scheduler: Any) -> int:
    return int(dask_scheduler.monitor.count)
