"""The page ``/montezarr`` on the Dask dashboard: runs as they go on, as page, JSON and metrics.

It stands beside the pages of Dask wherever the backend ``dask`` runs, also as JSON under
``/montezarr.json``, and as counters for Prometheus under ``/metrics``. What goes wrong with it
costs the page, not the run.
"""

from montezarr.monitor.dashboard._sender import Sender, add_page, install

__all__ = ["Sender", "add_page", "install"]
