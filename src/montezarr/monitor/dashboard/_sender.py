"""In the driver: give each scheduler its page, and send it the news of runs."""

from __future__ import annotations

import weakref
from typing import Any, final

from montezarr.core.notices import log_warning
from montezarr.execute import Backend, on_client
from montezarr.execute.run_monitor import Listener, RunMonitor, listen

TOPIC = "montezarr"
"""Under which news are logged as events of Dask, for `Client.get_events` too."""


@final
class Sender(Listener):
    """Sends what it hears of runs on the backend ``dask`` to the scheduler."""

    def __init__(self) -> None:
        self._clients: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def started(self, monitor: RunMonitor, backend: Backend) -> bool:
        """Remember whose scheduler is to hear of the run, if there is one."""
        client = getattr(backend, "client", None)
        if client is None:
            return False
        self._clients[monitor.key] = client
        return True

    def changed(self, monitor: RunMonitor) -> None:
        """Send the news."""
        client = self._clients.get(monitor.key)
        if client is not None and client.status == "running":
            client.log_event(TOPIC, {**monitor.to_dict(), "client": client.id})

    def ended(self, monitor: RunMonitor) -> None:
        """Send the last news, where the scheduler is still there."""
        self.changed(monitor)
        self._clients.pop(monitor.key, None)


def install() -> None:
    """Have runs of this process shown on the dashboards of their schedulers."""
    listen(Sender())
    on_client.append(add_page)


def add_page(client: Any) -> None:
    """Give the scheduler of a Client the page, once; leave it at that where it cannot be."""
    try:
        from montezarr.monitor.dashboard._plugin import Page

        client.register_plugin(Page())
    except Exception as error:
        log_warning(
            "montezarr: no page on the dashboard of Dask: %s: %s", type(error).__name__, error
        )
