"""In the driver: add the page to each scheduler, and send it events of runs."""

from __future__ import annotations

import weakref
from typing import Any, final

from montezarr.core.notices import log_warning
from montezarr.execute import Backend, on_client
from montezarr.execute.run_monitor import Listener, RunMonitor, listen

TOPIC = "montezarr"
"""Topic of the events of Dask that carry the state of runs, also for `Client.get_events`."""


@final
class Sender(Listener):
    """Sends the state of runs on the backend ``dask`` to the scheduler."""

    def __init__(self) -> None:
        self._clients: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def started(self, monitor: RunMonitor, backend: Backend) -> bool:
        """Remember the client of the run; return whether the backend has one."""
        client = getattr(backend, "client", None)
        if client is None:
            return False
        self._clients[monitor.key] = client
        return True

    def changed(self, monitor: RunMonitor) -> None:
        """Send the state of the run."""
        client = self._clients.get(monitor.key)
        if client is not None and client.status == "running":
            client.log_event(TOPIC, {**monitor.to_dict(), "client": client.id})

    def ended(self, monitor: RunMonitor) -> None:
        """Send the final state of the run, if the scheduler is still connected."""
        self.changed(monitor)
        self._clients.pop(monitor.key, None)


def install() -> None:
    """Show runs of this process on the dashboards of their schedulers."""
    listen(Sender())
    on_client.append(add_page)


def add_page(client: Any) -> None:
    """Add the page to the scheduler of a Client, once; log a warning if that fails."""
    try:
        from montezarr.monitor.dashboard._plugin import Page

        client.register_plugin(Page())
    except Exception as error:
        log_warning(
            "montezarr: no page on the dashboard of Dask: %s: %s", type(error).__name__, error
        )
